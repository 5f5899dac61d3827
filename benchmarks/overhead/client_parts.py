"""Where TritonClient's own time goes: asked over a wire without a network, and its parts; tritonclient's beside them.

    python -m benchmarks.overhead.client_parts

The answer is always the same: eight detections in three hundred rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import uvloop
from tritonclient.grpc import InferInput, InferResult, service_pb2

from ai.core.sample import sample_jpeg
from ai.triton.asking.grpc_wire import GrpcWire, decode, encode
from ai.triton.asking.wire import Question
from ai.triton.client import TritonClient
from ai.web.tracing import Headers
from benchmarks import instant
from benchmarks.client import TIMEOUT_S
from benchmarks.detect_cost import Part, Work, in_turns

WHOLE = "TritonClient.detect, without a network"
PACKED, UNPACKED = "of it: the question packed", "of it: the answer unpacked"
OFFICIAL_IN, OFFICIAL_OUT = (
    "tritonclient: the picture as InferInput",
    "tritonclient: the answer as arrays, unchecked",
)
_QUESTION = Question(
    instant.MODEL, "image", "UINT8", (1, len(sample_jpeg())), sample_jpeg(), ("detections", "image_size")
)


class Unplugged(GrpcWire):
    """Everything of the wire but the network."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:1")
        self._said = instant.said()

    async def _call(self, method: str, request: bytes, timeout_s: float, headers: Headers) -> bytes:  # noqa: ARG002
        return self._said[method]


async def costs(repeats: int, calls: int) -> list[Part]:
    async with TritonClient(Unplugged()) as client:
        picture, content = sample_jpeg(), instant.said()["ModelInfer"]

        async def detect() -> object:
            return await client.detect(instant.MODEL, picture, timeout_s=TIMEOUT_S)

        works = {
            WHOLE: detect,
            PACKED: _once(lambda: encode(_QUESTION, TIMEOUT_S)),
            UNPACKED: _once(lambda: decode(content)),
            OFFICIAL_IN: _once(lambda: _as_input(picture)),
            OFFICIAL_OUT: _once(lambda: _as_arrays(content)),
        }
        return await in_turns(works, repeats, calls)


def _as_input(picture: bytes) -> object:
    tensor = InferInput("image", [1, len(picture)], "UINT8")
    return tensor.set_data_from_numpy(np.frombuffer(picture, np.uint8)[None])


def _as_arrays(content: bytes) -> object:
    answer = InferResult(service_pb2.ModelInferResponse.FromString(content))
    return answer.as_numpy("detections"), answer.as_numpy("image_size")


def _once(work: Callable[[], object]) -> Work:
    async def once() -> object:
        return work()

    return once


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead.client_parts", description="JSON out."
    )
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--calls", type=int, default=500)
    told = parser.parse_args(arguments)
    print(json.dumps([asdict(part) for part in uvloop.run(costs(told.repeats, told.calls))]))


if __name__ == "__main__":
    main()
