"""OpenVINO's threads and streams in turns: which arrangement brings most where one picture is there, and several.

`ai.engines.openvino_engine` uses the first of each; the others are what it could do instead.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov

from ai.engines.openvino_engine import require_precision
from benchmarks.comparison import Arrangement

SEVERAL = 4
PRECISIONS = ("f32", "bf16")


@dataclass(frozen=True, slots=True)
class Way:
    """Streams and threads as multiples of the cores; `together`: all pictures in one batch."""

    name: str
    batch: int
    streams: float | None  # None: one
    threads: float = 1.0
    together: bool = False
    pinned: bool = False


WAYS = (
    Way("one stream of all threads", 1, None),
    Way("one stream of one thread", 1, None, threads=0.0),
    Way("one stream of all threads, pinned", 1, None, pinned=True),
    Way("a stream of one thread for each core", SEVERAL, 1.0),
    Way("the same, pinned", SEVERAL, 1.0, pinned=True),
    Way("one stream of all threads, one batch", SEVERAL, None, together=True),
    Way("one stream of all threads, one by one", SEVERAL, None),
    Way("two streams of one thread for each core", SEVERAL, 2.0, threads=2.0),
)


class _Arranged:
    def __init__(self, graph: Path, precision: str, way: Way, cores: int) -> None:
        self.batch = way.batch if way.together else 1
        core = ov.Core()
        network = core.read_model(graph)
        name = network.input(0).get_any_name()
        network.reshape({name: [self.batch, *list(network.input(0).get_partial_shape())[1:]]})
        streams = 1 if way.streams is None else max(1, round(way.streams * cores))
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": max(1, round(way.threads * cores)),
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": way.pinned,
        }
        self._queue = ov.AsyncInferQueue(core.compile_model(network, "CPU", settings), streams)

    def infer(self, pixels: npt.NDArray[np.uint8]) -> None:
        for first in range(0, len(pixels), self.batch):
            self._queue.start_async([pixels[first : first + self.batch]], share_inputs=True)
        self._queue.wait_all()


def arrangements(graph: Path, cores: int, seconds: float) -> list[Arrangement]:
    """Forwards and then backwards, for each precision that the processor has."""
    return [
        one
        for precision in PRECISIONS
        if _possible(precision)
        for one in _all(graph, precision, cores, seconds)
    ]


def _possible(precision: str) -> bool:
    try:
        require_precision(ov.Core(), precision)
    except ValueError:
        return False
    return True


def _all(graph: Path, precision: str, cores: int, seconds: float) -> list[Arrangement]:
    ready = {way: _Arranged(graph, precision, way, cores) for way in WAYS}
    done = {way: _run(one, _pixels(graph, way.batch), seconds / 2) for way, one in ready.items()}
    for way in reversed(WAYS):
        images, took_s, cpu_s = _run(ready[way], _pixels(graph, way.batch), seconds / 2)
        before = done[way]
        done[way] = before[0] + images, before[1] + took_s, before[2] + cpu_s
    return [
        Arrangement(precision, way.name, way.batch, images / took_s, cpu_s * 1000 / images)
        for way, (images, took_s, cpu_s) in done.items()
    ]


def _pixels(graph: Path, count: int) -> npt.NDArray[np.uint8]:
    shape = ov.Core().read_model(graph).input(0).get_partial_shape()
    sides: Sequence[int] = [one.get_length() for one in list(shape)[1:]]
    return np.random.default_rng(0).integers(0, 256, (count, *sides), np.uint8)


def _run(one: _Arranged, pixels: npt.NDArray[np.uint8], seconds: float) -> tuple[int, float, float]:
    one.infer(pixels)
    images, started, started_cpu = 0, time.perf_counter(), time.process_time()
    while (took_s := time.perf_counter() - started) < seconds:
        one.infer(pixels)
        images += len(pixels)
    return images, took_s, time.process_time() - started_cpu
