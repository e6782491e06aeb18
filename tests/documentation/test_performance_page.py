"""The page of figures: an area that is measured anew takes its old place, the others keep their figures."""

from __future__ import annotations

from pathlib import Path

from benchmarks.page import BEGIN, END, rewrite

ROW = {
    "case": "durable",
    "unit": "requests/s",
    "ours": 10.0,
    "floor": None,
    "peers": {"other": 5.0},
    "better": "higher",
}


def test_areas_that_were_not_measured_keep_their_figures(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(
        f"# Figures\n\n{BEGIN}\nTaken on a day.\n\n### log\n\n| old |\n\n### http\n\n| older |\n{END}\nAfter.\n"
    )
    rewrite(page, {"http": [ROW], "rules": [{**ROW, "case": "compile"}]})
    text = page.read_text()
    assert text.startswith("# Figures\n")
    assert text.endswith(f"{END}\nAfter.\n")
    assert [line for line in text.splitlines() if line.startswith("###")] == ["### log", "### http", "### rules"]
    assert "| old |" in text
    assert "| older |" not in text
    assert "| durable (requests/s) | 10.00 | 5.00 other | – | 2.00 | – |" in text
