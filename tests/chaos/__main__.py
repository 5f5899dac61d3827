"""The fault table, run: `python -m tests.chaos [--quick] [--without] [--row WORDS] [--family NAME] [--json FILE]`.

Prints a line for each row as it ends, the table at the end, and keeps both with their figures. Ends with 1 where a row
failed. `--without` takes each row's defence away, and a row passes by failing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.reporting import keep, line, summary
from tests.chaos.row import FAMILIES, Row
from tests.chaos.running import Result, run_all
from tests.chaos.table import ROWS

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def main(arguments: Sequence[str]) -> int:
    asked = _parsed(arguments)
    rows = [row for row in ROWS if _wanted(row, asked)]
    if not rows:
        sys.exit("no row of the table is called so")
    began, results = time.monotonic(), list[Result]()
    for result in run_all(rows, undefended=asked.without):
        results.append(result)
        print(line(result), flush=True)
    took_s = time.monotonic() - began
    print("\n" + summary(results, took_s))
    keep(asked.json or _usual_file(asked, rows), results, took_s, undefended=asked.without)
    return int(not all(result.passed for result in results))


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the rows that CI runs")
    parser.add_argument("--without", action="store_true", help="each row without its defence: it must fail")
    parser.add_argument("--row", metavar="WORDS", help="rows whose name contains this")
    parser.add_argument("--family", choices=FAMILIES)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are kept")
    return parser.parse_args(arguments)


def _wanted(row: Row, asked: argparse.Namespace) -> bool:
    return (
        (not asked.quick or row.quick)
        and (not asked.row or asked.row in row.name)
        and (not asked.family or asked.family == row.family)
    )


def _usual_file(asked: argparse.Namespace, rows: Sequence[Row]) -> Path | None:
    """A part of the table is not kept as the whole."""
    if len(rows) < len(ROWS):
        return None
    return RESULTS / ("chaos-without.json" if asked.without else "chaos.json")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
