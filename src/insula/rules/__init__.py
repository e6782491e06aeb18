"""Rules in CEL, the Common Expression Language: read once, answered at little more than the cost of a lambda."""

from insula.rules.errors import BudgetExceeded, EvaluationError, RuleError, RuleSyntaxError
from insula.rules.parser import Limits
from insula.rules.rule import Rule

__all__ = ["BudgetExceeded", "EvaluationError", "Limits", "Rule", "RuleError", "RuleSyntaxError"]
