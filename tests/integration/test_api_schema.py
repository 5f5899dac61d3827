"""The API does what its documentation says, whatever it is sent: schemathesis makes the requests."""

from __future__ import annotations

import pytest
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from backend.api import events
from backend.api.app import create_api
from tests.api_parts import Running, running, settings_of, sides_of
from tests.schema_exam import examine

pytestmark = pytest.mark.beside

CHECKS = [
    allow_header_conformance, content_type_conformance, ignored_auth, response_headers_conformance,
    response_schema_conformance, status_code_conformance, unsupported_method,
]  # fmt: skip
OPERATIONS = [
    (method.upper(), path)
    for path, operations in create_api(None).openapi()["paths"].items()
    for method in operations
    if path != events.PATH  # it has no end; test_api_events.py listens to it
]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running(settings_of(tmp_path_factory.mktemp("var"), log_sample=0.0), sides_of()) as api:
        yield api


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_documented_and_none_is_a_500(api: Running, method: str, path: str):
    examine(api, method, path, CHECKS, examples=40)
