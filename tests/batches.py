"""A batch in a process of its own, without the other commands, which take a second to import; and what it must keep.

python -m tests.batches DIR --out FILE …    as `crossfade batch` does
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from ai.core.sample import sample_jpeg
from backend.batch.names import name_in
from backend.commands import batch
from backend.settings import read_settings
from tests.services import ROOT


def pictures(folder: Path, count: int) -> set[bytes]:
    """So many, in two folders; each name is told."""
    names = [f"{'yard' if number % 2 else 'gate'}/{number:05}.jpg" for number in range(count)]
    sample = sample_jpeg()
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample)
    return {name.encode() for name in names}


def start(folder: Path, out: Path, url: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.batches", "batch", folder, "--out", out, "--url", url, *words]
    return subprocess.Popen(
        [*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(folder: Path, out: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """In this process: a second for each start is more than most tests take."""
    args = parser().parse_args(["batch", *map(str, (folder, "--out", out, "--url", url, *words))])
    told, complained = StringIO(), StringIO()
    with redirect_stdout(told), redirect_stderr(complained):
        status = args.command(args, read_settings())
    return subprocess.CompletedProcess([], status, told.getvalue(), complained.getvalue())


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


def require_exactly_once(names: set[bytes], out: Path) -> None:
    """AssertionError unless each picture has one line, of answers and errors together, and no other thing has one."""
    data = out.read_bytes()
    assert not data or data.endswith(b"\n"), "a half line"
    told = Counter(
        name_in(line) for path in (out, out.with_suffix(".errors.jsonl")) for line in lines_of(path)
    )
    assert not {name: count for name, count in told.items() if count > 1}, "told twice"
    assert told.keys() == names, (names - told.keys(), told.keys() - names)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    batch.add_words(parser.add_subparsers(required=True))
    return parser


def main() -> None:
    args = parser().parse_args()
    sys.exit(args.command(args, read_settings()))


if __name__ == "__main__":
    main()
