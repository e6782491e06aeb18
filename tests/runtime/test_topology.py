"""A topology says which modules share a process; what cannot run is refused before anything starts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from insula import Module, System
from insula.kernel.errors import ConfigurationError
from insula.runtime.configuration import Configuration
from insula.runtime.topology import planned

shop = System("shop", *(Module(name) for name in ("orders", "billing", "shipping")))
SERVICES: dict[str, Any] = {"database": "postgresql://127.0.0.1/{module}", "transport": "nats://127.0.0.1:4222"}


def configured(**topologies: Any) -> Configuration:
    """A configuration with these topologies, as the file would give them."""
    return msgspec.convert({"topology": topologies}, Configuration)


def test_without_any_configuration_everything_runs_in_one_process() -> None:
    plan = planned(shop, Configuration(), "local")
    assert [(each.name, each.modules, each.port) for each in plan.processes] == [
        ("shop", ("orders", "billing", "shipping"), 8000)
    ]
    assert (plan.database, plan.transport) == ("", "")


def test_modules_that_nobody_places_have_a_process_of_their_own() -> None:
    plan = planned(
        shop, configured(services={**SERVICES, "processes": {"money": {"modules": ["billing"]}}}), "services"
    )
    assert [(each.name, each.modules, each.port) for each in plan.processes] == [
        ("money", ("billing",), 8001),
        ("orders", ("orders",), 8002),
        ("shipping", ("shipping",), 8003),
    ]


def test_replicas_are_numbered_and_reached_at_their_own_ports() -> None:
    processes = {"orders": {"modules": ["orders"], "replicas": 2, "port": 9000}, "rest": {"modules": ["billing"]}}
    plan = planned(shop, configured(services={**SERVICES, "processes": processes}), "services")
    assert [each.name for each in plan.processes] == ["orders-1", "orders-2", "rest", "shipping"]
    assert plan.addresses() == {
        "orders": ["http://127.0.0.1:9000", "http://127.0.0.1:9001"],
        "billing": ["http://127.0.0.1:9002"],
        "shipping": ["http://127.0.0.1:9003"],
    }
    assert plan.process("rest").modules == ("billing",)


def broken(**changes: Any) -> dict[str, Any]:
    """The topology with something in it that cannot be."""
    return {**SERVICES, **changes}


def placed(**processes: Any) -> dict[str, Any]:
    """The topology with these processes."""
    return broken(processes=processes)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (placed(a={"modules": ["order"]}), "processes.a: the system has no module 'order'; did you mean orders?"),
        (placed(a={"modules": ["orders"]}, b={"modules": ["orders"]}), "module orders runs in 2 processes"),
        (placed(a={"modules": []}), "processes.a: modules is empty"),
        (broken(database="", processes={"a": {"modules": ["orders"], "replicas": 2}}), "replicas=2 need a database"),
        (broken(transport=""), "several processes need a broker"),
        (broken(database="postgresql://127.0.0.1/shop"), "no {module} in the address"),
        (
            placed(a={"modules": ["orders"], "port": 9000}, b={"modules": ["billing"], "port": 9000}),
            "b and a both take port 9000",
        ),
        (broken(first_port=65_534), "would take port 65536; write a lower first_port"),
    ],
)
def test_what_cannot_run_is_refused_with_its_place(section: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        planned(shop, configured(services=section), "services")
    assert told in str(refusal.value)
    assert "[topology.services]" in str(refusal.value)


def test_an_unknown_topology_and_an_unknown_process_are_told_with_those_there_are() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no \[topology.service\]; did you mean services\? there are services"
    ):
        planned(shop, configured(services=SERVICES), "service")
    with pytest.raises(ConfigurationError, match="no process 'order'; did you mean orders"):
        planned(shop, configured(services=SERVICES), "services").process("order")
