"""An app that counts what it is asked to count, as the backend does: for `uvicorn --factory --workers N`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool

from backend.observe import workers
from backend.observe.events import (
    BreakerMoved,
    DisagreementMeasured,
    FlagsSeen,
    InFlight,
    RequestEnded,
    Retried,
    SideReady,
)

ENDED = RequestEnded(
    request_id="r", caller_request_id="", camera=None, detector="yolo26", decided="triton", outcome="ok",
    backend="triton", model_version="1", reason="FRACTION", fallback_reason=None, attempts=1, bucket=0, fraction=0.1,
    flag_version=1, found=0, total_s=0, backend_s=0,
)  # fmt: skip


def app() -> FastAPI:
    directory = workers.metrics_directory(Path(os.environ["CROSSFADE_VAR"]))
    from backend.observe.metrics import Metrics  # noqa: PLC0415 - prometheus_client decides at its import

    metrics = Metrics(directory)
    api = FastAPI()

    def said() -> dict[str, object]:
        return {"pid": os.getpid(), "worker": workers.worker_id(), "directory": str(directory)}

    @api.get("/who")
    async def who():
        return said()

    @api.post("/work")
    async def work(seconds: float = 0.03):
        metrics(Retried("yolo26", "triton"))
        metrics(replace(ENDED, total_s=seconds))
        return said()

    @api.post("/state")
    async def state(
        in_flight: int, breaker: str, version: int, effective: float, stale: bool = False, only: int = 0
    ):
        if only not in {0, os.getpid()}:
            return said()
        metrics(InFlight("triton", in_flight))
        metrics(BreakerMoved("yolo26", "triton", breaker))
        metrics(FlagsSeen(True, version, stale, {"yolo26": 0.5}, {"yolo26": effective}))
        return said()

    @api.post("/known")
    async def known(only: int, ready: bool | None = None, disagreement: float | None = None):
        if only == os.getpid():
            metrics(SideReady("yolo26", "triton", ready))
            metrics(DisagreementMeasured("yolo26", disagreement))
        return said()

    @api.get("/metrics")
    async def rendered():
        return Response(await run_in_threadpool(metrics.render), media_type=metrics.content_type)

    return api
