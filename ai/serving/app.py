"""The app of one legacy service. Two services differ in a spec and in the function that loads their model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ai.core.spec import DetectorSpec
from ai.engines.engine import Engine
from ai.serving import docs
from ai.serving.detection import Detection
from ai.serving.metrics import ServiceMetrics
from ai.serving.runtime import Runtime
from ai.serving.settings import ServiceSettings
from ai.serving.tracing import ServiceTraces
from ai.web.echo import QuestionEcho
from ai.web.problems import Problem, answer_problem
from ai.web.spans import Spans


def create_app(
    spec: DetectorSpec, load: Callable[[], Engine], settings: ServiceSettings, spans: Spans | None = None
) -> FastAPI:
    """`spans` are closed with it."""
    runtime = Runtime(
        spec,
        load,
        settings.image_limits,
        settings.max_in_flight,
        settings.decode_threads,
        scaled=settings.decode == "scaled",
    )
    metrics = ServiceMetrics()
    title = f"{spec.title} detection service"
    app = FastAPI(title=title, summary=docs.SUMMARY, lifespan=_lifespan_of(runtime, spans))
    for kind in (Problem, HTTPException, Exception):
        app.add_exception_handler(kind, answer_problem)
    app.add_middleware(QuestionEcho)
    _add_detection(app, Detection(runtime, metrics, ServiceTraces(spans, spec.name), settings))
    _add_operations(app, runtime, metrics, settings.weights)
    return app


def _lifespan_of(runtime: Runtime, spans: Spans | None) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(runtime.start())  # /health answers 503 meanwhile, instead of nothing
        yield
        loading.cancel()
        await asyncio.to_thread(runtime.stop)
        if spans is not None:
            await asyncio.to_thread(spans.close)

    return lifespan


def _add_detection(app: FastAPI, detection: Detection) -> None:
    @app.post("/detect", **docs.DETECT)
    async def detect(request: Request) -> Response:
        return await detection.detect(request)

    @app.post("/detect/batch", **docs.DETECT_BATCH)
    async def detect_batch(request: Request) -> Response:
        return await detection.detect_batch(request)


def _add_operations(app: FastAPI, runtime: Runtime, metrics: ServiceMetrics, weights: str) -> None:
    @app.head("/health", include_in_schema=False)
    @app.get("/health", **docs.HEALTH)
    async def health() -> Response:
        ready = runtime.state == "ready"
        body = {
            "status": "healthy" if ready else runtime.state,
            "model_loaded": ready,
            "model_name": runtime.spec.name,
            "weights": weights,
            "device": str(runtime.engine.device) if runtime.engine else None,
            "input": f"{runtime.spec.input_width}x{runtime.spec.input_height}",
            "in_flight": runtime.in_flight,
            "max_in_flight": runtime.max_in_flight,
            **({"error": runtime.failure} if runtime.failure else {}),
        }
        return JSONResponse(body, 200 if ready else 503)

    def warm_ups() -> Response:
        done = runtime.warm_ups
        return JSONResponse({"status": runtime.state, "runs": done.runs, "last_ms": done.last_ms})

    @app.post("/warmup", **docs.WARM_UP)
    async def warm_up() -> Response:
        runtime.require_room()
        await runtime.warm_up()
        return warm_ups()

    @app.get("/warmup_status", **docs.WARM_UP_STATUS)
    async def warm_up_status() -> Response:
        return warm_ups()

    @app.get("/metrics", **docs.METRICS)
    async def show_metrics() -> Response:
        metrics.model_loaded.set(runtime.state == "ready")
        metrics.in_flight.set(runtime.in_flight)
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
