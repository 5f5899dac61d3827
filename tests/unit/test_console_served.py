"""The console comes from memory, under headers that let it load and run nothing but itself; a change from another
site's page is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from ai.core.sample import sample_jpeg
from backend.api import console
from backend.api.app import create_api
from backend.api.cross_site import can_change
from backend.main import create_app
from tests.api_parts import ADMIN, CALLER, KEYS, VIEWER, asked_in_process, settings_of, sides_of

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
CHANGES = [
    ("PUT", "/api/rollout"),
    ("POST", "/api/rollout/rollback"),
    ("POST", "/api/rollout/ramp"),
    ("DELETE", "/api/rollout/ramp"),
    ("DELETE", "/api/rollout/samples"),
]


@pytest.fixture
def app(tmp_path) -> FastAPI:
    """A rollback right after the start waits until each worker that there may be would have been heard."""
    return create_app(settings_of(tmp_path, rollout_heartbeat_s=0.05), sides_of())


@pytest.fixture
async def api(app) -> AsyncIterator[httpx.AsyncClient]:
    async with asked_in_process(app) as client:
        yield client


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "console"
    (folder / "deeper").mkdir(parents=True)
    for name, text in {
        "index.html": "<!doctype html>", "main.js": "export const a = 1;", "console.css": ":root {}",
        "icon.svg": "<svg/>", "notes.md": "ours", ".hidden.js": "ours", "main.js~": "older", "deeper/one.js": "ours",
    }.items():  # fmt: skip
        (folder / name).write_text(text)
    (tmp_path / "secret.js").write_text("the key")
    return folder


# --- Its files


@pytest.mark.parametrize(("path", "module"), [("/", "main.js"), ("/docs", "docs.js")])
async def test_a_page_and_every_file_that_it_and_its_modules_name_are_served(api, path, module):
    page = await api.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    asked, left = set(), set(re.findall(r'(?:src|href)="(/[^"]+)"', page.text))
    assert f"/console/{module}" in left
    left -= {"/openapi.json"}  # which is no file
    while left - asked:
        path = (left - asked).pop()
        asked.add(path)
        answer = await api.get(path)
        assert answer.status_code == 200, path
        left |= {f"/console/{name}" for name in re.findall(r'(?:from |import\()"\./([\w.-]+)"', answer.text)}
    assert "/console/dom.js" in asked


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
async def test_no_page_of_this_origin_runs_what_another_host_says(api, path):
    """The console keeps its key where every script of the origin can read it."""
    answer = await api.get(path)
    assert answer.status_code == (200 if path == "/docs" else 404)
    assert "//" not in answer.text.replace("<!doctype", "")


async def test_another_file_is_another_edition(folder):
    before = console.edition(console.read(folder))
    assert console.edition(console.read(folder)) == before
    (folder / "main.js").write_text("export const a = 2;")
    assert console.edition(console.read(folder)) != before


async def test_each_is_what_lies_in_the_folder_and_said_to_be_what_it_is(app, api, folder):
    app.state.console = console.read(folder)
    kinds = {
        "index.html": "text/html; charset=utf-8", "main.js": "text/javascript; charset=utf-8",
        "console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml",
    }  # fmt: skip
    assert app.state.console.keys() == kinds.keys()
    for name, kind in kinds.items():
        answer = await api.get(f"/console/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.text == (folder / name).read_text()
    assert (await api.get("/")).text == "<!doctype html>"


async def test_it_is_read_once_so_that_nothing_put_there_later_is_served(app, api, folder):
    app.state.console = console.read(folder)
    (folder / "later.js").write_text("late")
    (folder / "main.js").write_text("changed")
    assert (await api.get("/console/later.js")).status_code == 404
    assert (await api.get("/console/main.js")).text == "export const a = 1;"


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js", "notes.md", ".hidden.js", "main.js~", "deeper/one.js", "../secret.js", "%2e%2e%2fsecret.js",
        "..%2fsecret.js", "%2e%2e/secret.js", "..%5csecret.js", "main.js%00", "%2fetc%2fpasswd", "//etc/passwd", "",
        "MAIN.JS", "main.js/", "%252e%252e%252fsecret.js",
    ],
)  # fmt: skip
async def test_nothing_else_is_whatever_the_path_looks_like(app, api, folder, path):
    app.state.console = console.read(folder)
    answer = await api.get(httpx.URL(f"http://api/console/{path}"))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "the key" not in answer.text
    assert "ours" not in answer.text


async def test_an_installation_without_a_console_says_so_and_serves_the_rest(app, api, tmp_path):
    app.state.console = console.read(tmp_path / "nowhere")
    answer = await api.get("/")
    assert (answer.status_code, answer.json()["detail"]) == (404, "the console has no file 'index.html'")
    assert (await api.get("/health/live")).status_code == 200


# --- What a browser is told


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/console/main.js", "/console/icon.svg", "/console/nothing.js"]
)
async def test_a_browser_loads_and_runs_nothing_but_our_own_files_and_frames_none(api, path):
    headers = (await api.get(path)).headers
    assert headers["Content-Security-Policy"] == CSP
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_itself_keeps_to_its_policy(api, path):
    text = (await api.get(path)).text
    assert not re.search(r"<script(?![^>]*\ssrc=)", text), "a script that stands in the page"
    assert not re.search(r"<style|\sstyle=|\son\w+=", text), "a style or a handler that stands in the page"
    assert not re.search(r'(?:src|href)="(?!/|#)', text), "something of another host"


async def test_who_has_it_already_is_told_so_and_who_has_another_gets_this_one(api):
    first = await api.get("/console/main.js")
    assert first.headers["Cache-Control"] == "no-cache"
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await api.get("/console/main.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers["Content-Security-Policy"] == CSP
    for other in ('"other"', tag.strip('"'), (await api.get("/")).headers["ETag"]):
        again = await api.get("/console/main.js", headers={"If-None-Match": other})
        assert (again.status_code, again.content) == (200, first.content)


async def test_heads_are_answered_as_the_files_are(api):
    for path in ("/", "/console/main.js"):
        head, whole = await api.head(path), await api.get(path)
        assert head.status_code == 200
        assert head.headers == whole.headers
    assert (await api.head("/console/nothing.js")).status_code == 404


# --- Keys, and other sites


async def test_me_says_whose_key_it_is_and_what_there_is(tmp_path):
    async with asked_in_process(create_app(settings_of(tmp_path, api_keys=KEYS), sides_of())) as api:
        for headers, name, role in (
            (CALLER, "cam", "caller"),
            (VIEWER, "eye", "viewer"),
            (ADMIN, "ops", "admin"),
        ):
            answer = await api.get("/api/me", headers=headers)
            assert answer.headers["Cache-Control"] == "private, no-store"
            assert answer.json() == {
                "name": name, "role": role, "detection_open": False, "detectors": ["rtdetr", "yolo26"],
                "default_detector": "rtdetr", "console": console.edition(console.read()),
            }  # fmt: skip


async def test_me_says_where_detection_needs_no_key(api):
    assert (await api.get("/api/me", headers=VIEWER)).json()["detection_open"] is True


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}])
async def test_me_knows_nobody_without_a_key(api, headers):
    answer = await api.get("/api/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "ApiKey" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "name", ["key", "X-API-Key", "x-api-key", "api_key", "apikey", "token", "access_token"]
)
async def test_a_key_in_a_query_is_none(tmp_path, name):
    """Addresses are logged, kept in histories and sent on."""
    query = {name: "admin-key"}
    async with asked_in_process(create_app(settings_of(tmp_path, api_keys=KEYS), sides_of())) as api:
        for path in (
            "/api/me",
            "/api/traffic",
            "/api/rollout",
            "/api/rollout/events",
            "/api/rollout/samples",
        ):
            assert (await api.get(path, params=query)).status_code == 401
        assert (await api.post("/api/rollout/rollback", params=query)).status_code == 401
        assert (await api.post("/api/detect", params=query, content=sample_jpeg())).status_code == 401
        picture = {"image": sample_jpeg()}
        assert (await api.post("/v1/vision/detection", params=query, files=picture)).status_code == 401


def test_the_changes_tried_here_are_all_that_there_are():
    paths = create_api(None).openapi()["paths"]
    changing = [(method.upper(), path) for path, one in paths.items() for method in one]
    assert sorted(CHANGES) == sorted(one for one in changing if can_change(*one))


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_a_change_from_another_sites_page_is_refused_even_with_the_key(api, method, path):
    sent = {"json": {"fraction": 0.5, "action": "abort"}} if method != "DELETE" else {}
    asked = ADMIN | {"If-Match": "*"}
    version = (await api.get("/api/rollout", headers=VIEWER)).json()["version"]
    refused = await api.request(method, path, headers=asked | {"Sec-Fetch-Site": "cross-site"}, **sent)
    assert refused.status_code == 403
    assert "another site" in refused.json()["detail"]
    assert (await api.get("/api/rollout", headers=VIEWER)).json()["version"] == version
    answer = await api.request(method, path, headers=asked | {"Sec-Fetch-Site": "same-origin"}, **sent)
    assert answer.status_code != 403


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_what_a_form_of_another_page_could_send_changes_nothing(api, method, path):
    """A browser of old says nothing of sites; a form sends no header, and a script may not without being let."""
    origin = {"Origin": "https://elsewhere.example"}
    form = {"data": {"reason": "none"}} if method != "DELETE" else {}
    assert (await api.request(method, path, headers=origin, **form)).status_code == 401
    asked = origin | {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "x-api-key",
    }
    assert (await api.options(path, headers=asked)).status_code == 405


async def test_no_answer_lets_another_origin_read_it(api):
    origin = {"Origin": "https://elsewhere.example"}
    for path in (
        "/",
        "/console/main.js",
        "/api/me",
        "/api/traffic",
        "/api/rollout",
        "/health/live",
        "/metrics",
    ):
        for answer in (await api.get(path, headers=origin | ADMIN), await api.options(path, headers=origin)):
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]
