"""A GPU for Prometheus where there is none: a real Triton's text, with the lines that it has of a GPU added to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

CROWDED_GPU = {
    "nv_gpu_utilization": 1.0, "nv_gpu_memory_used_bytes": 77e9, "nv_gpu_memory_total_bytes": 80e9,
    "nv_gpu_power_usage": 650.0, "nv_gpu_power_limit": 700.0,
}  # fmt: skip
EASY_GPU = CROWDED_GPU | {"nv_gpu_utilization": 0.2, "nv_gpu_memory_used_bytes": 20e9}


@dataclass
class GpuExporter:
    triton_url: str = ""
    gpu: dict[str, float] = field(default_factory=lambda: dict(EASY_GPU))

    def text(self) -> str:
        triton = httpx.get(self.triton_url, timeout=5, trust_env=False).text if self.triton_url else ""
        own = [line for line in triton.splitlines() if "nv_gpu_" not in line]
        gpu = self.gpu | {"nv_energy_consumption": 100 * time.monotonic()}  # joules
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
def running_gpu(exporter: GpuExporter) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exporter.text().encode()
            self.send_response(200)
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
