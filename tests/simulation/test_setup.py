"""Every run begins with all that the setup has stored, whoever looked at it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from hello import PlaceOrder, loyalty, orders, placed, points, shop
from insula import Command, Module, System, UnitOfWork
from insula.kernel.errors import ConfigurationError
from insula.simulation import Plan, Simulation, Snapshot, always, eventually
from insula.simulation.simulation import Stage
from support.hello_simulation import HELLO


class Charge(Command[None]):
    euros: int


class Bank:
    def __init__(self) -> None:
        self.charges: list[int] = []

    def charge(self, euros: int) -> None:
        self.charges.append(euros)


class Ledger(Bank):
    pass


class LockedBank(Bank):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def till() -> System:
    module = Module("till")
    module.bind(Bank, Bank)
    module.bind(Ledger, Ledger)

    @module.handle(Charge)
    async def charge(command: Charge, bank: Bank, ledger: Ledger, work: UnitOfWork) -> None:
        bank.charge(command.euros)

    return System("till", module)


@always
def an_order_is_there(state: Snapshot) -> bool:
    return state.rows(orders, select(func.sum(placed.c.euros))) != []


def test_an_invariant_may_read_a_module_that_has_not_started_yet(open_stage: Callable[[Simulation], Stage]) -> None:
    stage = open_stage(Simulation(shop, [PlaceOrder(customer="ann", euros=7)], [an_order_is_there]))
    slow_start = {("crash-anywhere", "orders, life 1"): [1, 0.5]}
    assert stage.run(1, Plan(1, slow_start)).violation is None


def test_a_check_that_cannot_be_made_is_a_violation(open_stage: Callable[[Simulation], Stage]) -> None:
    @eventually
    def there_is_such_a_table(state: Snapshot) -> None:
        state.scalar(orders, "select 1 from no_such_table")

    outcome = open_stage(Simulation(shop, HELLO.workload, [there_is_such_a_table])).run(1, Plan(1))
    assert outcome.violation is not None
    assert "no such table" in outcome.violation.detail


def test_a_setup_may_do_what_the_workload_does_and_break_what_must_hold_in_the_end(
    open_stage: Callable[[Simulation], Stage],
) -> None:
    @eventually
    def nobody_has_more_than_forty_points(state: Snapshot) -> None:
        assert (state.scalar(loyalty, select(func.sum(points.c.earned))) or 0) != 40

    ann = [PlaceOrder(customer="ann", euros=40)]
    outcome = open_stage(Simulation(shop, ann, [nobody_has_more_than_forty_points], setup=ann)).run(1, Plan(1))
    assert outcome.violation is None


def test_every_run_begins_with_the_stand_ins_that_the_setup_left(open_stage: Callable[[Simulation], Stage]) -> None:
    seen: list[list[int]] = []

    @eventually
    def both_charges_are_there(state: Snapshot) -> None:
        seen.append(state.stand_in(Bank).charges)
        assert state.stand_in(Bank).charges == [1, 2]

    stage = open_stage(
        Simulation(till(), [Charge(euros=2)], [both_charges_are_there], setup=[Charge(euros=1)], ports={Bank: Bank})
    )
    assert [stage.run(seed, Plan(seed)).violation for seed in (1, 2)] == [None, None]
    assert seen[0] is not seen[1]


def test_stand_ins_that_share_something_share_it_in_every_run(open_stage: Callable[[Simulation], Stage]) -> None:
    one_bank = Bank()

    @eventually
    def both_are_one(state: Snapshot) -> None:
        assert state.stand_in(Bank) is state.stand_in(Ledger)
        assert state.stand_in(Bank) is not one_bank

    ports = {Bank: lambda: one_bank, Ledger: lambda: one_bank}
    assert open_stage(Simulation(till(), [Charge(euros=2)], [both_are_one], ports=ports)).run(1).violation is None


def test_a_stand_in_that_cannot_be_copied_is_named(open_stage: Callable[[Simulation], Stage]) -> None:
    simulation = Simulation(till(), [Charge(euros=2)], ports={Bank: LockedBank})
    with pytest.raises(ConfigurationError, match=r"what stands for Bank \(LockedBank\) cannot be copied.*__deepcopy__"):
        open_stage(simulation)
