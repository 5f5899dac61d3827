"""A GPU for Prometheus where there is none: a real Triton's text, with the lines that it has of a GPU added to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

# What a Triton said of a busy H100.
GOLDEN = Path(__file__).with_name("golden") / "triton_metrics.txt"
BUSY = {
    line.partition("{")[0]: float(line.rpartition(" ")[2])
    for line in GOLDEN.read_text().splitlines()
    if line.startswith(("nv_gpu_", "nv_energy_"))
}
CROWDED_GPU = BUSY | {"nv_gpu_memory_used_bytes": 0.96 * BUSY["nv_gpu_memory_total_bytes"]}
EASY_GPU = BUSY | {"nv_gpu_utilization": 0.2}


@dataclass
class GpuExporter:
    triton_url: str = ""
    gpu: dict[str, float] = field(default_factory=lambda: dict(EASY_GPU))
    status: int = 200
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=5, trust_env=False))

    def text(self) -> str:
        triton = self.client.get(self.triton_url).text if self.triton_url else ""
        own = [line for line in triton.splitlines() if "nv_gpu_" not in line]
        gpu = self.gpu | {"nv_energy_consumption": self.gpu["nv_gpu_power_usage"] * time.monotonic()}
        lines = [f'{name}{{gpu_uuid="GPU-1"}} {value}' for name, value in gpu.items()]
        return "\n".join([*own, *lines, ""])

    @contextmanager
    def crowded(self) -> Iterator[None]:
        self.gpu = dict(CROWDED_GPU)
        try:
            yield
        finally:
            self.gpu = dict(EASY_GPU)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Triton itself answers as before."""
        self.status = 503
        try:
            yield
        finally:
            self.status = 200


@contextmanager
def running_gpu(exporter: GpuExporter) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exporter.text().encode()
            self.send_response(exporter.status)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # Prometheus waits no longer than a second
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        exporter.client.close()
