"""A run as text: what is violated, the faults in words, and a line for each thing that happened."""

from __future__ import annotations

from collections.abc import Callable

from insula.simulation import Plan, Simulation
from insula.simulation.faults import described
from insula.simulation.simulation import Stage
from insula.simulation.telling.timeline import timeline
from support.hello_simulation import HELLO
from support.race import FIVE_PAYMENTS, race, the_balance_is_what_was_paid
from support.told_runs import a_mean_run

OpenStage = Callable[[Simulation], Stage]


def test_a_run_reads_as_a_story() -> None:
    assert (
        timeline(a_mean_run())
        == """\
VIOLATED  stock is never below 0
          <script>alert("1")</script> has -1 [31m
          seed 7, at 9.000 s

faults: 3
   1  crash      orders: after commit of orders.place_order[1]: the process dies; it starts again after 3.2 s
   2  disk-full  stock: commit of stock: cursor on the log of orders: the disk is full for 0.5 s
   3  loss       orders → stock: OrderPlaced[9]: it gets lost, and is sent again later (not reached)

operations: 1
  [1]  PlaceOrder(name='<script>alert("1")</script>'): rejected: Unknown: <script>alert("1")</script>

            client
            │  orders
            │  │  stock
     1.000  ●─▶┤  │ client: PlaceOrder[1] → orders
     1.100  │  ●  │ orders.place_order[1] → OrderPlaced[1]
!    1.100  │  ✗  │ (1) orders: crash: after commit of orders.place_order[1]; down for 3.2 s
!    1.100  ✗×─┤  │ client: PlaceOrder[1] gets no answer: ConnectionLost
!    1.200  │     ✗ (2) stock: disk full: commit of stock: cursor on the log of orders (× 2, until 1.400)
     4.300  │  ●  │ orders: starts again, life 2
     4.400  │  ├─▶● stock: receives OrderPlaced[1] from orders
     4.400  │  │  ● stock.reserve[1]
     4.500  ●◀─┤  │ client: PlaceOrder[1] is rejected: Unknown: <script>alert("1")</script>
>    9.000  ━━━━━━━ VIOLATED stock is never below 0: <script>alert("1")</script> has -1 [31m"""
    )


def test_the_same_run_gives_the_same_text(open_stage: OpenStage) -> None:
    stage = open_stage(HELLO)
    first = stage.run(4)
    assert timeline(stage.run(4)) == timeline(first)
    assert timeline(stage.run(4, Plan.from_json(first.plan.to_json()))) == timeline(first)


def test_every_fault_of_the_plan_is_named_and_nothing_is_wider_than_120(open_stage: OpenStage) -> None:
    stage = open_stage(HELLO)
    kinds: set[str] = set()
    for seed in range(30):
        outcome = stage.run(seed)
        text = timeline(outcome)
        words = " ".join(text.split())
        for lane, key in outcome.plan.faults:
            assert f" {lane} " in words
            assert described(lane, outcome.plan.choices[lane, key]) in words
        assert max(len(line) for line in text.splitlines()) <= 120
        kinds.update(lane for lane, _ in outcome.plan.faults)
    assert len(kinds) > 8


def test_each_fault_that_struck_stands_in_the_story_with_its_number(open_stage: OpenStage) -> None:
    stage = open_stage(HELLO)
    for seed in range(30):
        outcome = stage.run(seed)
        text = timeline(outcome)
        for number, (lane, _) in enumerate(outcome.plan.faults, 1):
            shown = f" ({number}) " in text
            assert shown or ("(not reached)" in " ".join(text.split()) and lane == "crash-anywhere"), text


def test_services_that_take_no_part_have_no_lane() -> None:
    assert "idle" not in timeline(a_mean_run())


def test_what_a_service_asks_another_is_told(open_stage: OpenStage) -> None:
    stage = open_stage(Simulation(race, FIVE_PAYMENTS[:1], [the_balance_is_what_was_paid]))
    text = timeline(stage.run(1, Plan(1)))
    assert text.startswith("HELD")
    assert "till: GetBalance[1] → books" in text
    assert "till: books answers GetBalance[1]" in text
