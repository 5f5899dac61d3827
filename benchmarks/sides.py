"""The sides of a comparison: the legacy service, and a real Triton that serves variants of one detector.

One tritonserver holds all variants, each as a model of its own, so that they can take turns within seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ai.triton.client import Protocol, TritonClient
from ai.triton.embedded import record
from benchmarks import kserve
from benchmarks.load.by_client import Order, client_loop
from benchmarks.load.measurement import Measurement
from benchmarks.processes import Program, Server, do_nothing
from benchmarks.suite import LEGACY, Ask, load
from benchmarks.variants import Variant

PROBE_INTERVAL_S = 300  # models that wait for their turn are not to be asked how they are every 2 s
START_TIMEOUT_S = 600  # a dozen models, compiled and warmed up on two cores
OBJECT_SCORE = 0.5  # what counts as found, when a side is looked at before it is measured


@dataclass(frozen=True, slots=True)
class Side:
    name: str
    program: Program
    bodies: tuple[Path, ...]
    seconds: float  # of one window
    ask: Ask = LEGACY
    model: str | None = None  # of a Triton, where batches are counted
    behind: Program | None = None  # whom the program asks in its turn
    client: Protocol | None = None  # asked with TritonClient over this, from processes of its own
    processes: int = 1  # of the plain generator
    only: tuple[int, ...] = ()  # numbers of callers, where it does not take part in all

    def measured(
        self, servers: Mapping[str, Server], callers: int, seconds: float, timeout_s: float
    ) -> Measurement:
        """One window of the generator."""
        server = servers[self.program.name]
        if self.client:
            return self._by_client(server, callers, seconds, timeout_s)
        behind = [servers[self.behind.name]] if self.behind else []
        return load(server, self.bodies, callers, seconds, timeout_s, self.ask, behind, self.processes)

    def _by_client(self, server: Server, callers: int, seconds: float, timeout_s: float) -> Measurement:
        assert self.client is not None
        assert self.model is not None
        url = str(server.health[f"{self.client}_url"])
        order = Order(url, self.client, self.model, self.bodies, callers, seconds, timeout_s, (server.pid,))
        return client_loop(order, len(os.sched_getaffinity(0)))

    def objects(self, server: Server) -> int:
        """How many it finds in all pictures: sides that do the same work find about the same."""
        if self.client:
            return asyncio.run(self._client_objects(server))
        with httpx.Client(base_url=server.url, timeout=30.0, trust_env=False) as client:
            return sum(self._objects(client, path.read_bytes()) for path in self.bodies)

    async def _client_objects(self, server: Server) -> int:
        assert self.client is not None
        assert self.model is not None
        async with TritonClient.at(str(server.health[f"{self.client}_url"]), self.client) as client:
            answers = [
                await client.detect(self.model, path.read_bytes(), timeout_s=30.0) for path in self.bodies
            ]
        return sum(one.score >= OBJECT_SCORE for answer in answers for one in answer.detections)

    def _objects(self, client: httpx.Client, body: bytes) -> int:
        lines = (line.split(": ", 1) for line in self.ask.headers)
        headers = {"Content-Type": self.ask.content_type, **dict(lines)}
        answer = client.post(self.ask.path, content=body, headers=headers).raise_for_status()
        if self.model:
            return kserve.objects(answer, OBJECT_SCORE)
        return sum(one["confidence"] >= OBJECT_SCORE for one in answer.json()["detections"])


def legacy_side(program: Program, pictures: Sequence[Path], seconds: float) -> Side:
    return Side("legacy", program, tuple(pictures), seconds)


def ceiling_side(pictures: Sequence[Path], seconds: float) -> Side:
    return Side("nothing", do_nothing(), tuple(pictures), seconds)


def triton_sides(
    program: Program, variants: Sequence[Variant], pictures: Sequence[Path], seconds: float
) -> list[Side]:
    bodies = kserve.write_bodies(pictures)
    return [
        Side(variant.name, program, bodies, seconds, kserve.ask(variant.model), variant.model)
        for variant in variants
    ]


def triton_program(models: Path, variants: Sequence[Variant], var: Path) -> Program:
    """A supervised Triton, as `crossfade up` would start it, on ports of its own."""

    def command(port: int) -> list[str]:
        return [
            "env", f"TRITON_PROBE_INTERVAL_S={PROBE_INTERVAL_S}", f"TRITON_START_TIMEOUT_S={START_TIMEOUT_S}",
            sys.executable, "-m", "ai.triton.server", f"--repository={models}", f"--var={var}",
            f"--http-port={port}", "--grpc-port=0", "--metrics-port=0",
        ]  # fmt: skip

    def health(url: str) -> dict[str, Any]:
        running = record.running(var)
        if running is None:
            return {}
        with httpx.Client(base_url=url, timeout=5.0, trust_env=False) as client:
            own = [model for variant in variants for model in variant.models_in(models)]
            missing = [model for model in own if client.get(f"/v2/models/{model}/ready").is_error]
            if missing:
                return {"status": "failed", "error": f"{', '.join(missing)} did not come up"}
            urls = {name: getattr(running, name) for name in ("metrics_url", "grpc_url", "http_url")}
            return {"status": "healthy", **urls, **client.get("/v2").json()}

    return Program("triton", command, health)
