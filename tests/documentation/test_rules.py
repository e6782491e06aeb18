"""Rules and specifications as docs/rules.md shows them."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select

from insula.rules import Rule, RuleFile, fields

DOCUMENT = Path(__file__).parents[2] / "docs" / "rules.md"


class Order(msgspec.Struct):
    """What customers order."""

    total: int
    item_count: int
    tier: str = "silver"


# fmt: off
order = fields(Order)                                    # unknown names are refused here, at import
high_value = (order.total >= 100).named("high value")
bulk = (order.item_count >= 10).named("bulk")
gold = (order.tier == "gold").named("gold customer")
eligible = gold | (high_value & bulk)                    # `and` and `or` raise: they would drop a clause
# fmt: on

candidate = Order(total=150, item_count=3)
orders = Table(
    "orders", MetaData(), Column("id", Integer, primary_key=True), Column("total", Integer),
    Column("item_count", Integer), Column("tier", String),
)  # fmt: skip


engine = create_engine("sqlite://")
orders.metadata.create_all(engine)
connection = engine.connect()
connection.execute(insert(orders), [{"total": 150, "item_count": 3}, {"total": 150, "item_count": 10}])

# fmt: off
assert eligible(candidate) is False
assert str(eligible) == 'tier == "gold" || total >= 100 && item_count >= 10'
found = connection.execute(select(orders.c.id).where(eligible.to_sql(orders))).scalars().all()
explanation = str(eligible.explain(candidate))

rule = Rule.parse('user.tier == "gold" || order.total > 100.0', about={"order": Order, "user": {"tier": str}})
assert rule.evaluate(user={"tier": "silver"}, order=candidate) is True
assert rule.fields_used == {"user.tier", "order.total"}
# fmt: on

RISKS = {"AT": 0.1, "XX": 0.9}


# fmt: off
def risk(country: str) -> float:
    """How often a payment from there was a fraud."""
    return RISKS[country]


risky = Rule.parse("risk(payment.country) > 0.5", about={"payment": {"country": str}}, functions={"risk": risk})
assert risky.evaluate(payment={"country": "XX"}) is True
# fmt: on

connection.close()
engine.dispose()


def shown(language: str) -> list[str]:
    """The blocks of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_the_filter_finds_who_is_eligible() -> None:
    assert found == [2]


def test_the_explanation_is_the_one_of_the_page() -> None:
    assert f"{explanation}\n" == shown("text")[0]


folder = TemporaryDirectory()
path = Path(folder.name) / "declines.toml"
path.write_text(shown("text")[1])

# fmt: off
declines = RuleFile(path)                                # refused at the start if it is bad; about= as for Rule
decision = declines.rules.decide(payment={"amount": 2000, "country": "AT"})
assert decision.matching == ("too-large",)
# fmt: on

folder.cleanup()


def test_the_set_of_the_page_has_its_version() -> None:
    assert decision.version == "2030-01"
