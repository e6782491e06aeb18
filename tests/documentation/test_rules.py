"""Rules and specifications as docs/rules.md shows them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, create_engine, insert, select

from insula.rules import Rule, RuleFile, fields

DOCUMENT = Path(__file__).parents[2] / "docs" / "rules.md"


class Order(msgspec.Struct):
    """What customers order."""

    total: int
    item_count: int
    tier: str = "silver"
    placed_at: datetime = datetime(2030, 1, 1, tzinfo=UTC)


# fmt: off
order = fields(Order)                                    # unknown names and wrong types are refused here, at import
high_value = (order.total >= 100).named("high value")
bulk = (order.item_count >= 10).named("bulk")
gold = (order.tier == "gold").named("gold customer")
eligible = gold | (high_value & bulk)                    # `and` and `or` raise: they would drop a clause
# fmt: on

candidate = Order(total=150, item_count=3)
orders = Table(
    "orders", MetaData(), Column("id", Integer, primary_key=True), Column("total", Integer),
    Column("item_count", Integer), Column("tier", String), Column("placed_at", DateTime(timezone=True)),
)  # fmt: skip


engine = create_engine("sqlite://")
orders.metadata.create_all(engine)
connection = engine.connect()
placed_at = datetime(2029, 12, 31, tzinfo=UTC)
connection.execute(
    insert(orders),
    [
        {"total": 150, "item_count": 3, "placed_at": placed_at},
        {"total": 150, "item_count": 10, "placed_at": placed_at},
        {"total": 150, "item_count": 10, "placed_at": placed_at + timedelta(days=1)},
    ],
)

# fmt: off
assert eligible(candidate) is False
assert str(eligible) == 'tier == "gold" || total >= 100 && item_count >= 10'
found = connection.execute(select(orders.c.id).where(eligible.to_sql(orders))).scalars().all()
explanation = str(eligible.explain(candidate))

rule = Rule.parse('user.tier == "gold" || order.total > 100.0', about={"order": Order, "user": {"tier": str}})
assert rule.evaluate(user={"tier": "silver"}, order=candidate) is True
assert rule.fields_used == {"user.tier", "order.total"}

recent = (order.placed_at >= datetime(2030, 1, 1, tzinfo=UTC)) & eligible
newest = connection.execute(select(orders.c.id).where(recent.to_sql(orders, naive_is_utc=True))).scalars().all()
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
    assert found == [2, 3]
    assert newest == [3]


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
