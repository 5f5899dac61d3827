"""What a day costs in bytes: logs, journal, store, pictures and Prometheus, each of the real thing, measured small.

    python -m benchmarks.daily_cost --requests-per-s 50 --log-sample 0.01
    python -m benchmarks.daily_cost --series 4000             # of all that Prometheus scrapes

A part of it grows with the requests, a part with changes of the flags, a part has a bound. Prometheus' figure needs
promtool; without it the line says so.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import simplejpeg

from ai.core.sample import sample_jpeg
from backend.observe.events import RequestEnded
from backend.observe.lines import Format
from backend.observe.logs import RequestLog
from backend.rollout.journal import Journal
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from backend.rollout.store import MAX_TURNS, Change, Sample, SampleLimits, Turn
from backend.rollout.stores.opening import open_store
from backend.settings import Settings
from backend.shadow.drawing import JPEG_QUALITY
from benchmarks.options import number_between, whole_number_to

DAY_S = 86_400
CHANGES, BOOK_NAMES, TURNS, SAMPLES = 500, 3_000, 1_000, 20
SCRAPES, SCRAPED_SERIES = 480, 500  # two hours, as Prometheus cuts its blocks
_SEEN = tuple((10.0, 20.0, 110.0, 220.0, 0.0, 1.0) for _ in range(6))
_BOXES = [[10.0, 20.0, 110.0, 220.0, 0.75, 1.0]] * 6


@dataclass(frozen=True, slots=True)
class Cost:
    """`bytes_each` of one unit; None where there was nothing to measure with."""

    what: str
    unit: str
    bytes_each: float | None
    per_day: float  # units
    most_bytes: int | None = None  # where it has a bound

    @property
    def bytes_per_day(self) -> float | None:
        return None if self.bytes_each is None else self.bytes_each * self.per_day


@dataclass(frozen=True, slots=True)
class Day:
    requests_per_s: float
    log_sample: float
    trouble: float  # the share that failed or fell back: always logged
    changes: int
    series: int
    scrape_s: float
    cameras: int

    @property
    def requests(self) -> float:
        return self.requests_per_s * DAY_S

    @property
    def lines(self) -> float:
        return self.requests * (self.trouble + (1 - self.trouble) * self.log_sample)


def costs(day: Day, settings: Settings) -> Iterator[Cost]:
    logs = settings.log_max_bytes * settings.log_files
    for form in ("json", "text"):
        yield Cost(f"log, {form}", "line", log_bytes(form), day.lines, logs)
    yield Cost("journal", "change of the flags", journal_bytes(), day.changes, 4 * 1024 * 1024)
    with tempfile.TemporaryDirectory() as folder:
        yield Cost("store: history", "change of the flags", store_bytes(Path(folder) / "a.db"), day.changes)
        yield Cost("store: evidence", "detector and ramp epoch", book_bytes(Path(folder) / "b.db"), 2)
        turn = turn_bytes(Path(folder) / "c.db")
        yield Cost(
            "store: cameras' turns",
            "detector and camera",
            turn,
            0,
            round(turn * min(2 * day.cameras, MAX_TURNS)),
        )
        each = sample_bytes(Path(folder) / "d.db")
    yield Cost("store: pictures", "pair that differs", each, 0, settings.shadow_samples_bytes)
    scrapes = DAY_S / day.scrape_s
    yield Cost("Prometheus", "sample of a series", prometheus_bytes(), day.series * scrapes)


def log_bytes(form: Format) -> float:
    """Of plain successes, as `crossfade up` writes most."""
    lines: list[str] = []
    log = RequestLog(lines.append, 1.0, form)
    for number in range(200):
        log(RequestEnded(
            request_id=f"{number:032x}", caller_request_id="", camera=f"camera-{number % 20}", detector="rtdetr",
            decided="triton", outcome="ok", backend="triton", model_version="1", reason="SPLIT", fallback_reason=None,
            attempts=1, bucket=number * 71, fraction=0.1, flag_version=12, found=number % 9,
            total_s=0.0421 + number / 1e5, backend_s=0.0395 + number / 1e5,
        ))  # fmt: skip
    return sum(len(line.encode()) + 1 for line in lines) / len(lines)


def changes() -> Iterator[Change]:
    """As a ramp makes them: with its figures, and both detectors on their way."""
    before = RolloutState(ramps={name: Ramp(id="r", steps=(0.1, 0.25, 0.5, 0.75, 1.0), phase="running", step=0, tries=1,
                                            step_at=1e9) for name in ("rtdetr", "yolo26")})  # fmt: skip
    for version in range(1, CHANGES + 1):
        after = RolloutState(version, fraction=version / 1000, ramps=before.ramps)
        figures = {"samples": version, "disagreement": 0.0012, "log_wealth": 3.2, "needed": 2.99}
        yield Change.made(before, after, who="ramp", reason="rtdetr: earned 25 %", at=1e9, figures=figures)
        before = after


def journal_bytes() -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rollout-history.jsonl"
        made = list(changes())[:50]
        for change in made:
            Journal(path, "sqlite").append(change)
        return path.stat().st_size / len(made)


def store_bytes(path: Path) -> float:
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.read()
        before = _size(path)
        for change in changes():
            store.write(change, change.version - 1 or None)
    return (_size(path) - before) / CHANGES


def book_bytes(path: Path) -> float:
    """One that is as full as a ramp in a fleet of hundreds of cameras makes it."""
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.read()
        before = _size(path)
        store.add("rtdetr/r.12", {f"kind.missed.day.name-{n}": n for n in range(BOOK_NAMES)}, "worker", 1)
    return _size(path) - before


def turn_bytes(path: Path) -> float:
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.read()
        before = _size(path)
        for number in range(TURNS):
            store.take_turn(f"rtdetr/camera-{number}", Turn(1e9, _SEEN), None)
    return (_size(path) - before) / TURNS


def sample_bytes(path: Path) -> float:
    """With a drawn scene of 960 × 720, re-encoded as the samples are."""
    picture = simplejpeg.encode_jpeg(simplejpeg.decode_jpeg(sample_jpeg()), quality=JPEG_QUALITY)
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.read()
        before = _size(path)
        for number in range(SAMPLES):
            about = Sample(f"{number:04}", time.time(), "rtdetr", "gate", "r.1", "day", "1", ("missed",), ("person",),
                           _BOXES, _BOXES, 960, 720)  # fmt: skip
            store.add_sample(about, picture, SampleLimits(SAMPLES, 10**9, DAY_S))
    return (_size(path) - before) / SAMPLES


def prometheus_bytes() -> float | None:
    """Of one sample in a block of two hours: counters that grow unevenly, as ours do."""
    promtool = shutil.which("promtool")
    if promtool is None:
        return None
    chance = random.Random(7)
    end = int(time.time()) // 7200 * 7200 - 7200
    lines = ["# TYPE detector_requests_total counter"]
    for series in range(SCRAPED_SERIES):
        value = 0
        for scrape in range(SCRAPES):
            value += chance.randrange(0, 40)
            at = end - 7200 + scrape * 15
            lines.append(f'detector_requests_total{{detector="rtdetr",n="{series}"}} {value} {at}')
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "series.om"
        text.write_text("\n".join([*lines, "# EOF\n"]))
        blocks = Path(folder) / "blocks"
        asked = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)]
        subprocess.run(asked, check=True, capture_output=True)
        written = sum(path.stat().st_size for path in blocks.rglob("*") if path.is_file())
    return written / (SCRAPED_SERIES * SCRAPES)


def _size(path: Path) -> int:
    """The file after its -wal was written back, which the last `close` does."""
    return path.stat().st_size if path.exists() else 0


def as_text(found: Sequence[Cost]) -> str:
    rows = [("", "a unit is a", "bytes each", "a day", "at most"), *(_row(cost) for cost in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(cost: Cost) -> tuple[str, str, str, str, str]:
    each = "no promtool here" if cost.bytes_each is None else f"{cost.bytes_each:,.1f}"
    day = "" if not cost.bytes_per_day else _words(cost.bytes_per_day)
    return cost.what, cost.unit, each, day, "" if cost.most_bytes is None else _words(cost.most_bytes)


def _words(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.daily_cost", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    share = number_between(0, 1)
    parser.add_argument("--requests-per-s", type=number_between(0, 1e6), default=10.0)
    parser.add_argument("--log-sample", type=share, default=1.0, help="as LOG_SAMPLE")
    parser.add_argument("--trouble", type=share, default=0.001, help="share that fails or falls back")
    parser.add_argument("--changes", type=whole_number_to(10**6), default=20, help="of the flags, a day")
    parser.add_argument(
        "--series", type=whole_number_to(10**8), default=2_000, help="that Prometheus scrapes"
    )
    parser.add_argument("--scrape-s", type=number_between(1, 3600), default=15.0)
    parser.add_argument("--cameras", type=whole_number_to(10**6), default=100)
    parser.add_argument("--json", action="store_true")
    asked = vars(parser.parse_args(arguments))
    as_json = asked.pop("json")
    found = list(costs(Day(**asked), Settings(_env_file=None)))
    print(json.dumps([asdict(cost) for cost in found], indent=2) if as_json else as_text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
