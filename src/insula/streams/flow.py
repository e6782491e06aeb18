"""Flows: a source, stages and an end, with demand that goes upstream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

from insula.kernel.clock import Clock
from insula.streams.buffering import BufferStage
from insula.streams.channel import Channel
from insula.streams.counters import Counters, Tallies
from insula.streams.delivery import Delivery
from insula.streams.gathering import BatchStage, GatheringStage
from insula.streams.grouping import Batches, Window, Windows
from insula.streams.joining import DistributionStage, MergeStage
from insula.streams.mapping import ConcurrentMapStage, MapStage, Treatment
from insula.streams.overflow import Overflow
from insula.streams.pacing import Pace, TakeStage, TeeStage, ThrottleStage
from insula.streams.parameters import a_callable, callable_name, clock_of, duration, strategy, whole_number
from insula.streams.plan import Opening, Plan, Step, open_steps
from insula.streams.sources import AsyncSource, IterableSource, Runs, SubscriptionSource, ThreadSource
from insula.streams.stage import Position, Stage

T = TypeVar("T")
R = TypeVar("R")
D = TypeVar("D", bound=Delivery)


class Flow(Generic[T]):
    """A source and the stages its items pass; it runs when somebody takes from its end, and only as far as asked.

    `async for item in flow`, `await flow.run()` or `await flow.collect(limit=...)`. Each stage is a new flow, so a flow
    can be kept and shared, and run again if its source can be iterated again, as a list can. A source that is its own
    iterator (a generator, a channel) serves one run; the next raises RuntimeError. Whatever ends a run (the last item,
    an error, the cancellation of whoever takes) stops every stage's tasks, and closes a source that is a generator,
    before the run is over; a thread ends at its next item. An error is raised as it is, with a note that names the
    stage. Leave an `async for` early only within `contextlib.aclosing(aiter(flow))`, or end the flow with `take`.

    Parameters: `source`, async or plain iterable; a plain one must not block (see `from_thread`); `clock` for all that
    has to do with time (default: that of the process).
    """

    __slots__ = ("plan",)

    def __init__(self, source: AsyncIterable[T] | Iterable[T] | Plan, *, clock: Clock | None = None) -> None:
        runs = Runs()
        if isinstance(source, Plan):
            self.plan = source
        elif isinstance(source, AsyncIterable):
            self.plan = Plan(Step("source", lambda position: AsyncSource(position, source, runs)), clock_of(clock))
        elif isinstance(source, Iterable):
            self.plan = Plan(Step("source", lambda position: IterableSource(position, source, runs)), clock_of(clock))
        else:
            raise TypeError(f"Flow: source={source!r} cannot be iterated, neither with `for` nor with `async for`")

    @classmethod
    def from_thread(
        cls, function: Callable[[], Iterable[T]], *, ahead: int = 16, clock: Clock | None = None
    ) -> Flow[T]:
        """A flow of what a function that blocks gives, such as a generator that reads a file; it runs on a thread.

        The thread is at most `ahead` items ahead (default 16). It cannot be stopped in the middle: when the flow ends
        early, the generator is closed at its next item.
        """
        function = a_callable("Flow.from_thread", "function", function, "from_thread(lambda: open(path))")
        ahead = whole_number("Flow.from_thread", "ahead", ahead)
        source = Step(f"source {callable_name(function)}", lambda position: ThreadSource(position, function, ahead))
        return cls(Plan(source, clock_of(clock)))

    @staticmethod
    def from_subscription(subscription: AsyncIterable[D], *, in_flight: int, clock: Clock | None = None) -> Flow[D]:
        """A flow of deliveries, each acknowledged (`ack`) when it has left the end of the flow.

        That is when whoever takes comes back for the next item; all of a batch together; what is filtered out, dropped
        or diverted at once. At most `in_flight` are pulled and not acknowledged. What a flow did not finish is not
        acknowledged, and its sender delivers it again.
        """
        in_flight = whole_number("Flow.from_subscription", "in_flight", in_flight)
        runs = Runs()
        source = Step("subscription", lambda position: SubscriptionSource(position, subscription, runs, in_flight))
        return Flow(Plan(source, clock_of(clock), in_flight=in_flight))

    @overload
    def map(
        self,
        function: Callable[[T], Awaitable[R]],
        *,
        concurrency: int = 1,
        ordered: bool = True,
        divert: Callable[[T, Exception], object] | None = None,
    ) -> Flow[R]: ...

    @overload
    def map(
        self,
        function: Callable[[T], R],
        *,
        concurrency: int = 1,
        ordered: bool = True,
        divert: Callable[[T, Exception], object] | None = None,
    ) -> Flow[R]: ...

    def map(
        self,
        function: Callable[[T], Any],
        *,
        concurrency: int = 1,
        ordered: bool = True,
        divert: Callable[[T, Exception], object] | None = None,
    ) -> Flow[Any]:
        """Each item becomes what `function`, plain or async, makes of it.

        Parameters: `concurrency`, how many at once (default 1; more need an async function, else the first item
        raises TypeError); `ordered`, whether results keep the order of the items or come as they are completed
        (default: ordered); `divert`, plain or async, is called with an item that failed and its error, which then goes
        no further (default: the error ends the flow).
        """
        return self._treat("map", Treatment(function, keeps=False, divert=divert), concurrency, ordered=ordered)

    def filter(
        self,
        predicate: Callable[[T], bool] | Callable[[T], Awaitable[bool]],
        *,
        concurrency: int = 1,
        ordered: bool = True,
        divert: Callable[[T, Exception], object] | None = None,
    ) -> Flow[T]:
        """Only items that `predicate`, plain or async, is true for go on. Parameters as for `map`."""
        return self._treat("filter", Treatment(predicate, keeps=True, divert=divert), concurrency, ordered=ordered)

    def batch(self, size: int, *, within: float | timedelta | None = None) -> Flow[list[T]]:
        """Lists of `size` items; fewer at the end, or `within` seconds after the first one (default: no limit)."""
        size = whole_number("Flow.batch", "size", size)
        if within is not None:
            batches = Batches(size, duration("Flow.batch", "within", within))
            return self._then(f"batch({size})", lambda position: GatheringStage(position, batches))
        batched = self.plan.then(f"batch({size})", lambda position: BatchStage(position, size))
        weight, needs = self.plan.weight, self.plan.needs
        return Flow(batched.holding(weight * size, needs + weight * (size - 1)))

    def window(self, seconds: float | timedelta, *, limit: int) -> Flow[Window[T]]:
        """The items of each window of so many seconds, by the clock on the wall; windows without items are left out.

        A window ends with its time, also when nothing arrives. One with more than `limit` items comes in parts.
        """
        windows = Windows(duration("Flow.window", "seconds", seconds), whole_number("Flow.window", "limit", limit))
        return self._then(f"window({windows.seconds:g} s)", lambda position: GatheringStage(position, windows))

    def buffer(self, size: int, *, overflow: Overflow = Overflow.BLOCK) -> Flow[T]:
        """Pull up to `size` items ahead of whoever takes, and when that is full do what `overflow` says."""
        size, overflow = whole_number("Flow.buffer", "size", size), strategy("Flow.buffer", overflow)
        return self._then(f"buffer({size})", lambda position: BufferStage(position, size, overflow))

    def throttle(self, count: int, *, per: float | timedelta = 1.0, burst: int = 1) -> Flow[T]:
        """Pull `count` items `per` so many seconds (default 1), evenly; after a pause up to `burst` come at once."""
        if isinstance(count, float):
            raise TypeError(
                f"Flow.throttle: count={count!r} is no whole number; write the time, such as throttle(1, per=2.5)"
            )
        count, burst = whole_number("Flow.throttle", "count", count), whole_number("Flow.throttle", "burst", burst)
        interval = duration("Flow.throttle", "per", per) / count
        return self._then(f"throttle({count})", lambda position: ThrottleStage(position, Pace(interval, burst)))

    def tee(self, channel: Channel[T]) -> Flow[T]:
        """Send each item to a channel as well, as far as its `overflow` says; a full one that blocks holds the flow up.

        The channel is closed at the end of the flow, and fails with it. Once its receiver has left, items only go on.
        """
        if not isinstance(channel, Channel):
            raise TypeError(
                f"Flow.tee: channel={channel!r} is no Channel; write tee(channel), and threads read channel.blocking"
            )
        return self._then("tee", lambda position: TeeStage(position, channel))

    def take(self, count: int) -> Flow[T]:
        """End after so many items."""
        count = whole_number("Flow.take", "count", count)
        return self._then(f"take({count})", lambda position: TakeStage(position, count))

    def merge(self, *others: Flow[T]) -> Flow[T]:
        """The items of several flows as they come, each pulled one ahead. The first error ends all."""
        if not others:
            raise ValueError("Flow.merge: there is no other flow; write merge(other), with one flow or more")
        for other in others:
            if not isinstance(other, Flow):
                raise TypeError(f"Flow.merge: {other!r} is no Flow; write merge(Flow(source))")
        plans = [other.plan for other in others]

        def opening(position: Position) -> Stage[Any]:
            return MergeStage(replace(position, upstream=(*position.upstream, *(plan.open() for plan in plans))))

        return self._then(f"merge({len(others)})", opening)

    def partition(self, key: Callable[[T], object], *, lanes: int, each: Callable[[Flow[T]], Flow[R]]) -> Flow[R]:
        """Spread the items over lanes by their key: keys keep their order, lanes run side by side.

        Parameters: `key`, of an item, hashable; `lanes`, how many; `each`, the stages of a lane, built once onto the
        flow it is given: `each=lambda lane: lane.map(store)`.
        Raises ValueError if `each` returns anything else.
        """
        key = a_callable("Flow.partition", "key", key, "partition(lambda item: item.customer, ...)")
        each = a_callable("Flow.partition", "each", each, "each=lambda lane: lane.map(store)")
        lanes = whole_number("Flow.partition", "lanes", lanes)
        beginning = replace(self.plan, steps=(), numbering=f"{self.plan.next_number()}.")
        built = each(Flow(beginning))
        if not isinstance(built, Flow) or built.plan.source is not beginning.source:
            raise ValueError(
                "Flow.partition: each= must return a flow that is built onto the one it is given, "
                f"such as each=lambda lane: lane.map(store); it returned {built!r}"
            )
        lane = built.plan

        def opening(position: Position) -> Stage[Any]:
            distribution = DistributionStage(position, key, lanes)
            ends = tuple(open_steps(lane.steps, position.clock, stage) for stage in distribution.lanes)
            return MergeStage(Position(position.name, Tallies(), position.clock, ends))

        needs = self.plan.needs + lanes * (lane.needs - self.plan.needs)
        parted = self.plan.then(f"partition({callable_name(key)})", opening, lane.steps)
        return Flow(parted.holding(lane.weight, needs))

    def __aiter__(self) -> AsyncGenerator[T, None]:  # noqa: PYI058 - `aclosing` needs to know that it has `aclose`
        return self.plan.run()

    async def run(self) -> int:
        """Take everything, for the sake of what the stages do; returns how many items left the end."""
        count = 0
        async with aclosing(self.plan.run()) as items:
            async for _ in items:
                count += 1
        return count

    async def collect(self, *, limit: int) -> list[T]:
        """All items as a list. Raises OverflowError, and ends the flow, if there are more than `limit`."""
        limit = whole_number("Flow.collect", "limit", limit)
        collected: list[T] = []
        async with aclosing(self.plan.run()) as items:
            async for item in items:
                if len(collected) == limit:
                    raise OverflowError(f"Flow.collect: more than limit={limit} items; `take` ends a flow early")
                collected.append(item)
        return collected

    def counters(self) -> tuple[Counters, ...]:
        """What passed each stage, the source first, over all runs until now."""
        steps = (self.plan.source, *self.plan.steps)
        return tuple(counters for step in steps for counters in step.counters())

    def _treat(self, verb: str, treatment: Treatment, concurrency: int, *, ordered: bool) -> Flow[Any]:
        a_callable(
            f"Flow.{verb}", "function" if verb == "map" else "predicate", treatment.function, f"{verb}(function)"
        )
        if treatment.divert is not None:
            a_callable(f"Flow.{verb}", "divert", treatment.divert, "divert=lambda item, error: ...")
        concurrency = whole_number(f"Flow.{verb}", "concurrency", concurrency)

        def opening(position: Position) -> Stage[Any]:
            if concurrency == 1:
                return MapStage(position, treatment)
            return ConcurrentMapStage(position, replace(treatment, awaits=True), concurrency, ordered=ordered)

        return self._then(f"{verb}({callable_name(treatment.function)})", opening)

    def _then(self, name: str, opening: Opening) -> Flow[Any]:
        return Flow(self.plan.then(name, opening))
