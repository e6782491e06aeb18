"""What a beginner gets wrong is refused with the parameter and the remedy, and never counts as a proof."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hello import OrderPlaced, PlaceOrder, loyalty, orders, shop
from insula import Command, Module, Query
from insula.kernel.errors import ConfigurationError
from insula.simulation import Client, Simulation, Snapshot, always, eventually, explore, invariant, simulate, sometimes
from insula.simulation.simulation import Stage

OpenStage = Callable[[Simulation], Stage]
ANN = PlaceOrder(customer="ann", euros=40)


class Bank:
    pass


class Unheard(Command[None]):
    pass


class Unanswered(Query[int]):
    pass


async def order_once(client: Client) -> None:
    await client.call(ANN)


def order_at_once(client: Client) -> None:
    pass


def undecorated(state: Snapshot) -> None:
    pass


@eventually
def all_is_well(state: Snapshot) -> None:
    pass


@invariant(after_commit="wallett")
def the_wallet_is_full(state: object) -> None:
    pass


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a module for a system": ({"system": orders}, r"system=.*System\("),
    "a number as workload": ({"workload": 3}, "workload=3: a list of commands"),
    "a text as workload": ({"workload": "abc"}, "workload='abc': a list of commands"),
    "one message as workload": ({"workload": ANN}, r"workload=PlaceOrder.*put it in a list"),
    "a plain def as workload": ({"workload": order_at_once}, "workload=order_at_once: .*`async def`"),
    "a class of messages as workload": ({"workload": PlaceOrder}, "workload=.*a list of commands"),
    "a class in the workload": ({"workload": [PlaceOrder]}, "workload: number 1, .* neither a command nor a query"),
    "an event in the workload": (
        {"workload": [ANN, OrderPlaced(customer="ann", euros=40)]}, "workload: number 2, OrderPlaced.*publishes it",
    ),
    "a plain def as setup": ({"setup": order_at_once}, "setup=order_at_once: .*`async def`"),
    "an invariant without a decorator": ({"invariants": [undecorated]}, "invariants: .*undecorated.*@eventually"),
    "an invariant without a list": ({"invariants": all_is_well}, "invariants=.*a list is expected"),
    "an invariant of a module that is not there": (
        {"invariants": [the_wallet_is_full]}, "'the wallet is full'.*'wallett'.*its modules are loyalty, orders",
    ),
    "topology as a list": ({"topology": [[orders], [loyalty]]}, "topology=.*a mapping"),
    "an unknown topology": ({"topology": "appart"}, "topology='appart'"),
    "names in the topology": ({"topology": {"all": ["orders", "loyalty"]}}, "'all' names 'orders'; give the module"),
    "a name for a list in the topology": ({"topology": {"all": "orders"}}, "'all' needs a list of modules"),
    "a module of another system in the topology": (
        {"topology": {"all": [orders, loyalty, Module("other")]}}, "'all' has module 'other', which is not in",
    ),
    "replicas of nobody": ({"replicas": {"order": 2}}, "there is no process 'order' .* processes are loyalty, orders"),
    "replicas without a number": ({"replicas": {"orders": "two"}}, "'orders' has 'two'; give a number from 1"),
    "no replica at all": ({"replicas": {"orders": 0}}, "'orders' has 0; give a number from 1"),
    "replicas as a list": ({"replicas": ["orders"]}, "replicas=.*a mapping"),
    "a module in no process": ({"topology": {"all": [orders]}}, "loyalty must be in exactly one process"),
    "an instance as stand-in": ({"ports": {Bank: Bank()}}, "ports: Bank has .*give a class"),
    "ports without stand-ins": ({"ports": [Bank]}, "ports=.*a mapping"),
    "a refusal without a list": ({"refusals": {Bank: ValueError()}}, "refusals: Bank has .*put it in a list"),
    "a negative weight": ({"faults": {"crash": -1}}, "faults={'crash': -1}: a weight cannot be below 0"),
    "a fault that does not exist": ({"faults": {"crush": 1}}, "faults=.*crush.*no such kind"),
}  # fmt: skip


@pytest.mark.parametrize(("parameters", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_when_the_simulation_is_made(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Simulation(**{"system": shop, "workload": [ANN], **parameters})


def test_a_workload_that_was_called_is_told_to_be_a_call() -> None:
    with pytest.raises(ConfigurationError, match=r"workload=order_once\(\.\.\.\): .*without parentheses"):
        Simulation(shop, order_once(None))  # type: ignore[arg-type]


@pytest.mark.parametrize("decorator", [always, eventually, sometimes, invariant(after_commit=orders)])
def test_an_invariant_that_nobody_would_await_is_refused(decorator: Callable[[Any], object]) -> None:
    async def never_awaited(state: Snapshot) -> None:
        raise AssertionError

    with pytest.raises(ConfigurationError, match=r"never_awaited .*make it a plain def"):
        decorator(never_awaited)


@pytest.mark.parametrize("parameter", ["ports", "refusals"])
def test_a_port_that_no_module_binds_is_refused(open_stage: OpenStage, parameter: str) -> None:
    simulation = Simulation(shop, [ANN], **{parameter: {Bank: Bank if parameter == "ports" else [ValueError()]}})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=rf"{parameter}: no module of .* binds Bank.*bound are none"):
        open_stage(simulation)


@pytest.mark.parametrize("message", [Unheard(), Unanswered()])
def test_a_message_that_no_module_handles_is_refused(open_stage: OpenStage, message: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"workload: no module of .* handles {type(message).__name__}"):
        open_stage(Simulation(shop, [ANN, message]))


def test_asking_for_a_stand_in_that_was_not_given_says_so(open_stage: OpenStage) -> None:
    @eventually
    def the_bank_is_there(state: Snapshot) -> None:
        state.stand_in(Bank)

    outcome = open_stage(Simulation(shop, [ANN], [the_bank_is_there])).run(1)
    assert outcome.violation is not None
    assert "ports={Bank: StandIn}" in outcome.violation.detail


def test_asking_for_a_module_that_is_not_there_says_so(open_stage: OpenStage) -> None:
    @eventually
    def the_wallet_is_there(state: Snapshot) -> None:
        state.scalar("wallet", "select 1")

    outcome = open_stage(Simulation(shop, [ANN], [the_wallet_is_there])).run(1)
    assert outcome.violation is not None
    assert "no module 'wallet' in the system; there are orders, loyalty" in outcome.violation.detail


def test_parameters_beside_a_simulation_that_has_its_own_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="workload= is given beside a Simulation"):
        simulate(Simulation(shop, [ANN]), [ANN])


async def test_a_simulation_inside_a_running_loop_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="plain `def` test"):
        simulate(shop, [ANN])


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_worker_is_refused(workers: int) -> None:
    with pytest.raises(ConfigurationError, match=f"workers={workers}"):
        explore(Simulation(shop, [ANN]), workers=workers)


def test_a_hunt_with_nothing_to_do_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nothing to run"):
        explore(Simulation(shop, [ANN]), seeds=0, every_single_fault=False)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_workload_that_forgets_to_await_is_refused() -> None:
    async def forgetful(client: Client) -> None:
        client.call(ANN)  # type: ignore[unused-coroutine]

    with pytest.raises(ConfigurationError, match=r"workload=forgetful: .*is an `await` missing"):
        explore(Simulation(shop, forgetful), seeds=1, every_single_fault=False, cross_check=False)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_setup_that_forgets_to_await_is_refused(open_stage: OpenStage) -> None:
    async def forgetful(client: Client) -> None:
        client.call(ANN)  # type: ignore[unused-coroutine]

    with pytest.raises(ConfigurationError, match="setup: it asked for nothing"):
        open_stage(Simulation(shop, [ANN], setup=forgetful))


def test_a_workload_may_only_let_time_pass() -> None:
    async def patient(client: Client) -> None:
        await client.sleep(60)

    explore(Simulation(shop, patient), seeds=1, every_single_fault=False, cross_check=False)


def test_no_workload_at_all_may_be_meant_so() -> None:
    explore(Simulation(shop, []), seeds=1, every_single_fault=False, cross_check=False)
