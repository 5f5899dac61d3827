"""What the API answers while its sides fail is as documented, too; test_api_schema.py asks it while all is well."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ai.core.errors import BackendError, InvalidModelOutput, Overloaded, Refused, Unavailable
from backend.sides import LEGACY, TRITON
from backend.transports.fake import FakeTransport, Hang
from tests import pictures
from tests.api_parts import JPEG, Running, running, settings_of
from tests.schema_exam import examine

pytestmark = pytest.mark.beside

CHECKS = [
    content_type_conformance, response_headers_conformance, response_schema_conformance, status_code_conformance,
]  # fmt: skip
OPERATIONS = [
    ("POST", "/api/detect"), ("POST", "/api/detect/batch"), ("POST", "/v1/vision/detection"),
    ("GET", "/health/ready"), ("GET", "/metrics"), ("GET", "/api/rollout"), ("POST", "/api/rollout/rollback"),
    ("POST", "/api/rollout/ramp"), ("GET", "/api/rollout/history"), ("GET", "/api/rollout/report"),
]  # fmt: skip
FAILING: dict[str, tuple[Callable[[], BackendError | Hang], int]] = {
    "away": (lambda: Unavailable("nobody listens"), 503),
    "full": (lambda: Overloaded("the queue is full"), 503),
    "refusing every picture": (lambda: Refused("no picture"), 422),
    "answering nonsense": (lambda: InvalidModelOutput("NaN"), 503),
    "hung": (Hang, 504),
}


@pytest.fixture(scope="module", params=FAILING)
def api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, int]]:
    """Both sides fail in the same way; the breakers stay closed, so that each request meets it."""
    fail, status = FAILING[request.param]
    chosen = settings_of(
        tmp_path_factory.mktemp("var"), log_sample=0.0, detect_deadline_s=0.2, deepstack_deadline_s=0.2,
        triton_max_retries=0, breaker_failures=1_000_000, breaker_least=1_000_000, fallback="both",
    )  # fmt: skip
    sides = {side: FakeTransport().always(fail()) for side in (LEGACY, TRITON)}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRITON_ENABLED", "true")
        environment.setenv("TRITON_TRAFFIC_FRACTION", "0.5")
        with running(chosen, sides) as api:
            yield api, status


def test_a_good_picture_is_answered_with_the_status_that_says_why_not(api: tuple[Running, int]) -> None:
    running_api, status = api
    answer = running_api.post("/api/detect", content=pictures.jpeg(), headers=JPEG)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_documented_while_no_side_serves(
    api: tuple[Running, int], method: str, path: str
) -> None:
    running_api, _ = api
    examine(running_api, method, path, CHECKS, examples=10)
