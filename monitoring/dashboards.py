"""Grafana's dashboards. `python -m monitoring.dashboards` writes their JSON beside this file; `--check` compares it.

The JSON is made, never edited: what is in boards/ reads better, and a test says that the two agree.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from monitoring.boards.gpu import GPU
from monitoring.boards.migration import MIGRATION
from monitoring.boards.reliability import RELIABILITY
from monitoring.boards.triton import TRITON

BOARDS: Final = (MIGRATION, TRITON, RELIABILITY, GPU)
FOLDER: Final = Path(__file__).with_name("dashboards")


def texts() -> Mapping[Path, str]:
    """What each file is to hold."""
    return {
        FOLDER / f"{board.name}.json": json.dumps(board.as_json(BOARDS), indent=2, ensure_ascii=False) + "\n"
        for board in BOARDS
    }


def outdated() -> list[Path]:
    """Files that hold something else, are not there, or belong to no dashboard."""
    wanted = texts()
    others = sorted(set(FOLDER.glob("*.json")) - set(wanted))
    return [path for path, text in wanted.items() if not path.exists() or path.read_text() != text] + others


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path, text in texts().items():
        path.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m monitoring.dashboards", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a file is not as it would be written"
    )
    if not parser.parse_args().check:
        write()
    elif stale := outdated():
        sys.exit(f"not as monitoring/dashboards.py makes it: {', '.join(path.name for path in stale)}")


if __name__ == "__main__":
    main()
