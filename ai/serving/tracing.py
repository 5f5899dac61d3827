"""The span of one request to a service, with its stages where one picture was answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from fastapi import Request

from ai.serving.runtime import Timing
from ai.web.problems import Problem
from ai.web.spans import Attributes, Span, Spans
from ai.web.tracing import TRACEPARENT, followed


@dataclass(frozen=True, slots=True)
class ServiceTraces:
    """`spans` None: none are made. A trace is continued here and never begun: what comes without is mostly a probe."""

    spans: Spans | None
    detector: str

    @contextmanager
    def traced(self, endpoint: str, request: Request) -> Iterator[Span | None]:
        parent = followed(request.headers) if self.spans is not None else {}
        if self.spans is None or TRACEPARENT not in parent:
            yield None
            return
        span, status = self.spans.begin(endpoint, "server", parent), 500
        try:
            yield span
            status = 200
        except Problem as problem:
            status = problem.status
            raise
        finally:
            about: Attributes = {"crossfade.detector": self.detector, "http.response.status_code": status}
            span.end(about, str(status) if status >= 500 else None)


def told_of_stages(span: Span | None, timing: Timing) -> None:
    """To be called when the answer is there. What was measured is how long each took: they are laid end to end, and the
    way between two threads is before the first."""
    if span is None:
        return
    ended_ns = time.time_ns()
    for name, took_ms in reversed(asdict(timing).items()):
        began_ns = ended_ns - round(took_ms * 1e6)
        span.stage(name, began_ns, ended_ns)
        ended_ns = began_ns
