"""An app that counts what it is asked to count, as the backend does: for `uvicorn --factory --workers N`."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool

from backend.observe import workers
from backend.observe.events import BreakerMoved, FlagsSeen, InFlight, RequestEnded, Retried


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
        metrics(
            RequestEnded(
                "r",
                "",
                None,
                "yolo26",
                "triton",
                "ok",
                "triton",
                "1",
                "FRACTION",
                None,
                1,
                0,
                0.1,
                1,
                0,
                seconds,
                0,
            )
        )
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

    @api.get("/metrics")
    async def rendered():
        return Response(await run_in_threadpool(metrics.render), media_type=metrics.content_type)

    return api
