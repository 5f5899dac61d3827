"""The app of one legacy service. Two services differ in a spec and in the function that loads their model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ai.core.detections import Detection
from ai.core.errors import InvalidDetections, InvalidImage
from ai.core.spec import DetectorSpec
from ai.serving import docs
from ai.serving.intake import Budget, Intake, Upload
from ai.serving.metrics import ServiceMetrics
from ai.serving.problems import CallerGone, Late, ModelFault, Problem, answer_problem
from ai.serving.runtime import Answer, Decoded, Engine, Outcome, Runtime, Timing
from ai.serving.settings import ServiceSettings

T = TypeVar("T")


def create_app(spec: DetectorSpec, load: Callable[[], Engine], settings: ServiceSettings) -> FastAPI:
    runtime = Runtime(spec, load, settings.image_limits, settings.max_in_flight, settings.decode_threads)
    metrics = ServiceMetrics()
    app = FastAPI(
        title=f"{spec.title} detection service", summary=docs.SUMMARY, lifespan=_lifespan_of(runtime)
    )
    for kind in (Problem, HTTPException, Exception):
        app.add_exception_handler(kind, answer_problem)
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
    budget = Budget(settings.max_receiving_bytes)

    @app.post("/detect", **docs.DETECT)
    async def detect(request: Request) -> Response:
        async def work(intake: Intake, expires_at: float | None) -> Response:
            image = await intake.image()
            with runtime.admitted():
                outcome = await _while_wanted(request, runtime.detect(image, expires_at), expires_at)
            answer = _true(outcome)
            _observe(metrics, answer)
            return JSONResponse(_one(answer), headers={"Server-Timing": _server_timing(answer.timing)})

        return await _counted("detect", metrics, partial(_received, request, runtime, settings, budget, work))

    @app.post("/detect/batch", **docs.DETECT_BATCH)
    async def detect_batch(request: Request) -> Response:
        async def work(intake: Intake, expires_at: float | None) -> Response:
            uploads = await intake.images()
            with runtime.admitted():
                started = time.perf_counter()
                work = _each(runtime, metrics, uploads, expires_at)
                results = await _while_wanted(request, work, expires_at)
            total_ms = (time.perf_counter() - started) * 1000
            return JSONResponse(
                {"results": results, "total_inference_time_ms": total_ms, "num_images": len(uploads)}
            )

        return await _counted(
            "detect_batch", metrics, partial(_received, request, runtime, settings, budget, work)
        )


def _add_operations(
    app: FastAPI, runtime: Runtime, metrics: ServiceMetrics, settings: ServiceSettings
) -> None:
    @app.head("/health", include_in_schema=False)
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


Work = Callable[[Intake, float | None], Coroutine[Any, Any, Response]]


async def _received(
    request: Request, runtime: Runtime, settings: ServiceSettings, budget: Budget, work: Work
) -> Response:
    """Do `work` if there is room for it, within the caller's deadline and the budget for bodies."""
    expires_at = _expiry(request)
    runtime.require_room()
    with budget.share() as take:
        return await work(Intake(request, settings, take), expires_at)


async def _counted(
    endpoint: str, metrics: ServiceMetrics, answer: Callable[[], Coroutine[Any, Any, Response]]
) -> Response:
    """Count the answer, whatever it is."""
    started = time.perf_counter()
    status = 500
    try:
        response = await answer()
        status = response.status_code
        metrics.latency.labels(endpoint).observe(time.perf_counter() - started)
        return response
    except InvalidImage as error:
        problem = Problem.of(error)
        status = problem.status
        raise problem from error
    except Problem as problem:
        status = problem.status
        raise
    finally:
        metrics.requests.labels(endpoint, str(status)).inc()


async def _each(
    runtime: Runtime, metrics: ServiceMetrics, uploads: list[Upload], expires_at: float | None
) -> list[dict[str, Any]]:
    """Every image's result or error, at its index: one bad image spoils nothing for the others."""
    decoding = (runtime.decode(upload.image, expires_at) for upload in uploads)
    decoded = await asyncio.gather(*decoding, return_exceptions=True)
    good = {index: one for index, one in enumerate(decoded) if isinstance(one, Decoded)}
    outcomes = dict(zip(good, await runtime.infer(list(good.values()), expires_at), strict=True))
    results = []
    for index, upload in enumerate(uploads):
        outcome = outcomes.get(index, decoded[index])
        place = {"index": index, "filename": upload.filename}
        if isinstance(outcome, Answer):
            _observe(metrics, outcome)
            results.append({**place, **_picture(outcome)})
        else:
            results.append({**place, "error": _problem_of(outcome).document})
    return results


def _true(outcome: Outcome) -> Answer:
    if isinstance(outcome, InvalidDetections):
        raise ModelFault(outcome)
    return outcome


def _problem_of(outcome: Any) -> Problem:
    """Why one image of a batch has no answer; what is no fault of that image ends the whole batch."""
    if isinstance(outcome, InvalidImage):
        return Problem.of(outcome)
    if isinstance(outcome, InvalidDetections):
        return ModelFault(outcome)
    raise outcome


async def _while_wanted(request: Request, work: Coroutine[Any, Any, T], expires_at: float | None) -> T:
    """The result of `work`; CallerGone or Late as soon as nobody wants it, and then it leaves its queue."""
    left_s = None if expires_at is None else max(0.0, expires_at - time.monotonic())
    task, gone = asyncio.create_task(work), asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait((task, gone), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise CallerGone if gone.done() else Late
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
