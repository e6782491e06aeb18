"""Feature flags as docs/flags.md shows them."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from insula.adapters.http.flag_poll import HttpFlags
from insula.adapters.polling.flag_poller import FlagPoller
from insula.flags import BooleanFlag, Flags, override, use
from insula.flags.openfeature import InsulaProvider
from insula.kernel.context import process_state

DOCUMENT = Path(__file__).parents[2] / "docs" / "flags.md"

# fmt: off
new_checkout = BooleanFlag("new-checkout", default=False, owner="orders", expires=date(2027, 3, 1))


def checkout(customer_id: str, country: str) -> str:
    if new_checkout.is_on(customer_id, country=country):
        return "new"
    return "old"


def begin_with_flags_of(url: str) -> FlagPoller:
    poller = FlagPoller(use(Flags(HttpFlags(url), kept=Path("flags.kept"))))
    poller.start()                                       # when it returns they were read, or that failed; then stop()
    return poller
# fmt: on


folder = TemporaryDirectory()
path = Path(folder.name) / "flags.toml"
path.write_text(re.findall(r"```text\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[0])
before = process_state.set({})  # these flags are nobody else's

# fmt: off
flags = use(Flags(path))                                 # `insula run` does this by itself: source = … in [flags]
assert checkout("tess", "FR") == "new"
assert flags.details("new-checkout", False, "boolean", "ann", {"country": "FR"}).reason == "DEFAULT"

with override(new_checkout, True):
    assert checkout("ann", "FR") == "new"

api.set_provider_and_wait(InsulaProvider(flags))         # from openfeature import api
client = api.get_client()
# fmt: on

through_openfeature = client.get_boolean_value("new-checkout", False, EvaluationContext("tess"))
shares = {
    country: sum(checkout(f"customer-{number}", country) == "new" for number in range(1000))
    for country in ("DE", "AT", "FR")
}
api.clear_providers()
process_state.reset(before)
folder.cleanup()


def test_openfeature_asks_the_same_flags() -> None:
    assert through_openfeature is True


def test_a_program_of_ones_own_begins_with_a_poller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = process_state.set({})
    poller = begin_with_flags_of("http://127.0.0.1:1/flags.json")
    assert "does not answer" in poller.flags.state.trouble
    poller.stop()
    process_state.reset(here)


def test_a_fifth_of_two_countries_has_it_and_nobody_elsewhere() -> None:
    assert 150 < shares["DE"] == shares["AT"] < 250, "the same customers, wherever they are"
    assert shares["FR"] == 0


def test_every_setting_of_a_flag_is_on_the_page() -> None:
    from insula.flags.flag import Flag

    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in Flag.__struct_encode_fields__ if f"`{name}" not in text] == []
