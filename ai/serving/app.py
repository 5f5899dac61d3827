"""The app of one legacy service. Two services differ in a spec and in the function that loads their model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from ai.core.detections import Detection
from ai.core.errors import InvalidImage
from ai.core.spec import DetectorSpec
from ai.serving import docs
from ai.serving.intake import Upload, read_image, read_images
from ai.serving.metrics import ServiceMetrics
from ai.serving.problems import Busy, CallerGone, Problem, answer_problem
from ai.serving.runtime import Answer, Decoded, Engine, Runtime, Timing
from ai.serving.settings import ServiceSettings

T = TypeVar("T")


def create_app(spec: DetectorSpec, load: Callable[[], Engine], settings: ServiceSettings) -> FastAPI:
    runtime = Runtime(spec, load, settings.image_limits, settings.max_in_flight, settings.decode_threads)
    metrics = ServiceMetrics()
    app = FastAPI(
        title=f"{spec.title} detection service", summary=docs.SUMMARY, lifespan=_lifespan_of(runtime)
    )
    app.add_exception_handler(Exception, answer_problem)
    app.add_exception_handler(Problem, answer_problem)
    _add_detection(app, runtime, metrics, settings)
    _add_operations(app, runtime, metrics, settings)
    return app


def _lifespan_of(runtime: Runtime) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(runtime.start())  # /health answers 503 meanwhile, instead of nothing
        yield
        loading.cancel()
        await asyncio.to_thread(runtime.stop)

    return lifespan


def _add_detection(
    app: FastAPI, runtime: Runtime, metrics: ServiceMetrics, settings: ServiceSettings
) -> None:
    @app.post("/detect", **docs.DETECT)
    async def detect(request: Request) -> Response:
        async def work() -> Response:
            expires_at = _expiry(request)
            data = await read_image(request, settings)
            try:
                answer = await _unless_gone(request, runtime.detect(data, expires_at))
            except InvalidImage as error:
                raise Problem.of(error) from error
            _observe(metrics, answer)
            return JSONResponse(_one(answer), headers={"Server-Timing": _server_timing(answer.timing)})

        return await _counted("detect", runtime, metrics, work)

    @app.post("/detect/batch", **docs.DETECT_BATCH)
    async def detect_batch(request: Request) -> Response:
        async def work() -> Response:
            expires_at = _expiry(request)
            uploads = await read_images(request, settings)
            started = time.perf_counter()
            results = await _unless_gone(request, _each(runtime, metrics, uploads, expires_at))
            total_ms = (time.perf_counter() - started) * 1000
            return JSONResponse(
                {"results": results, "total_inference_time_ms": total_ms, "num_images": len(uploads)}
            )

        return await _counted("detect_batch", runtime, metrics, work)


def _add_operations(
    app: FastAPI, runtime: Runtime, metrics: ServiceMetrics, settings: ServiceSettings
) -> None:
    @app.get("/health", **docs.HEALTH)
    async def health() -> Response:
        ready = runtime.state == "ready"
        body = {
            "status": "healthy" if ready else runtime.state,
            "model_loaded": ready,
            "model_name": runtime.spec.name,
            "weights": settings.weights,
            "device": str(runtime.engine.device) if runtime.engine else None,
            "input": f"{runtime.spec.input_width}x{runtime.spec.input_height}",
            "in_flight": runtime.in_flight,
            "max_in_flight": settings.max_in_flight,
            **({"error": runtime.failure} if runtime.failure else {}),
        }
        return JSONResponse(body, 200 if ready else 503)

    @app.post("/warmup", **docs.WARM_UP)
    async def warm_up() -> Response:
        if runtime.state != "ready":
            raise Busy(f"{runtime.spec.title} is not ready: {runtime.failure or runtime.state}")
        await runtime.warm_up()
        return warm_up_status()

    @app.get("/warmup_status", **docs.WARM_UP_STATUS)
    def warm_up_status() -> Response:
        done = runtime.warm_ups
        return JSONResponse({"status": runtime.state, "runs": done.runs, "last_ms": done.last_ms})

    @app.get("/metrics", **docs.METRICS)
    async def show_metrics() -> Response:
        metrics.model_loaded.set(runtime.state == "ready")
        metrics.in_flight.set(runtime.in_flight)
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _counted(
    endpoint: str,
    runtime: Runtime,
    metrics: ServiceMetrics,
    work: Callable[[], Coroutine[Any, Any, Response]],
) -> Response:
    """Admit, answer, and count the answer, whatever it is."""
    started = time.perf_counter()
    try:
        with runtime.admitted():
            response = await work()
    except Exception as error:
        status = error.status if isinstance(error, Problem) else 500
        metrics.requests.labels(endpoint, str(status)).inc()
        raise
    metrics.requests.labels(endpoint, "200").inc()
    metrics.latency.labels(endpoint).observe(time.perf_counter() - started)
    return response


async def _each(
    runtime: Runtime, metrics: ServiceMetrics, uploads: list[Upload], expires_at: float | None
) -> list[dict[str, Any]]:
    """Every image's result or error, at its index: one bad image spoils nothing for the others."""
    outcomes = await asyncio.gather(
        *(runtime.decode(upload.data) for upload in uploads), return_exceptions=True
    )
    decoded = {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, Decoded)}
    answers = dict(zip(decoded, await runtime.infer(list(decoded.values()), expires_at), strict=True))
    results = []
    for index, (upload, outcome) in enumerate(zip(uploads, outcomes, strict=True)):
        place = {"index": index, "filename": upload.filename}
        if index in answers:
            _observe(metrics, answers[index])
            results.append({**place, **_picture(answers[index])})
        elif isinstance(outcome, InvalidImage):
            results.append({**place, "error": Problem.of(outcome).document})
        elif isinstance(outcome, BaseException):
            raise outcome
    return results


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, or CallerGone as soon as the caller hangs up; then the work leaves its queue."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CallerGone
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _expiry(request: Request) -> float | None:
    """When the caller stops waiting, on the monotonic clock."""
    text = request.headers.get("x-deadline-ms")
    if text is None:
        return None
    try:
        left_ms = float(text)
    except ValueError:
        left_ms = float("nan")
    if not 0 <= left_ms <= 3_600_000:
        raise Problem(
            400, f"X-Deadline-Ms is {text[:40]!r}; it must be the milliseconds left, from 0 to 3600000"
        )
    return time.monotonic() + left_ms / 1000


def _observe(metrics: ServiceMetrics, answer: Answer) -> None:
    metrics.detections.observe(len(answer.detections))
    for stage, ms in _stages(answer.timing).items():
        metrics.stages.labels(stage).observe(ms / 1000)


def _stages(timing: Timing) -> dict[str, float]:
    return {name: getattr(timing, name) for name in Timing.__dataclass_fields__}


def _server_timing(timing: Timing) -> str:
    return ", ".join(f"{stage};dur={ms:.3f}" for stage, ms in _stages(timing).items())


def _one(answer: Answer) -> dict[str, Any]:
    picture = _picture(answer)
    return {"detections": picture.pop("detections"), "inference_time_ms": answer.timing.inference, **picture}


def _picture(answer: Answer) -> dict[str, Any]:
    return {
        "image_width": answer.detections.image_width,
        "image_height": answer.detections.image_height,
        "detections": [_found(detection) for detection in answer.detections],
    }


def _found(detection: Detection) -> dict[str, Any]:
    return {
        "class": detection.label,
        "class_id": detection.class_id,
        "confidence": detection.score,
        "bbox": {"x": detection.x1, "y": detection.y1, "width": detection.width, "height": detection.height},
    }
