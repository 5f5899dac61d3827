"""What TritonClient costs on top of gRPC: the same calls through it and through the bare generated stub.

    python -m benchmarks.client            # 4 minutes on 2 cores
    python -m benchmarks.client --quick    # seconds; shows that it works, measures nothing worth keeping

N callers in one process ask a server in another one, which answers without doing anything; then they ask a real
tritonserver, whose model answers a constant. The stub builds its request from the picture and throws the answer
away; the client hands out checked detections. The sides take turns in short windows, so that a machine that is
busy is busy for all; a ratio is that of two neighbouring windows, and the median of those is what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop
from tritonclient.grpc import InferInput, service_pb2, service_pb2_grpc
from tritonclient.grpc.aio import InferenceServerClient

from ai.core.sample import sample_jpeg
from ai.triton.client import TritonClient
from ai.triton.embedded.settings import EmbeddedSettings
from ai.triton.server import TritonServer
from benchmarks import instant
from benchmarks.baseline import commit
from benchmarks.client_report import (
    ALLOWED,
    CLIENT,
    OFFICIAL,
    STUB,
    Cell,
    Report,
    Settings,
    Window,
    as_text,
    save,
)
from benchmarks.command import concluded
from benchmarks.machine import this_machine
from benchmarks.options import number_between, whole_number_to, with_output
from benchmarks.processes import ROOT
from benchmarks.progress import Progress
from benchmarks.report import Spread

SCHEMA = 1
SERVERS = ("instant", "tritonserver")
TIMEOUT_S = 30.0
SMALL_BYTES = 8_000  # so little that copying it costs nothing: all is the client's own
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]

Call = Callable[[], Awaitable[object]]


# --- the sides --------------------------------------------------------------------------------------------


class Sides:
    """Three ways to ask one server, each over a channel of its own."""

    def __init__(self, url: str) -> None:
        self._channel = grpc.aio.insecure_channel(
            url, options=[*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)]
        )
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._client = TritonClient.at(url)
        self._official = InferenceServerClient(url)

    def calls(self, picture: bytes) -> dict[str, Call]:
        return {
            STUB: lambda: self._stub.ModelInfer(_request(picture), timeout=TIMEOUT_S),
            CLIENT: lambda: self._client.detect(instant.MODEL, picture, timeout_s=TIMEOUT_S),
            OFFICIAL: lambda: self._ask_official(picture),
        }

    async def close(self) -> None:
        await self._channel.close()
        await self._client.close()
        await self._official.close()

    async def _ask_official(self, picture: bytes) -> object:
        tensor = InferInput("image", [1, len(picture)], "UINT8")
        tensor.set_data_from_numpy(np.frombuffer(picture, np.uint8)[None])
        answer = await self._official.infer(instant.MODEL, [tensor], client_timeout=TIMEOUT_S)
        return answer.as_numpy("detections"), answer.as_numpy("image_size")


def _request(picture: bytes) -> Any:
    request = service_pb2.ModelInferRequest(model_name=instant.MODEL)
    request.inputs.add(name="image", datatype="UINT8", shape=(1, len(picture)))
    request.raw_input_contents.append(picture)
    return request


# --- measuring --------------------------------------------------------------------------------------------


async def window(call: Call, callers: int, seconds: float) -> Window:
    ends_at = time.perf_counter() + seconds
    calls = 0

    async def ask() -> None:
        nonlocal calls
        while time.perf_counter() < ends_at:
            await call()
            calls += 1

    started, cpu_s = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(ask())
    took_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    return Window(calls / took_s, cpu_s / calls * 1e6)


async def measure(server: str, url: str, settings: Settings, progress: Progress) -> list[Cell]:
    sides = Sides(url)
    cells: list[Cell] = []
    for picture in (sample_jpeg(), sample_jpeg()[:SMALL_BYTES]):
        calls = sides.calls(picture)
        for call in calls.values():
            await window(call, 4, 0.2)
        for callers in settings.callers:
            rounds = [
                {side: await window(call, callers, settings.seconds) for side, call in _turned(calls, number)}
                for number in range(settings.rounds)
            ]
            cells += [_cell(server, len(picture), callers, side, rounds) for side in calls]
            progress.step(_said(cells[-3:]))
    await sides.close()
    return cells


def _turned(calls: dict[str, Call], number: int) -> list[tuple[str, Call]]:
    """Who goes first changes every round."""
    order = list(calls.items())
    return order if number % 2 == 0 else order[::-1]


def _cell(
    server: str, picture_bytes: int, callers: int, side: str, rounds: Sequence[dict[str, Window]]
) -> Cell:
    own, stub = [one[side] for one in rounds], [one[STUB] for one in rounds]
    pairs = list(zip(own, stub, strict=True))
    return Cell(
        server=server,
        picture_bytes=picture_bytes,
        callers=callers,
        side=side,
        calls_per_s=Spread.of([one.calls_per_s for one in own]),
        cpu_us=Spread.of([one.cpu_us for one in own]),
        ratio=None if side == STUB else Spread.of([a.calls_per_s / b.calls_per_s for a, b in pairs]),
        cpu_ratio=None if side == STUB else Spread.of([a.cpu_us / b.cpu_us for a, b in pairs]),
    )


def _said(cells: Sequence[Cell]) -> str:
    rates = ", ".join(f"{cell.side} {cell.calls_per_s.median:.0f}/s" for cell in cells)
    return f"{cells[0].server}, {cells[0].picture_bytes:,} bytes x {cells[0].callers}: {rates}"


# --- servers ----------------------------------------------------------------------------------------------


@contextmanager
def instant_server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.instant"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def real_server() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as folder:
        instant.write_model(Path(folder) / "models")
        settings = EmbeddedSettings(
            crossfade_var=Path(folder), triton_repository=Path(folder) / "models", triton_http_port=0,
            triton_grpc_port=0, triton_metrics_port=0, triton_probe_interval_s=3600,
        )  # fmt: skip
        with TritonServer(settings) as server:
            yield server.running.grpc_url


def run(settings: Settings) -> Report:
    machine = this_machine()
    progress = Progress(len(SERVERS) * 2 * len(settings.callers))
    cells: list[Cell] = []
    for name, start in zip(SERVERS, (instant_server, real_server), strict=True):
        progress.say(f"starting {name}")
        with start() as url:
            cells += uvloop.run(measure(name, url, settings, progress))
    progress.done()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, "client-overhead", date, commit(), machine, settings, ALLOWED, tuple(cells))


# --- the command ---------------------------------------------------------------------------------------

_FULL = {"callers": [1, 8, 32], "seconds": 0.5, "rounds": 15, "out": ROOT / "benchmarks" / "results"}
_QUICK = {"callers": [1, 32], "seconds": 0.2, "rounds": 2, "out": ROOT / "var" / "benchmarks"}


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.client",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--callers", nargs="+", type=whole_number_to(256))
    parser.add_argument("--seconds", type=number_between(0.1, 60), help="of one window")
    parser.add_argument("--rounds", type=whole_number_to(200))
    return with_output(parser, words, quick=_QUICK, full=_FULL)


def main(words: Sequence[str] | None = None) -> None:
    options = arguments_of(words)
    settings = Settings(tuple(sorted(set(options.callers))), options.seconds, options.rounds)
    concluded(lambda: run(settings), save, as_text, options.out)


if __name__ == "__main__":
    main()
