"""What one call of each side's transport costs the process that asks: to servers that answer at once, on loopback.

python -m benchmarks.overhead.transports
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict

import uvloop

from ai.core.sample import sample_jpeg
from backend.transports.base import Ask, Transport
from backend.transports.legacy import LegacyTransport
from backend.transports.triton import TritonTarget, TritonTransport
from benchmarks import instant
from benchmarks.client import TIMEOUT_S, instant_server
from benchmarks.detect_cost import DETECTOR, Part, Work, in_turns
from benchmarks.processes import do_nothing, running

LEGACY, TRITON = "a call of legacy, HTTP", "a call of Triton, gRPC"


async def costs(repeats: int, calls: int, service_url: str, triton_url: str) -> list[Part]:
    target = TritonTarget(triton_url, triton_url, "grpc")
    sides: dict[str, Transport] = {
        LEGACY: LegacyTransport({DETECTOR: service_url}),
        TRITON: TritonTransport(target, {DETECTOR: instant.MODEL}),
    }
    try:
        return await in_turns({name: _asking(side) for name, side in sides.items()}, repeats, calls)
    finally:
        for side in sides.values():
            await side.close()


def _asking(side: Transport) -> Work:
    ask = Ask(DETECTOR, sample_jpeg(), TIMEOUT_S)  # without an id, which these servers would not echo

    async def call() -> object:
        return await side.detect(ask)

    return call


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead.transports", description="JSON out.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--calls", type=int, default=300)
    told = parser.parse_args(arguments)
    with ExitStack() as stack:
        service = stack.enter_context(running(do_nothing()))
        triton_url = stack.enter_context(instant_server())
        parts = uvloop.run(costs(told.repeats, told.calls, service.url, triton_url))
    print(json.dumps([asdict(part) for part in parts]))


if __name__ == "__main__":
    main()
