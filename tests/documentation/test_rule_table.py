"""Rules in a table as docs/rules.md shows them."""

from pathlib import Path
from tempfile import TemporaryDirectory

from insula.adapters.polling.poller import Poller
from insula.adapters.sql.rule_table import RuleTable

folder = TemporaryDirectory()
address = f"sqlite:///{Path(folder.name) / 'rules.db'}"

# fmt: off
RuleTable.create(address)                                # "postgresql://rules@localhost/rules"; or in your migrations
table = RuleTable(address)
table.put("too-large", "payment.amount > 1000")          # refused if it is no rule
with Poller(table.reload, every_seconds=5, name="rules"):
    decision = table.rules.decide(payment={"amount": 2000})
# fmt: on


def test_the_page_says_what_is_true() -> None:
    assert decision.matching == ("too-large",)
    folder.cleanup()
