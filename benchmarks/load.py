"""A load generator for one HTTP endpoint: keep-alive connections, each with one request on its way at a time.

It runs as a process of its own (`python -m benchmarks.load --help`), on another core than the server, and costs far
less a request than any server here, so that it is the server that is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from statistics import quantiles
from typing import cast

import httptools
import uvloop


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered, until the time is over."""

    def __init__(self, request: bytes, expected_status: int) -> None:
        self.latencies_seconds: list[float] = []
        self.failure: str | None = None
        self._request = request
        self._expected_status = expected_status
        self._body = b""
        self._started = self._end = 0.0
        self._finished = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._parser = httptools.HttpResponseParser(self)

    async def run(self, end: float) -> None:
        """Keep one request on its way until `time.perf_counter()` reaches `end`."""
        self._end = end
        self._send()
        await self._finished
        self._transport.close()

    def _send(self) -> None:
        self._started = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body = body

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        if self._parser.get_status_code() != self._expected_status:
            self._finish(f"answered {self._parser.get_status_code()}: {self._body.decode(errors='replace')}")
            return
        self.latencies_seconds.append(now - self._started)
        if now < self._end:
            self._parser = httptools.HttpResponseParser(self)
            self._send()
        else:
            self._finish(None)

    def connection_lost(self, exception: Exception | None) -> None:
        self._finish("the server closed the connection")

    def _finish(self, failure: str | None) -> None:
        if not self._finished.done():
            self.failure = failure
            self._finished.set_result(None)


def build_request(path: str, body: str) -> bytes:
    content = body.encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: benchmark\r\naccept: */*\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def load(options: argparse.Namespace) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    request = build_request(options.path, options.body)
    connections = [
        (await loop.create_connection(lambda: Connection(request, options.status), "127.0.0.1", options.port))[1]
        for _ in range(options.connections)
    ]
    started = time.perf_counter()
    await asyncio.gather(*(connection.run(started + options.seconds) for connection in connections))
    elapsed = time.perf_counter() - started
    failures = [connection.failure for connection in connections if connection.failure]
    if failures:
        sys.exit(f"{options.path} {failures[0]}")
    latencies = [latency * 1000 for connection in connections for latency in connection.latencies_seconds]
    percentiles = quantiles(latencies, n=100)
    return {"requests_per_second": len(latencies) / elapsed, "p50_ms": percentiles[49], "p99_ms": percentiles[98]}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--body", required=True, help="the JSON that every request posts")
    parser.add_argument("--status", type=int, default=200, help="any other answer ends the run with an error")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1.0)
    return parser.parse_args()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(load(arguments()))))
