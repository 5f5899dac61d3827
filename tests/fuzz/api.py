"""The API by stories: schemathesis follows links between the routes of a real backend, each step with some key or none.

Both sides answer, each with boxes of its own, so that there are mismatches to list, to look at and to remove.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.generation.stateful.state_machine import APIStateMachine
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ai.core.sample import sample_jpeg
from tests import liars
from tests.api_parts import KEYS
from tests.backends import Backend, running_backend
from tests.fuzz.memory import Peak
from tests.fuzz.tally import Defect, Tally
from tests.fuzz.target import hold
from tests.legacy_process import legacy_process

NAME = "api"
CHECKS = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
KEY_OF = {
    "admin": "admin-key",
    "viewer": "viewer-key",
    "caller": "caller-key",
    "nobody": None,
    "stranger": "wrong",
}
STEPS = 12
STORIES_AT_ONCE = 10
MAX_NOTED = 20
_WEIGHTS = (6, 2, 2, 1, 1)
_UNASKED = (
    "/api/rollout/events",
    "/",
    "/docs",
    "/console/{name}",
)  # the first has no end; the others are files
_ROLLOUT, _RAMP, _SAMPLES = "/api/rollout", "/api/rollout/ramp", "/api/rollout/samples"
# What follows what: (method, path, status), (method, path), what is handed over.
_LINKS: tuple[tuple[tuple[str, str, str], tuple[str, str], dict[str, str]], ...] = (
    (("get", _ROLLOUT, "200"), ("put", _ROLLOUT), {"If-Match": "$response.header.ETag"}),
    (("put", _ROLLOUT, "200"), ("put", _ROLLOUT), {"If-Match": "$response.header.ETag"}),
    (("put", _ROLLOUT, "200"), ("post", "/api/detect"), {}),
    (("put", _ROLLOUT, "200"), ("post", _RAMP), {}),
    (("put", _ROLLOUT, "200"), ("post", "/api/rollout/rollback"), {}),
    (("post", "/api/rollout/rollback", "200"), ("get", "/api/rollout/history"), {}),
    (("post", "/api/rollout/rollback", "200"), ("post", "/api/detect"), {}),
    (("post", _RAMP, "200"), ("get", _RAMP), {}),
    (("post", _RAMP, "200"), ("delete", _RAMP), {}),
    (("post", _RAMP, "200"), ("get", "/api/rollout/report"), {}),
    (("post", "/api/detect", "200"), ("get", _SAMPLES), {}),
    (("get", _SAMPLES, "200"), ("get", _SAMPLES + "/{sample_id}.jpg"), {"sample_id": "$response.body#/samples/0/id"}),
    (("get", _SAMPLES, "200"), ("delete", _SAMPLES), {"camera": "$response.body#/samples/0/camera"}),
)  # fmt: skip


def run(stories: int, seed: int, seconds: float = float("inf")) -> Tally:
    tally, began = Tally(NAME, seed), time.monotonic()
    with _stack() as backend:
        tally.control_s = _control_s(backend)
        peak = Peak([backend.pid])
        tell_stories(backend.url, tally, stories, seconds)
        tally.peak_mb = peak.grown_mb()
        if backend.process is None or backend.process.poll() is not None:
            _note(tally, "crash", backend.log_text()[-500:])
    tally.took_s = time.monotonic() - began
    return tally


def tell_stories(url: str, tally: Tally, stories: int, seconds: float = float("inf")) -> None:
    """What came of each step, and what was wrong with it, is in the tally."""
    machine = _machine(url, tally, time.monotonic() + seconds)
    with suppress(_TimeUp):
        for first in range(0, stories, STORIES_AT_ONCE):
            _tell(machine, min(STORIES_AT_ONCE, stories - first), tally.seed * 1_000_000 + first)


def _tell(machine: type[APIStateMachine], stories: int, seed: int) -> None:
    """A few, since hypothesis gives up where a story goes another way than one that began like it: the backend's
    state is none of its own."""
    chosen = hypothesis.settings(
        max_examples=stories, stateful_step_count=STEPS, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    with suppress(hypothesis.errors.Flaky):
        hypothesis.seed(seed)(machine).run(settings=chosen)


def _machine(url: str, tally: Tally, ends_at: float) -> type[APIStateMachine]:
    schema = schemathesis.openapi.from_dict(linked_schema(url))
    schema.config.update(base_url=url)

    class Story(schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            """By the step itself: hypothesis wants the same story to go the same way again."""
            step = f"{tally.seed} {case.method} {case.path} {case.query} {case.body}"
            self.role = random.Random(step).choices(list(KEY_OF), _WEIGHTS)[0]
            key = KEY_OF[self.role]
            return {"headers": {"X-API-Key": key} if key else {}}

        def call(self, case: schemathesis.Case, **kwargs: Any) -> Response:
            began = time.perf_counter()
            response = case.call(**kwargs)
            kind = "accepted" if response.status_code < 300 else str(response.status_code)
            tally.count(tally.cases, kind, time.perf_counter() - began, 0.0)
            return response

        def validate_response(
            self, response: Response, case: schemathesis.Case, *args: Any, **kwargs: Any
        ) -> None:
            """What is wrong is noted, and the story goes on."""
            try:
                case.validate_response(response, checks=CHECKS)
                _check_status(self.role, case, response)
            except (Exception, FailureGroup) as failure:  # noqa: BLE001  (of whatever kind)
                _note(tally, type(failure).__name__, f"{case.method} {case.path}: {_words(failure)}")

        def teardown(self) -> None:
            if time.monotonic() > ends_at:
                raise _TimeUp

    return Story


def _check_status(role: str, case: schemathesis.Case, response: Response) -> None:
    status, is_change = response.status_code, case.path.startswith(_ROLLOUT) and case.method != "GET"
    where = f"{role} {case.method} {case.formatted_path}: {status} {response.content[:300]!r}"
    hold(status < 500 or status in (503, 504), where)
    hold(not (is_change and role != "admin" and status < 400), where)


def _note(tally: Tally, kind: str, words: str) -> None:
    if len(tally.defects) < MAX_NOTED:
        tally.defects.append(Defect(NAME, tally.seed, tally.cases, kind, words))


class _TimeUp(Exception):
    """Nothing is wrong; the seconds are over."""


def linked_schema(url: str) -> dict[str, Any]:
    """The API's own, with the links that make stories of it, without the routes that are no API."""
    document: dict[str, Any] = httpx.get(url + "/openapi.json", trust_env=False, timeout=30).json()
    for path in _UNASKED:
        document["paths"].pop(path, None)
    del document["components"]["securitySchemes"]  # the keys are chosen here
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    for index, ((method, path, status), (to_method, to_path), parameters) in enumerate(_LINKS):
        answer = document["paths"][path][method]["responses"][status]
        target = document["paths"][to_path][to_method]["operationId"]
        answer.setdefault("links", {})[f"link{index}"] = {"operationId": target, "parameters": parameters}
    return document


