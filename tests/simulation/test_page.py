"""A run as a page: one file that needs nothing else, in which every fault leads to its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

from insula.simulation import Simulation
from insula.simulation.simulation import Stage
from insula.simulation.telling.page import page
from support.hello_simulation import HELLO
from support.told_runs import MEAN, a_mean_run

VOID = {"meta", "link", "input"}


class Reader(HTMLParser):
    """Notes what a browser would see: ids, links, text by the element around it; complains of what is not closed."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(document)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given[name] or "" for name in ("href", "src", "action") if name in given]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_refers_to_nothing_outside_itself() -> None:
    document = page(a_mean_run())
    links = Reader(document).links
    assert {link for link in links if not link.startswith("#")} == {"data:,"}
    assert "@import" not in document
    assert set(re.findall(r"url\((.*?)\)", document)) == {"#down", "#still"}


def test_every_link_leads_somewhere_and_every_id_is_given_once() -> None:
    read = Reader(page(a_mean_run()))
    assert len(read.ids) == len(set(read.ids))
    assert {link.removeprefix("#") for link in read.links if link.startswith("#")} <= set(read.ids)


def test_text_is_escaped() -> None:
    document = page(a_mean_run())
    assert MEAN not in document
    assert document.count("<script>") == 1
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; has -1" in document


def test_the_violation_stands_at_the_top_and_at_its_place() -> None:
    document = page(a_mean_run())
    assert "<h1>stock is never below 0</h1>" in document
    rows = re.findall(r'<li id="story-(\d+)" class="([\w-]+)"', document)
    assert rows[-1] == ("10", "violation")
    assert '<a data-line="10" href="#story-10">at 9.000 s</a>' in document


def test_each_fault_is_named_and_leads_to_its_place_and_back() -> None:
    document = page(a_mean_run())
    assert '<a data-line="2" href="#story-2"><b>crash</b> orders: after commit of orders.place_order[1]' in document
    assert '<li id="fault-3" class="unreached">' in document
    row = document.partition('<li id="story-2"')[2].partition("</li>")[0]
    assert "the process dies; it starts again after 3.2 s" in row
    assert 'href="#fault-1"' in row


def test_what_the_framework_does_for_itself_is_shown_on_request() -> None:
    document = page(a_mean_run())
    quiet, _, full = document.partition('<div id="full" hidden>')
    assert 'class="own"' not in quiet
    assert full.count('<li id="everything-5" class="own"') == 1


def test_a_message_is_drawn_from_its_commit_to_its_arrival_and_a_crash_as_a_time() -> None:
    elements = Reader(page(a_mean_run())).elements
    drawn = [attributes.get("class") or "" for tag, attributes in elements if tag in ("path", "rect", "circle")]
    both = 2  # without and with what the framework does for itself; the legend shows each once more
    assert sum(each.startswith("message") for each in drawn) == both + 1
    assert sum(each.startswith("crash") for each in drawn) == both + 1


def test_the_same_run_gives_the_same_page(open_stage: Callable[[Simulation], Stage]) -> None:
    stage = open_stage(HELLO)
    assert page(stage.run(2)) == page(stage.run(2))


def test_every_run_makes_a_sound_page(open_stage: Callable[[Simulation], Stage]) -> None:
    stage = open_stage(HELLO)
    for seed in range(20):
        read = Reader(page(stage.run(seed)))
        assert {link.removeprefix("#") for link in read.links if link.startswith("#")} <= set(read.ids)
