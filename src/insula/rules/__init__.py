"""Rules in CEL, the Common Expression Language: read once, answered at little more than the cost of a lambda."""

from insula.rules.errors import BudgetExceeded, EvaluationError, RuleError, RuleSyntaxError, RuleTypeError
from insula.rules.explanation import Explanation
from insula.rules.fields import fields
from insula.rules.parser import Limits
from insula.rules.renewal import RuleFile
from insula.rules.rule import Rule
from insula.rules.ruleset import Decision, RuleSet
from insula.rules.specification import Specification

__all__ = [
    "BudgetExceeded",
    "Decision",
    "EvaluationError",
    "Explanation",
    "Limits",
    "Rule",
    "RuleError",
    "RuleFile",
    "RuleSet",
    "RuleSyntaxError",
    "RuleTypeError",
    "Specification",
    "fields",
]
