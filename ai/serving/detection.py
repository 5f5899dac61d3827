"""The two endpoints that take pictures, from a request to its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from ai.core.errors import InvalidDetections, InvalidImage
from ai.serving import answers
from ai.serving.metrics import ServiceMetrics
from ai.serving.runtime import Answer, Decoded, Outcome, Runtime
from ai.serving.settings import ServiceSettings
from ai.serving.tracing import ServiceTraces, told_of_stages
from ai.web.intake import Budget, Intake, Upload
from ai.web.problems import Late, ModelFault, Problem
from ai.web.spans import Span
from ai.web.waiting import expiry, while_wanted


@dataclass(frozen=True, slots=True)
class Job:
    """One request that there is room for."""

    intake: Intake
    expires_at: float | None  # when the caller stops waiting, on the monotonic clock
    span: Span | None


class Detection:
    def __init__(
        self, runtime: Runtime, metrics: ServiceMetrics, traces: ServiceTraces, settings: ServiceSettings
    ) -> None:
        self._runtime = runtime
        self._metrics = metrics
        self._traces = traces
        self._limits = settings.intake_limits
        self._budget = Budget(settings.max_receiving_bytes)

    async def detect(self, request: Request) -> Response:
        with self._job("detect", request) as job:
            image = await job.intake.image()
            with self._runtime.admitted():
                outcome = await while_wanted(
                    request, self._runtime.detect(image, job.expires_at), job.expires_at
                )
            if isinstance(outcome, InvalidDetections):
                raise ModelFault(outcome)
            self._metrics.observe(outcome)
            told_of_stages(job.span, outcome.timing)
            timing = {"Server-Timing": answers.server_timing(outcome.timing)}
            return JSONResponse(answers.single(outcome), headers=timing)

    async def detect_batch(self, request: Request) -> Response:
        with self._job("detect_batch", request) as job:
            uploads = await job.intake.images()
            started = time.perf_counter()
            with self._runtime.admitted():
                results = await while_wanted(request, self._each(uploads, job.expires_at), job.expires_at)
            total_ms = (time.perf_counter() - started) * 1000
            return JSONResponse(
                {"results": results, "total_inference_time_ms": total_ms, "num_images": len(uploads)}
            )

    @contextmanager
    def _job(self, endpoint: str, request: Request) -> Iterator[Job]:
        """Room for a request, within its deadline and the budget for bodies; counted, whatever becomes of it."""
        with self._metrics.counted(endpoint), self._traces.traced(endpoint, request) as span, _as_problem():
            expires_at = expiry(request)
            self._runtime.require_room()
            with self._budget.share() as take:
                yield Job(Intake(request, self._limits, take), expires_at, span)

    async def _each(self, uploads: list[Upload], expires_at: float | None) -> list[dict[str, Any]]:
        """Every image's result or error, at its index: one bad image spoils nothing for the others."""
        decoding = (self._runtime.decode(upload.image, expires_at) for upload in uploads)
        decoded = await asyncio.gather(*decoding, return_exceptions=True)
        good = {index: one for index, one in enumerate(decoded) if isinstance(one, Decoded)}
        outcomes = dict(zip(good, await self._runtime.infer(list(good.values()), expires_at), strict=True))
        return [
            {"index": index, "filename": upload.filename, **self._result(outcomes.get(index, decoded[index]))}
            for index, upload in enumerate(uploads)
        ]

    def _result(self, outcome: Outcome | Decoded | BaseException) -> dict[str, Any]:
        if isinstance(outcome, Answer):
            self._metrics.observe(outcome)
            return answers.picture(outcome)
        if isinstance(outcome, InvalidImage):
            return {"error": Problem.of(outcome).document}
        if isinstance(outcome, InvalidDetections):
            return {"error": ModelFault(outcome).document}
        if isinstance(outcome, Problem) and not isinstance(outcome, Late):
            return {"error": outcome.document}
        assert isinstance(outcome, BaseException)  # noqa: S101 - what was decoded has an outcome
        raise outcome


@contextmanager
def _as_problem() -> Iterator[None]:
    try:
        yield
    except InvalidImage as error:
        raise Problem.of(error) from error
