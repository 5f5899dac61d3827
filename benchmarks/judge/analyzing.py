"""One window of perf_analyzer: what it is told, and what it says of requests and latencies."""

from __future__ import annotations

import base64
import csv
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.judge.fetching import Analyzer
from benchmarks.load.ask import LoadFailedError

WINDOWS = (
    3  # it wants three that agree, and we take whatever they say: the turns are what makes ours comparable
)
AGREE_PERCENT = 1000
MOST_THREADS = 4
SLACK_S = 60.0
INPUT = "image"  # the models' name for encoded bytes


@dataclass(frozen=True, slots=True)
class Seen:
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def write_input(pictures: Sequence[Path], path: Path) -> Path:
    """Encoded pictures of different lengths, which it sends in turn, as the callers of a ragged input do."""
    steps = [_step(picture.read_bytes()) for picture in pictures]
    path.write_text(json.dumps({"data": steps}))
    return path


def _step(picture: bytes) -> dict[str, object]:
    return {INPUT: {"b64": base64.b64encode(picture).decode(), "shape": [len(picture)]}}


def judged(
    analyzer: Analyzer, url: str, protocol: str, model: str, pictures: Path, callers: int, seconds: float
) -> Seen:
    """`seconds` in all, in three windows, with `callers` requests open at a time."""
    table = pictures.with_suffix(".csv")
    command = [
        *analyzer.command, f"-m{model}", f"-i{protocol}", f"-u{url}", f"--concurrency-range={callers}",
        f"--input-data={pictures}", f"--measurement-interval={round(seconds / WINDOWS * 1000)}",
        f"--max-trials={WINDOWS}", f"--stability-percentage={AGREE_PERCENT}", "--percentile=95",
        *_asking(protocol, callers), f"-f{table}",
    ]  # fmt: skip
    table.unlink(missing_ok=True)
    try:
        done = subprocess.run(  # its complaints are on stdout: both are shown where it fails
            command, capture_output=True, text=True, timeout=seconds + SLACK_S, check=False, start_new_session=True
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise LoadFailedError(f"perf_analyzer said nothing within {seconds + SLACK_S:.0f} s") from error
    if done.returncode or not table.exists():
        raise LoadFailedError(
            f"perf_analyzer ended with {done.returncode}:\n{done.stdout}{done.stderr}".strip()
        )
    return read_table(table.read_text())


def _asking(protocol: str, callers: int) -> list[str]:
    """Over HTTP each caller waits in a thread of its own: its threads that keep several requests open serve them out
    of turn, and a twentieth waits nearly twice as long as with us, though as many are answered."""
    if protocol == "http":
        return ["--sync", f"--max-threads={callers}"]
    return ["--async", f"--max-threads={min(MOST_THREADS, callers)}"]


def read_table(text: str) -> Seen:
    """The one row of its CSV; it counts in microseconds."""
    (row,) = csv.DictReader(text.splitlines())
    p50_ms, p95_ms, p99_ms = (float(row[f"p{rank} latency"]) / 1000 for rank in (50, 95, 99))
    return Seen(float(row["Inferences/Second"]), p50_ms, p95_ms, p99_ms)
