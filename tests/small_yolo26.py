"""The demo YOLO26 at half the pixels, on both sides: what it finds is real, and 2 cores carry a ramp of it.

    YOLO26_PORT=8095 python -m tests.small_yolo26    # its legacy service

At 512 x 288 it finds 81 of 93 objects in drawn scenes, at 640 x 640 it finds 87; torch takes a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from ai.engines import onnx_export
from ai.engines.detector import TorchDetector
from ai.serving.run import serve
from ai.triton.building.source import Source, fingerprint
from ai.yolo26.model import detector
from tests.services import Service, free_port, started

WIDTH, HEIGHT = 512, 288


def small() -> TorchDetector:
    whole = detector()
    return replace(whole, head=replace(whole.head, input_width=WIDTH, input_height=HEIGHT))


def source() -> Source:
    own = small()

    def write(output: Path) -> None:
        onnx_export.export(own.load_module(), own.head, output)

    mark = fingerprint(own.demo_weights, repr(own.head), onnx_export.OPSET)
    return Source(own.spec, mark, write, partial(own.load, "demo"), family="yolo26", head=own.head)


@contextmanager
def small_legacy() -> Iterator[Service]:
    """The real service, with a smaller input."""
    port = free_port()
    with started("yolo26", port, "tests.small_yolo26", YOLO26_PORT=str(port)) as service:
        yield service


if __name__ == "__main__":
    serve(small())
