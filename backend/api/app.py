"""Every route in one table, and what becomes of every error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI

from backend.api import deepstack, detect, docs, health, rollout
from backend.api.errors import ANSWERED, answer_error

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_api(lifespan: Lifespan) -> FastAPI:
    """The lifespan puts the parts that the routes work with at `app.state.parts`."""
    app = FastAPI(
        title=docs.TITLE,
        summary=docs.SUMMARY,
        openapi_tags=docs.TAGS,
        lifespan=lifespan,
        redirect_slashes=False,  # a redirected upload is sent twice
    )
    for kind in ANSWERED:
        app.add_exception_handler(kind, answer_error)
    for method, path, endpoint, about in _ROUTES:
        app.add_api_route(path, endpoint, methods=[method], response_model=None, **about)
    for path, endpoint in _ALSO_HEAD:
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return docs.described(app)


_ROUTES: tuple[tuple[str, str, Callable[..., Any], dict[str, Any]], ...] = (
    ("POST", "/api/detect", detect.detect, docs.DETECT),
    ("POST", "/api/detect/batch", detect.detect_batch, docs.DETECT_BATCH),
    ("POST", deepstack.PATH, deepstack.detection, docs.DEEPSTACK),
    ("GET", "/api/rollout", rollout.show, docs.ROLLOUT),
    ("PUT", "/api/rollout", rollout.change, docs.ROLLOUT_CHANGE),
    ("POST", "/api/rollout/rollback", rollout.rollback, docs.ROLLBACK),
    ("GET", "/api/rollout/history", rollout.history, docs.HISTORY),
    ("GET", "/health/live", health.live, docs.LIVE),
    ("GET", "/health/ready", health.ready, docs.READY),
    ("GET", "/metrics", health.metrics, docs.METRICS),
)
_ALSO_HEAD = (
    ("/api/rollout", rollout.show),
    ("/api/rollout/history", rollout.history),
    ("/health/live", health.live),
    ("/health/ready", health.ready),
    ("/metrics", health.metrics),
)
