"""The same work without any server: decode, prepare, infer, finish, in a plain loop of one process.

Each engine takes pictures one by one and in batches of eight; all take turns, forwards and then backwards. Torch
is the legacy service's own engine; a version folder gives the one that Triton's Python process makes of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ai.triton.building.source import Source
from ai.triton.inside.engines import build_engine, usable_threads
from ai.triton.inside.pipeline import Found, Pipeline
from ai.triton.stored.served import Served
from benchmarks.comparison import REFERENCE, Pace

BATCHES = (1, 8)
WARM_UPS = 3


class WrongAnswerError(Exception):
    """A picture without detections: how fast that went says nothing."""


def paces(pipelines: Mapping[str, Pipeline], pictures: Sequence[bytes], seconds: float) -> list[Pace]:
    turns = [(name, batch) for name in pipelines for batch in BATCHES]
    for name, batch in turns:
        _warm_up(pipelines[name], pictures, batch)
    done = dict.fromkeys(turns, (0, 0.0))
    for name, batch in [*turns, *reversed(turns)]:
        images, took_s = _run(pipelines[name], pictures, batch, seconds / 2)
        before = done[name, batch]
        done[name, batch] = before[0] + images, before[1] + took_s
    return [Pace(name, batch, images / took_s) for (name, batch), (images, took_s) in done.items()]


def _warm_up(pipeline: Pipeline, pictures: Sequence[bytes], batch: int) -> None:
    for _ in range(WARM_UPS):
        outcomes = pipeline.detect(_some(pictures, 0, batch))
        if not all(isinstance(outcome, Found) for outcome in outcomes):
            raise WrongAnswerError(f"the engine says {outcomes[0]!r}")


def _run(pipeline: Pipeline, pictures: Sequence[bytes], batch: int, seconds: float) -> tuple[int, float]:
    """How many pictures in how many seconds: whole batches, so a little longer than asked for."""
    images, started = 0, time.perf_counter()
    while (took_s := time.perf_counter() - started) < seconds:
        images += len(pipeline.detect(_some(pictures, images, batch)))
    return images, took_s


def _some(pictures: Sequence[bytes], first: int, count: int) -> list[bytes]:
    return [pictures[index % len(pictures)] for index in range(first, first + count)]


def pipelines_of(source: Source, versions: Sequence[Path]) -> dict[str, Pipeline]:
    threads = usable_threads()
    pipelines = {REFERENCE: Pipeline(source.spec, source.reference(), threads)}
    for version in versions:
        served = Served.load(version)
        pipeline = Pipeline(served.spec, build_engine(served, version, threads), threads)
        pipelines[f"{served.engine} {served.precision}"] = pipeline
    return pipelines
