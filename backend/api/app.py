"""Every route in one table, and what becomes of every error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI

from backend.api import (
    console,
    deepstack,
    detect,
    docs,
    docs_console,
    docs_rollout,
    events,
    health,
    history,
    me,
    ramp,
    report,
    rollout,
    samples,
    traffic,
)
from backend.api.cross_site import can_change, refuse_cross_site
from backend.api.errors import ANSWERED, answer_error
from backend.api.events import news_of

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_api(lifespan: Lifespan) -> FastAPI:
    """The lifespan puts the parts that the routes work with at `app.state.parts`."""
    app = FastAPI(
        title=docs.TITLE,
        summary=docs.SUMMARY,
        openapi_tags=docs.TAGS,
        lifespan=_with_news(lifespan),
        redirect_slashes=False,  # a redirected upload is sent twice
        docs_url=None,  # FastAPI's pages run scripts of another host where the console keeps its key; ours do not
        redoc_url=None,
    )
    for kind in ANSWERED:
        app.add_exception_handler(kind, answer_error)
    app.state.console = console.read()
    for method, path, endpoint, about in _ROUTES:
        guards = [Depends(refuse_cross_site)] if can_change(method, path) else []
        app.add_api_route(path, endpoint, methods=[method], response_model=None, dependencies=guards, **about)
    for path, endpoint in _ALSO_HEAD:
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return docs.described(app)


def _with_news(lifespan: Lifespan) -> Lifespan:
    @asynccontextmanager
    async def both(api: FastAPI) -> AsyncIterator[None]:
        async with lifespan(api):
            api.state.traffic = traffic.Readings(api.state.parts.metrics)
            async with news_of(api):
                yield

    return both


_ROUTES: tuple[tuple[str, str, Callable[..., Any], dict[str, Any]], ...] = (
    ("POST", "/api/detect", detect.detect, docs.DETECT),
    ("POST", "/api/detect/batch", detect.detect_batch, docs.DETECT_BATCH),
    ("POST", deepstack.PATH, deepstack.detection, docs.DEEPSTACK),
    ("GET", "/api/me", me.me, docs_console.ME),
    ("GET", traffic.PATH, traffic.traffic, docs_console.TRAFFIC),
    ("GET", "/api/rollout", rollout.show, docs_rollout.ROLLOUT),
    ("PUT", "/api/rollout", rollout.change, docs_rollout.ROLLOUT_CHANGE),
    ("POST", "/api/rollout/rollback", rollout.rollback, docs_rollout.ROLLBACK),
    ("GET", "/api/rollout/history", history.history, docs_rollout.HISTORY),
    ("GET", "/api/rollout/ramp", ramp.show, docs_rollout.RAMPS),
    ("POST", "/api/rollout/ramp", ramp.order, docs_rollout.RAMP_ORDER),
    ("DELETE", "/api/rollout/ramp", ramp.abort, docs_rollout.RAMP_ABORT),
    ("GET", "/api/rollout/report", report.report, docs_rollout.REPORT),
    ("GET", events.PATH, events.events, docs_rollout.EVENTS),
    ("GET", samples.PATH, samples.listed, docs_rollout.SAMPLES),
    ("DELETE", samples.PATH, samples.remove, docs_rollout.SAMPLES_REMOVE),
    ("GET", samples.PATH + "/{sample_id}.jpg", samples.picture, docs_rollout.SAMPLE_PICTURE),
    ("GET", "/health/live", health.live, docs.LIVE),
    ("GET", "/health/ready", health.ready, docs.READY),
    ("GET", "/metrics", health.metrics, docs.METRICS),
    ("GET", "/", console.index, docs_console.INDEX),
    ("GET", "/docs", console.docs, docs_console.DOCS),
    ("GET", "/console/{name}", console.file, docs_console.FILE),
)
_ALSO_HEAD = (
    ("/api/me", me.me),
    (traffic.PATH, traffic.traffic),
    ("/api/rollout", rollout.show),
    ("/api/rollout/history", history.history),
    ("/api/rollout/ramp", ramp.show),
    ("/api/rollout/report", report.report),
    (samples.PATH, samples.listed),
    (samples.PATH + "/{sample_id}.jpg", samples.picture),
    ("/health/live", health.live),
    ("/health/ready", health.ready),
    ("/metrics", health.metrics),
    ("/", console.index),
    ("/docs", console.docs),
    ("/console/{name}", console.file),
)