def _words(failure: BaseException) -> str:
    inner = getattr(failure, "exceptions", ())
    return " | ".join([str(failure)[:1500], *(_words(one) for one in inner)])[:4000]


def _control_s(backend: Backend) -> float:
    """The slowest of some plain detections."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        answer = httpx.post(
            backend.url + "/api/detect", content=sample_jpeg(), timeout=30, trust_env=False,
            headers={"content-type": "image/jpeg", "X-API-Key": "caller-key"},
        )  # fmt: skip
        times.append(time.perf_counter() - began)
        assert answer.status_code == 200, answer.text
    return max(times)


@contextmanager
def _stack() -> Iterator[Backend]:
    with legacy_process() as legacy, _triton() as address:
        flags = {
            "API_KEYS": KEYS, "TRITON_ENABLED": "true",
            "TRITON_TRAFFIC_FRACTION": "0.5", "TRITON_SHADOW_FRACTION": "1.0",
        }  # fmt: skip
        with running_backend(legacy=legacy, env_file="", **flags, TRITON_URL=address) as backend:
            yield backend


@contextmanager
def _triton() -> Iterator[str]:
    """One that answers everything with the same box; it is quick, and has no processor to itself."""
    loop, liar = asyncio.new_event_loop(), liars.GrpcLiar()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    address = asyncio.run_coroutine_threadsafe(liar.start(), loop).result(30)
    try:
        yield address
    finally:
        asyncio.run_coroutine_threadsafe(liar.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
