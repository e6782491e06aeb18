"""python -m shop.traffic: seeds the running shop over HTTP, places orders, and waits until each has ended."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import aiohttp
import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBars

from insula.kernel import InsulaError, SeededRandomness, SystemClock, SystemRandomness
from insula.runtime import presence
from insula.runtime.configuration import Configuration
from shop.traffic.client import ShopClient
from shop.traffic.invention import invent
from shop.traffic.journey import Journey, Visit
from shop.traffic.northwind import NorthwindError, read_northwind
from shop.traffic.summary import figures, succeeded, table
from shop.traffic.workload import Workload

INVENTED_ORDERS = 500
ATTEMPT_SECONDS = 30.0


class Bars:
    """A progress bar for each phase."""

    def __init__(self, bars: ProgressBars) -> None:
        self._bars = bars
        self._current: TaskID | None = None

    def phase(self, name: str, total: int) -> None:
        """Begin the next bar."""
        self._current = self._bars.add_task(name, total=total)

    def step(self) -> None:
        """Move the current bar on."""
        if self._current is not None:
            self._bars.advance(self._current)


def traffic(
    url: Annotated[str, typer.Option(help="Where the shop is.")] = "http://127.0.0.1:8000",
    in_flight: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 32,
    northwind: Annotated[Path | None, typer.Option(help="Folder with the Northwind CSV files.")] = None,
    orders: Annotated[
        int | None,
        typer.Option(min=1, help=f"At most so many orders. Default: all of Northwind, or {INVENTED_ORDERS} made up."),
    ] = None,
    stock_factor: Annotated[float, typer.Option(min=0, help="Stock received per unit in the data.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Which orders are made up.")] = 1,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to keep trying while nothing works.")] = 120.0,
    name: Annotated[
        str, typer.Option(help="Name of this run: with the same name, a broken-off run goes on. Default: a new one.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Seed the running shop and place orders over HTTP, many at a time; then wait until each has ended.

    Every request carries an idempotency key and is repeated while the shop is away, so the shop may be killed and
    restarted meanwhile. Exits with 1 unless every order was accepted and ended confirmed or cancelled.

    Example: python -m shop.traffic --northwind northwind --in-flight 32
    """
    try:
        workload = invent(orders or INVENTED_ORDERS, seed) if northwind is None else read_northwind(northwind)
    except NorthwindError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    workload = replace(workload, purchases=workload.purchases[:orders])
    name = name or f"{SystemRandomness().bits(48):012x}"
    visit = asyncio.run(
        travel(
            workload,
            url=url,
            name=name,
            in_flight=in_flight,
            stock_factor=stock_factor,
            patience_seconds=patience,
            seed=seed,
        )
    )
    numbers = {"name": name, **figures(visit)}
    if json:
        print(msgspec.json.format(msgspec.json.encode(numbers)).decode())
    else:
        Console().print(table(numbers))
    raise typer.Exit(0 if succeeded(numbers) else 1)


async def travel(
    workload: Workload,
    *,
    url: str,
    name: str,
    in_flight: int,
    stock_factor: float,
    patience_seconds: float,
    seed: int,
) -> Visit:
    """Run the workload against the shop at `url`, with progress on standard error."""
    clock = SystemClock()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    connector = aiohttp.TCPConnector(limit=in_flight)
    timeout = aiohttp.ClientTimeout(total=ATTEMPT_SECONDS)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
        await _say_if_away(session, url, patience_seconds)
        with ProgressBars(*columns, console=Console(stderr=True)) as bars:
            client = ShopClient(session, clock, SeededRandomness(seed), patience_seconds=patience_seconds)
            journey = Journey(
                client,
                clock,
                Bars(bars),
                name=name,
                in_flight=in_flight,
                stock_factor=stock_factor,
                patience_seconds=patience_seconds,
            )
            return await journey.run(workload)


async def _say_if_away(session: aiohttp.ClientSession, url: str, patience_seconds: float) -> None:
    """Patience is for a shop that restarts; whoever has none running should hear of it first."""
    try:
        await (await session.get("/_insula/health")).read()
    except (aiohttp.ClientError, OSError) as error:
        print(
            f"no shop answers at {url} ({error}); {_where(url)}. Trying for {patience_seconds:g} s",
            file=sys.stderr,
        )


def _where(url: str) -> str:
    """What to do instead; a shop whose data lies in this directory is named by its addresses."""
    try:
        running = [process.url for process in presence.found(Path(Configuration().store.directory))]
    except InsulaError:
        running = []
    others = [each for each in running if each != url]
    if not others:
        return "start it with `make run`, or give its --url"
    return f"one runs at {', '.join(others)}: give --url {others[0]}"


if __name__ == "__main__":
    typer.run(traffic)
