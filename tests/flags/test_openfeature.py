"""What OpenFeature's suites do not ask of a provider: events, pins, copies, and flags that are not there at first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import OpenFeatureError, ParseError, ProviderFatalError
from openfeature.hook import Hook
from openfeature.provider import ProviderStatus

from insula.adapters.polling.flag_poller import FlagPoller
from insula.flags import Content, Flags, FlagsRefused, MemorySource, override, use
from insula.flags.openfeature import InsulaProvider
from insula.testing import VirtualClock


@pytest.fixture(autouse=True)
def _own_api() -> Iterator[None]:
    yield
    api.clear_providers()
    api.clear_hooks()


def client_of(flags: Flags, **options: Any) -> OpenFeatureClient:
    """A client that asks these flags."""
    api.set_provider_and_wait(InsulaProvider(flags, **options))
    return api.get_client()


def heard(client: OpenFeatureClient) -> Callable[[], tuple[ProviderEvent, EventDetails]]:
    """Waits for the next event that the client hears, which its handlers are told of on other threads."""
    found: Queue[tuple[ProviderEvent, EventDetails]] = Queue()
    for event in ProviderEvent:
        client.add_handler(event, lambda details, event=event: found.put((event, details)))
    assert found.get(timeout=10)[0] is ProviderEvent.PROVIDER_READY, "a ready provider says so at once"
    return lambda: found.get(timeout=10)


def test_a_change_is_an_event_with_the_flags_that_changed() -> None:
    source = MemorySource({"f": {}, "g": {}})
    flags = Flags(source)
    client = client_of(flags)
    next_event = heard(client)
    source.put({"f": {"default": "on"}, "g": {}})
    flags.renew()
    event, details = next_event()
    assert (event, details.flags_changed) == (ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, ["f"])
    assert client.get_boolean_value("f", False)


def test_stale_flags_are_an_event_and_so_is_their_recovery(tmp_path: Path) -> None:
    file, clock = tmp_path / "flags.toml", VirtualClock()
    file.write_text('[flags.f]\ndefault = "on"\n')
    flags = Flags(file, clock=clock)
    client = client_of(flags)
    next_event = heard(client)
    file.unlink()
    clock.advance(61)
    assert client.get_boolean_value("f", False), "stale is better than nothing"
    assert client.get_provider_status() is ProviderStatus.STALE
    event, details = next_event()
    assert (event, "cannot be read" in (details.message or "")) == (ProviderEvent.PROVIDER_STALE, True)
    file.write_text('[flags.f]\ndefault = "on"\n')
    clock.advance(5)
    client.get_boolean_value("f", False)
    assert client.get_provider_status() is ProviderStatus.READY
    assert next_event()[0] is ProviderEvent.PROVIDER_READY


def test_a_bad_file_at_the_beginning_is_an_error_until_it_is_good(tmp_path: Path) -> None:
    file, clock = tmp_path / "flags.toml", VirtualClock()
    file.write_text("[")
    flags = Flags(file, clock=clock)
    with pytest.raises(ParseError):
        client_of(flags)
    client = api.get_client()
    details = client.get_boolean_details("f", True)
    assert (client.get_provider_status(), details.value) == (ProviderStatus.ERROR, True)
    assert details.error_code is not None
    assert details.error_code.value == "PARSE_ERROR"
    file.write_text('[flags.f]\ndefault = "off"\n')
    clock.advance(5)
    assert client.get_boolean_value("f", True) is False
    assert client.get_provider_status() is ProviderStatus.READY


def test_a_source_that_refuses_us_is_fatal() -> None:
    class Refusing:
        name, waits = "flags.example.org", True

        def read(self, known: Content | None = None) -> Content:
            raise FlagsRefused("flags.example.org answers 401")

    with pytest.raises(ProviderFatalError):
        client_of(Flags(Refusing()))
    assert api.get_client().get_provider_status() is ProviderStatus.FATAL


def test_the_flags_of_the_process_are_asked_unless_others_are_given() -> None:
    use(Flags({"f": {"default": "on"}}))
    api.set_provider_and_wait(InsulaProvider())
    assert api.get_client().get_boolean_value("f", False)


def test_a_pin_holds_for_clients_too() -> None:
    client = client_of(Flags({"f": {"default": "off"}}))
    with override("f", True):
        details = client.get_boolean_details("f", False)
        assert (details.value, details.reason) == (True, "OVERRIDE")
    assert client.get_boolean_value("f", True) is False


def test_each_reader_of_an_object_has_a_copy() -> None:
    client = client_of(Flags({"f": {"variants": {"a": {"rows": [1]}}, "default": "a"}}))
    first: Any = client.get_object_value("f", {})
    first["rows"].append(2)
    assert client.get_object_value("f", {}) == {"rows": [1]}


async def test_asynchronous_questions_are_targeted_and_counted_too() -> None:
    flags = Flags({"f": {"targeting": 'country == "DE" && targetingKey == "ann"', "rollout": 100}})
    client = client_of(flags)
    context = EvaluationContext("ann", {"country": "DE"})
    assert await client.get_boolean_value_async("f", False, context)
    assert not await client.get_boolean_value_async("f", False, EvaluationContext("bob", {"country": "DE"}))
    assert flags.counts == {"f": {"on": 1, "off": 1}}


def test_a_targeting_key_may_stand_among_the_attributes() -> None:
    client = client_of(Flags({"f": {"rollout": 100}}))
    assert client.get_boolean_value("f", False, EvaluationContext(attributes={"targetingKey": "ann"}))
    details = client.get_boolean_details("f", False)
    assert details.error_code is not None
    assert details.error_code.value == "TARGETING_KEY_MISSING"


def test_a_static_flag_is_cached_until_it_changes_where_that_is_wanted() -> None:
    source = MemorySource({"f": {"default": "on"}, "g": {"rollout": 100}})
    flags = Flags(source)
    client = client_of(flags, remembers=True)
    reasons = [client.get_boolean_details("f", False).reason for _ in range(3)]
    source.put({"f": {"default": "on", "owner": "me"}, "g": {}})
    flags.renew()
    reasons += [client.get_boolean_details("f", False).reason for _ in range(2)]
    assert reasons == ["STATIC", "CACHED", "CACHED", "STATIC", "CACHED"]
    assert [client_of(flags).get_boolean_details("f", False).reason for _ in range(2)] == ["STATIC", "STATIC"]


def test_hooks_of_the_provider_run() -> None:
    class Noting(Hook):
        def __init__(self) -> None:
            self.keys: list[str] = []

        def before(self, hook_context: Any, hints: Any) -> None:
            self.keys.append(hook_context.flag_key)

    hook = Noting()
    client_of(Flags({"f": {}}), hooks=[hook]).get_boolean_value("f", False)
    assert hook.keys == ["f"]


def test_a_provider_that_was_shut_down_hears_nothing_more() -> None:
    source = MemorySource({"f": {}})
    flags = Flags(source)
    provider = InsulaProvider(flags)
    provider.initialize(EvaluationContext())
    told: list[Any] = []
    provider.attach(lambda *event: told.append(event))
    provider.shutdown()
    source.put({})
    flags.renew()
    assert told == []
    assert provider.get_metadata().name == "Insula"


def test_errors_are_those_of_openfeature() -> None:
    client = client_of(Flags({"f": {"targeting": "age > 1"}}))
    details = client.get_boolean_details("f", True, EvaluationContext("ann", {"age": "old"}))
    assert (details.value, details.reason) == (True, "ERROR")
    assert isinstance(details.get_exception(), OpenFeatureError)


class Remote:
    """A source beyond a network."""

    name, waits = "flags.example.org", True

    def read(self, known: Content | None = None) -> Content:
        return Content(b'{"flags": {"f": {"default": "on"}}}')


def test_flags_that_nobody_reads_again_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    flags = Flags(Remote())
    client_of(flags)
    assert "FlagPoller(flags).start()" in caplog.text
    caplog.clear()
    poller = FlagPoller(flags)
    poller.start()
    client_of(flags)
    poller.stop()
    assert "FlagPoller" not in caplog.text


def test_a_flag_of_another_type_is_counted_as_the_codes_default() -> None:
    flags = Flags({"f": {"default": "on"}})
    client = client_of(flags)
    assert client.get_string_value("f", "x") == "x"
    assert client.get_boolean_value("f", False)
    assert client.get_boolean_value("f", False)
    assert flags.counts == {"f": {None: 1, "on": 2}}
