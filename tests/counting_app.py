"""An app that counts what it is asked to count, as the backend does: for `uvicorn --factory --workers N`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from backend.observe import workers
from backend.observe.events import (
    BreakerMoved,
    DisagreementMeasured,
    FlagsSeen,
    InFlight,
    Observer,
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

    metrics, api = Metrics(directory), FastAPI()
    api.state.directory = directory
    api.add_api_route("/who", said, methods=["GET"])
    _add_counting(api, metrics)
    _add_states(api, metrics)

    @api.get("/metrics")
    async def rendered():
        return Response(await run_in_threadpool(metrics.render), media_type=metrics.content_type)

    return api


async def said(request: Request) -> dict[str, object]:
    directory = str(request.app.state.directory)
    return {"pid": os.getpid(), "worker": workers.worker_id(), "directory": directory}


def _add_counting(api: FastAPI, observe: Observer) -> None:
    @api.post("/work")
    async def work(request: Request, seconds: float = 0.03):
        observe(Retried("yolo26", "triton"))
        observe(replace(ENDED, total_s=seconds))
        return await said(request)


def _add_states(api: FastAPI, observe: Observer) -> None:
    @api.post("/state")
    async def state(
        request: Request, in_flight: int, breaker: str, version: int, effective: float, stale: bool = False,
        only: int = 0,
    ):  # fmt: skip
        if only in {0, os.getpid()}:
            observe(InFlight("triton", in_flight))
            observe(BreakerMoved("yolo26", "triton", breaker))
            observe(FlagsSeen(True, version, stale, {"yolo26": 0.5}, {"yolo26": effective}))
        return await said(request)

    @api.post("/known")
    async def known(
        request: Request, only: int, ready: bool | None = None, disagreement: float | None = None
    ):
        if only == os.getpid():
            observe(SideReady("yolo26", "triton", ready))
            observe(DisagreementMeasured("yolo26", disagreement))
        return await said(request)
