"""What each stage of a picture takes of the processor: decode, fit, infer, finish, in one process without a server.

In processor time, so that what else the machine does is not in it. What a served picture takes beyond the sum is
Triton's, its Python backend's and the wire's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ai.core.processing import decoded_for, found, put_in
from ai.triton.inside.pipeline import Pipeline
from benchmarks.comparison import REFERENCE, Cost

TOGETHER = 8  # pictures that the engine is given at once, but for legacy's, which takes one
TURNS = 7


def costs(pipelines: Mapping[str, Pipeline], pictures: Sequence[bytes]) -> list[Cost]:
    """The stages around the network are the same for every engine, and stand under each."""
    return [cost for name, pipeline in pipelines.items() for cost in _costs(name, pipeline, pictures)]


def _costs(name: str, pipeline: Pipeline, pictures: Sequence[bytes]) -> list[Cost]:
    spec, together = pipeline.spec, 1 if name == REFERENCE else TOGETHER
    opened = [decoded_for(spec, picture) for picture in pictures]
    prepared = [put_in(image, place) for image, place in opened]
    pixels = np.stack([prepared[index % len(prepared)].pixels for index in range(together)])
    answers = pipeline.engine.infer(pixels)
    count = len(pictures)
    return [
        Cost(name, "decode", _cpu_ms(lambda: [decoded_for(spec, one) for one in pictures]) / count),
        Cost(name, "fit", _cpu_ms(lambda: [put_in(image, place) for image, place in opened]) / count),
        Cost(name, "infer", _cpu_ms(lambda: pipeline.engine.infer(pixels)) / together),
        Cost(name, "finish", _cpu_ms(lambda: [found(answers[0], one.fit, spec) for one in prepared]) / count),
    ]


def _cpu_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(TURNS):
        started = time.process_time()
        work()
        taken.append((time.process_time() - started) * 1000)
    return statistics.median(taken)
