"""Every area, one after the other, each in a process of its own; rewrites the figures of a page if asked.

python -m benchmarks --quick
python -m benchmarks --page docs/performance.md
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.page import Areas, read_area, rewrite

AREAS = ("log", "messages", "resilience", "streams", "rules", "flags", "http", "start", "simulation", "scale")


def main() -> None:
    description, _, example = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=example, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a rough look, under 20 seconds an area")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables into this page's figures section")
    parser.add_argument("--area", action="append", choices=AREAS, help="only this area; may be repeated")
    options = parser.parse_args()
    measured: Areas = {}
    with tempfile.TemporaryDirectory(prefix="insula-figures-") as directory:
        for area in options.area or AREAS:
            print(f"\n{area}", flush=True)
            file = Path(directory) / f"{area}.json"
            command = [sys.executable, "-m", f"benchmarks.{area}", "--json", str(file)]
            if subprocess.run([*command, *(["--quick"] if options.quick else [])], check=False).returncode:
                sys.exit(f"{area} did not finish")
            measured[area] = read_area(file)
    if options.page:
        rewrite(options.page, measured)


if __name__ == "__main__":
    main()
