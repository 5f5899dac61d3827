"""Every route that the app has, asked with every key: taken from its own table, so that no new one is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from starlette.routing import Route

from backend.api.app import create_api
from backend.api.events import PATH as EVENTS
from backend.api.keys import Role
from backend.api.roles import OPEN, role_of
from tests.api_parts import ADMIN, KEYS, running, settings_of, sides_of

NOBODY, WRONG = None, "Viewer-key"
PRESENTED = {
    NOBODY: 0,
    WRONG: 0,
    "": 0,
    "caller-key": Role.CALLER,
    "viewer-key": Role.VIEWER,
    "admin-key": Role.ADMIN,
}
ROUTES = [
    (method, route.path)
    for route in create_api(None).routes  # type: ignore[arg-type]  # it is not started
    if isinstance(route, Route)
    for method in sorted(route.methods or ())
]


def least(method: str, path: str) -> int:
    """What HEAD asks for is what GET does."""
    word = role_of(f"{'GET' if method == 'HEAD' else method} {path}").split(",")[0]
    return 0 if word == OPEN else Role[word.upper()]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = settings_of(tmp_path_factory.mktemp("var"), api_keys=KEYS)
    with (
        running(settings, sides_of()) as served,
        httpx.Client(base_url=served.url, timeout=40, trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_opens_to_its_role_and_those_above_and_to_nobody_else(
    api: httpx.Client, method: str, path: str
) -> None:
    """None and a wrong one are 401, a lesser one is 403, and what was refused changed nothing."""
    needed = least(method, path)
    address = re.sub(r"\{\w+\}", "main.js", path)
    for key, role in PRESENTED.items():
        if path == EVENTS and role >= needed:
            continue  # without an end; listened to in tests/integration/test_api_events.py
        before = version(api)
        answer = api.request(method, address, headers={} if key is None else {"X-API-Key": key})
        if role >= needed:
            assert answer.status_code not in {401, 403}, (key, answer.text)
            continue
        assert answer.status_code == (403 if role else 401), (key, answer.text)
        assert version(api) == before
        if method != "HEAD":
            assert answer.json()["status"] == answer.status_code


def version(api: httpx.Client) -> str:
    return api.get("/api/rollout", headers=ADMIN).headers["ETag"]


def test_all_that_changes_anything_asks_for_an_admin_and_only_what_shows_nothing_is_open() -> None:
    changing = {(method, path) for method, path in ROUTES if method not in {"GET", "HEAD"}}
    detecting = {one for one in changing if least(*one) == Role.CALLER}
    assert {path for _, path in detecting} == {"/api/detect", "/api/detect/batch", "/v1/vision/detection"}
    assert all(least(*one) == Role.ADMIN for one in changing - detecting)
    is_open = {path for method, path in ROUTES if least(method, path) == 0}
    assert is_open == {
        "/", "/docs", "/console/{name}", "/openapi.json", "/health/live", "/health/ready", "/metrics",
    }  # fmt: skip
