"""What tracing costs a request: one DetectorClient.detect over a side that does nothing, not traced, and traced in
several ways, with a collector in a process of its own.

    python -m benchmarks.tracing_cost --repeats 15 --calls 500

All take turns in each repeat; a ratio is that of two neighbours, and the median of those is what counts. The time is
this process's own, the exporter's thread included.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection

import uvloop

from ai.core.sample import sample_jpeg
from ai.web.span_export import ExportedSpans
from backend.main import compose_client
from backend.observe.events import told
from backend.observe.metrics import Metrics
from backend.rollout.flags import Flags, View
from backend.rollout.quota import Traffic
from backend.rollout.state import RolloutState
from backend.services.request import RequestInfo
from backend.services.tracing import Traced, Untraced
from backend.settings import Settings
from benchmarks.backend_apps import sides
from benchmarks.detect_cost import DETECTOR, REQUEST_ID, Work
from benchmarks.report import Spread

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
OFF = "not traced"
DEAD = "http://127.0.0.1:9"  # the discard port: nobody listens there


def works(collector: str) -> dict[str, Work]:
    metrics = Metrics(None)
    well, dead = Traced(ExportedSpans("benchmark", collector)), Traced(ExportedSpans("benchmark", DEAD))
    return {
        OFF: _detecting(Untraced(), metrics, ""),
        f"{OFF}, once more": _detecting(Untraced(), metrics, ""),
        "not traced, the caller sends a context": _detecting(Untraced(), metrics, TRACE + "01"),
        "traced, not sampled": _detecting(well, metrics, TRACE + "00"),
        "traced and sampled": _detecting(well, metrics, TRACE + "01"),
        "traced and sampled, dead collector": _detecting(dead, metrics, TRACE + "01"),
    }


def _detecting(tracing: Untraced, metrics: Metrics, traceparent: str) -> Work:
    settings = Settings(_env_file=None, triton_enabled=True, triton_model=DETECTOR)
    flags = Flags(View(RolloutState(version=1, fraction=1.0)))
    client, _ = compose_client(
        settings, tracing.sides(sides()), flags, Traffic(60.0).seen, told(metrics, *tracing.listeners),
        begun=tracing.begun,
    )  # fmt: skip
    about = RequestInfo(REQUEST_ID, headers={"traceparent": traceparent} if traceparent else {})
    picture = sample_jpeg()
    return lambda: client.detect(picture, about=about)


async def cpu_us(work: Work, calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        await work()
    return (time.process_time() - started) / calls * 1e6


async def measured(asked: dict[str, Work], repeats: int, calls: int) -> dict[str, tuple[Spread, Spread]]:
    """CPU of one request, and its ratio to that of one that is not traced."""
    for work in asked.values():
        await cpu_us(work, calls)
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    for _ in range(repeats):
        for name, work in asked.items():
            off = await cpu_us(asked[OFF], calls)
            seen[name].append((await cpu_us(work, calls), off))
    return {
        name: (Spread.of([own for own, _ in pairs]), Spread.of([own / off for own, off in pairs]))
        for name, pairs in seen.items()
    }


# --- the collector ----------------------------------------------------------------------------------------


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        """Says nothing."""


def _collect(tell: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    tell.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def collector() -> Iterator[str]:
    context = get_context("spawn")
    hear, tell = context.Pipe(duplex=False)
    process = context.Process(target=_collect, args=(tell,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{hear.recv()}"
    finally:
        process.terminate()
        process.join()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tracing_cost", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args(arguments)
    with collector() as url:
        figures = uvloop.run(measured(works(url), options.repeats, options.calls))
    print(f"{'':42}{'CPU of one request':>22}{'ratio':>8}{'all of them':>18}")
    for name, (cost, ratio) in figures.items():
        print(f"{name:42}{cost.median:19.0f} µs{ratio.median:8.3f}   {ratio.min:.3f} to {ratio.max:.3f}")


if __name__ == "__main__":
    main()
