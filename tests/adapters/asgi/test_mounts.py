"""Existing ASGI applications live under a path, with their lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from insula.adapters.asgi.lifespan import Lifespan
from insula.kernel.errors import ConfigurationError
from insula.messages import Command
from insula.modules.module import Module


class PlaceOrder(Command[None]):
    pass


async def place_order(command: PlaceOrder) -> None:
    return None


def existing(events: list[str], name: str = "old", fails: bool = False) -> Starlette:
    @asynccontextmanager
    async def lifespan(application: Any) -> AsyncIterator[dict[str, str]]:
        if fails:
            raise RuntimeError("no database")
        events.append(f"{name} up")
        yield {"name": name}
        events.append(f"{name} down")

    async def greet(request: Request) -> JSONResponse:
        return JSONResponse({"by": request.state.name, "root": request.scope["root_path"]})

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    return Starlette(
        routes=[Route("/greet", greet), Route("/orders", greet), WebSocketRoute("/talk", talk)], lifespan=lifespan
    )


async def bare(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await PlainTextResponse("bare")(scope, receive, send)


def module_with(name: str, *mounts: tuple[str, Any]) -> Module:
    module = Module(name)
    for path, application in mounts:
        module.mount(path, application)
    return module


async def test_a_mounted_application_answers_below_its_path_with_its_own_state(serve: Any) -> None:
    client = serve(module_with("legacy", ("/old", existing([]))))
    lifespan = Lifespan(client.application, "shop")
    await lifespan.start()
    answer = await client.send("GET", "/old/greet")
    await lifespan.stop()
    assert (answer.status, answer.json) == (200, {"by": "old", "root": "/old"})


async def test_mounted_applications_start_in_order_and_stop_in_reverse(serve: Any) -> None:
    events: list[str] = []
    client = serve(
        module_with("one", ("/a", existing(events, "a")), ("/bare", bare)),
        module_with("two", ("/b", existing(events, "b"))),
    )
    lifespan = Lifespan(client.application, "shop")
    await lifespan.start()
    assert events == ["a up", "b up"]
    assert (await client.send("GET", "/bare/x")).body == b"bare"
    await lifespan.stop()
    assert events == ["a up", "b up", "b down", "a down"]


async def test_one_that_refuses_to_start_is_named_and_the_others_are_stopped(serve: Any) -> None:
    events: list[str] = []
    client = serve(module_with("legacy", ("/a", existing(events, "a")), ("/b", existing(events, "b", fails=True))))
    with pytest.raises(
        ConfigurationError, match=r"mount\('/b'\).*refused to start: RuntimeError: no database$"
    ) as refused:
        await Lifespan(client.application, "shop").start()
    assert "test_mounts.py" in str(refused.value)
    assert events == ["a up", "a down"]


async def test_the_longest_path_wins_and_a_path_is_whole_segments(serve: Any) -> None:
    client = serve(module_with("legacy", ("/old", existing([])), ("/old/new", bare)))
    assert (await client.send("GET", "/old/new/greet")).body == b"bare"
    assert (await client.send("GET", "/older/greet")).status == 404


async def test_an_application_at_the_root_keeps_what_routes_have_not_taken_over(bus: Any, serve: Any) -> None:
    module = module_with("legacy", ("/", existing([])))
    module.post("/orders", status=204)(place_order)
    module.handle(PlaceOrder)(place_order)
    client = serve(module)
    lifespan = Lifespan(client.application, "shop")
    await lifespan.start()
    statuses = [
        (await client.send(method, path)).status
        for method, path in (("POST", "/orders"), ("GET", "/orders"), ("GET", "/greet"), ("GET", "/nothing"))
    ]
    await lifespan.stop()
    assert statuses == [204, 200, 200, 404]
    assert bus.calls == [PlaceOrder()]


async def test_websockets_reach_mounted_applications_and_are_closed_elsewhere(serve: Any) -> None:
    client = serve(module_with("legacy", ("/old", existing([]))))
    assert await socket_events(client, "/old/talk") == ["websocket.accept", "websocket.send", "websocket.close"]
    assert await socket_events(client, "/nothing") == ["websocket.close"]
    assert await socket_events(serve(module_with("plain")), "/old/talk") == ["websocket.close"]


async def socket_events(client: Any, path: str) -> list[str]:
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event["type"])

    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "headers": [],
        "query_string": b"",
        "root_path": "",
    }
    await client.application(scope, receive, send)
    return sent


async def test_further_routes_of_the_framework_are_served_beside(serve: Any) -> None:
    async def pause(request: Request) -> JSONResponse:
        return JSONResponse({"paused": request.path_params["module"]})

    client = serve(
        module_with("legacy", ("/", existing([]))),
        extra_routes=[Route("/_insula/pause/{module}", pause, methods=["POST"])],
    )
    answer = await client.send("POST", "/_insula/pause/orders", b"{}")
    assert answer.json == {"paused": "orders"}


async def test_an_application_that_fails_to_stop_is_named() -> None:
    async def sour(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "still busy"})

    lifespan = Lifespan(sour, "the sour one")
    await lifespan.start()
    with pytest.raises(ConfigurationError, match="the sour one failed to stop: still busy"):
        await lifespan.stop()
