"""Feature flags: nanoseconds a question, of a flag with a targeting rule and a rollout to 25 %.

The flag is for `country == "DE"` and a quarter of those, sticky by user id; a thousand users take turns. The floor is
murmur3 of the user and a comparison. `direct` asks each library as its own pages do, `openfeature client` through the
client of OpenFeature, whose in-memory provider gets a function that does the same by hand. Everybody has its context
ready, but for what it makes of it itself.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness import Case, Contender, Sample, Settings, run
from benchmarks.rules import nanoseconds
from insula.flags import BooleanFlag, Flags, use

USERS = [f"user-{number:06d}" for number in range(1000)]
FLAG = {"f": {"targeting": 'country == "DE"', "rollout": 25}}
IN_FLAGD = {
    "state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
    "targeting": {"if": [{"==": [{"var": "country"}, "DE"]}, {"fractional": [["on", 25], ["off", 75]]}, "off"]},
}  # fmt: skip
IN_UNLEASH = {
    "name": "f", "type": "release", "enabled": True, "stale": False, "variants": [],
    "strategies": [
        {
            "name": "flexibleRollout",
            "parameters": {"rollout": "25", "stickiness": "userId", "groupId": "f"},
            "constraints": [{"contextName": "country", "operator": "IN", "values": ["DE"], "inverted": False}],
        }
    ],
}  # fmt: skip

Ask = Callable[[], bool]


def turns(contexts: list[Any]) -> Callable[[], Any]:
    """The next one, for ever."""
    return itertools.cycle(contexts).__next__


def contender(name: str, prepare: Callable[[Path], Ask], *packages: str) -> Contender:
    """One who is asked; about a quarter of the users must have the flag on."""

    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Sample]:
        logging.disable(logging.CRITICAL)  # some peers write a line at every question otherwise
        ask = prepare(settings.directory)
        on = sum(ask() for _ in USERS)
        assert 200 < on < 300, f"{name}: {on} of {len(USERS)}"

        async def sample() -> float:
            return nanoseconds(ask, settings.seconds)

        yield sample

    return Contender(name, opened, packages=packages)


def floor(_: Path) -> Ask:
    hashed: Any = import_module("mmh3").hash
    user = turns(USERS)
    return lambda: hashed("f:" + user(), 0, False) % 100 < 25


def by_insula(_: Path) -> Ask:
    use(Flags(FLAG))
    flag, user = BooleanFlag("f", default=False), turns(USERS)
    return lambda: flag.is_on(user(), country="DE")


def by_growthbook(_: Path) -> Ask:
    growthbook: Any = import_module("growthbook")
    rule = {"condition": {"country": "DE"}, "force": True, "coverage": 0.25, "hashAttribute": "id"}
    asked = growthbook.GrowthBook(attributes={"id": "u"}, features={"f": {"defaultValue": False, "rules": [rule]}})
    attributes = turns([{"id": user, "country": "DE"} for user in USERS])

    def ask() -> bool:
        asked.set_attributes(attributes())
        return bool(asked.is_on("f"))

    return ask


def by_unleash(directory: Path) -> Ask:
    unleash: Any = import_module("UnleashClient")
    cache = import_module("UnleashClient.cache").FileCache("benchmark", directory=tempfile.mkdtemp(dir=directory))
    cache.bootstrap_from_dict({"version": 2, "features": [IN_UNLEASH]})
    client = unleash.UnleashClient(
        "http://127.0.0.1:1/api", "benchmark", cache=cache, disable_metrics=True, disable_registration=True
    )
    client.initialize_client(fetch_toggles=False)
    context = turns([{"userId": user, "properties": {"country": "DE"}} for user in USERS])
    return lambda: bool(client.is_enabled("f", context()))


def by_flagd_core(_: Path) -> Ask:
    core = import_module("openfeature.contrib.tools.flagd.core").FlagdCore()
    core.set_flags(json.dumps({"flags": {"f": IN_FLAGD}}))
    context = turns(contexts())
    return lambda: bool(core.resolve_boolean_value("f", False, context()).value)


def contexts() -> list[Any]:
    """Those of OpenFeature, one for each user."""
    context: Any = import_module("openfeature.evaluation_context").EvaluationContext
    return [context(targeting_key=user, attributes={"country": "DE"}) for user in USERS]


def through_client(domain: str, provider: Any) -> Ask:
    """A question to OpenFeature's client."""
    api: Any = import_module("openfeature.api")
    api.set_provider_and_wait(provider, domain)
    client, context = api.get_client(domain), turns(contexts())
    return lambda: bool(client.get_boolean_value("f", False, context()))


def insula_provider(_: Path) -> Ask:
    provider = import_module("insula.flags.openfeature").InsulaProvider(Flags(FLAG))
    return through_client("insula", provider)


def in_memory_provider(_: Path) -> Ask:
    memory: Any = import_module("openfeature.provider.in_memory_provider")
    evaluation: Any = import_module("openfeature.flag_evaluation")

    def evaluate(_flag: Any, context: Any) -> Any:
        digest = hashlib.md5(b"f" + context.targeting_key.encode()).digest()
        on = context.attributes["country"] == "DE" and int.from_bytes(digest[:4], "big") % 100 < 25
        reason = evaluation.Reason.TARGETING_MATCH
        return evaluation.FlagResolutionDetails(value=on, variant="on" if on else "off", reason=reason)

    flag = memory.InMemoryFlag("off", {"on": True, "off": False}, context_evaluator=evaluate)
    return through_client("memory", memory.InMemoryProvider({"f": flag}))


def flagd_provider(directory: Path) -> Ask:
    file = directory / "flagd.json"
    file.write_text(json.dumps({"flags": {"f": IN_FLAGD}}))
    flagd: Any = import_module("openfeature.contrib.provider.flagd")
    offline = import_module("openfeature.contrib.provider.flagd.config").ResolverType.FILE
    return through_client("flagd", flagd.FlagdProvider(resolver_type=offline, offline_flag_source_path=str(file)))


CASES = (
    Case(
        name="direct", unit="ns", better="lower", target="≤ 0.1 × peer",
        ours=contender("Insula", by_insula, "mmh3"),
        floor=contender("murmur3 and a comparison", floor, "mmh3"),
        peers=(
            contender("GrowthBook", by_growthbook, "growthbook"),
            contender("UnleashClient", by_unleash, "UnleashClient"),
            contender("flagd-core", by_flagd_core, "openfeature", "json_logic"),
        ),
    ),
    Case(
        name="openfeature client", unit="ns", better="lower", target="≤ 1 × in memory",
        ours=contender("Insula", insula_provider, "openfeature", "mmh3"),
        peers=(
            contender("OpenFeature in memory", in_memory_provider, "openfeature"),
            contender("OpenFeature + flagd", flagd_provider, "openfeature", "json_logic"),
        ),
    ),
)  # fmt: skip


if __name__ == "__main__":
    run(__doc__ or "", CASES)
