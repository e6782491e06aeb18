"""What the application answers by itself."""

from __future__ import annotations

import re
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from insula.messages import Query
from insula.modules.module import Module

catalog = Module("catalog")


class GetPrice(Query[int]):
    sku: str


@catalog.get("/prices/{sku}")
@catalog.handle(GetPrice)
async def get_price(query: GetPrice) -> int:
    return 1


async def test_health_says_whether_the_process_lives(serve: Any) -> None:
    living = await serve(catalog).send("GET", "/_insula/health")
    dead = await serve(catalog, alive=lambda: False).send("GET", "/_insula/health")
    assert (living.status, living.json) == (200, {"status": "alive"})
    assert (dead.status, dead.json) == (503, {"status": "failed"})


async def test_readiness_is_asked_each_time(serve: Any) -> None:
    states = iter((False, True, False))
    client = serve(catalog, ready=lambda: next(states))
    answers = [await client.send("GET", "/_insula/ready") for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 200, 503]
    assert answers[0].headers["retry-after"] == "1"
    assert answers[1].headers["cache-control"] == "no-store"


async def test_the_document_is_served_and_valid(serve: Any) -> None:
    answer = await serve(catalog, version="3").send("GET", "/openapi.json")
    assert answer.status == 200
    assert answer.json["info"] == {"title": "shop", "version": "3"}
    assert list(answer.json["paths"]) == ["/prices/{sku}"]
    assert list(OpenAPIV31SpecValidator(answer.json).iter_errors()) == []


async def test_the_docs_page_needs_nothing_from_elsewhere(serve: Any) -> None:
    answer = await serve(catalog).send("GET", "/docs")
    page = answer.body.decode()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert re.findall(r"https?://|<link rel=\"stylesheet|src=\"|@import|innerHTML", page) == []
    assert 'new URL("openapi.json", location.href)' in page


async def test_head_of_a_page_has_no_body(serve: Any) -> None:
    answer = await serve(catalog).send("HEAD", "/docs")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 1000


async def test_documentation_can_be_left_out(serve: Any) -> None:
    client = serve(catalog, documentation=False)
    assert [(await client.send("GET", path)).status for path in ("/docs", "/openapi.json")] == [404, 404]


async def test_the_systems_own_route_wins_over_a_page(bus: Any, serve: Any) -> None:
    module = Module("pages")
    module.get("/docs/{sku}")(get_price)
    module.get("/docs")(get_docs)
    module.handle(GetPrice)(get_price)
    module.handle(GetDocs)(get_docs)
    bus.answers[GetDocs] = 5
    assert (await serve(module).send("GET", "/docs")).body == b"5"


class GetDocs(Query[int]):
    pass


async def get_docs(query: GetDocs) -> int:
    return 5
