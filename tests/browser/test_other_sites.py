"""A page of another origin, in the same browser as an admin's console: it changes, reads and frames nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.browser.page import Console, console_of
from tests.browser.stage import ADMIN, Stage
from tests.http_servers import serving_app

ROLLBACK, ROLLOUT = "/api/rollout/rollback", "/api/rollout"
FETCHES = """async ([base, mode, credentials]) => {
  const asked = [
    ["POST", "/api/rollout/rollback", "{}"], ["POST", "/api/rollout/rollback", ""],
    ["PUT", "/api/rollout", '{"fraction": 1}'], ["DELETE", "/api/rollout/samples?all=true", null],
    ["POST", "/api/rollout/ramp", '{"action": "start", "detector": "yolo26", "force": true, "reason": "x"}'],
    ["GET", "/api/rollout", null], ["GET", "/api/rollout/events", null],
    ["GET", "/console/main.js", null],
  ];
  const headers = mode === "cors"
    ? {"Content-Type": "application/json", "If-Match": "*", "X-API-Key": "ops"} : {"Content-Type": "text/plain"};
  return Promise.all(asked.map(async ([method, path, body]) => {
    const may = mode === "cors" ? method : body === null ? "GET" : "POST"; // what needs no leave
    try {
      const answer = await fetch(base + path, {method: may, body, headers, mode, credentials});
      return answer.type === "opaque" ? "" : await answer.text();
    } catch (error) {
      return "";
    }
  }));
}"""


async def nothing(_: Request) -> HTMLResponse:
    return HTMLResponse("<!doctype html><title>elsewhere</title><p>Nothing to see here.</p>")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with serving_app(Starlette(routes=[Route("/", nothing)])) as url:
        yield url


@pytest.fixture(scope="module", params=["127.0.0.1", "localhost"])
def beside(
    request: pytest.FixtureRequest, browser: Browser, shared_stage: Stage, elsewhere: str
) -> Iterator[tuple[Console, Page]]:
    """An admin's console and the other page, in one browser: of the same site by its address, and of another site.

    What the other page asks is not the console's, so only the console is watched.
    """
    with console_of(browser, shared_stage.url) as console:
        console.open(ADMIN)
        page = console.page.context.new_page()
        page.goto(elsewhere.replace("127.0.0.1", request.param))
        yield console, page


def test_a_form_changes_nothing(beside: tuple[Console, Page], stage: Stage) -> None:
    _, page = beside
    version = stage.state["version"]
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        with page.expect_popup() as popup:
            page.evaluate(
                """([address, kind]) => {
                  const form = document.createElement("form");
                  Object.assign(form, {method: "POST", action: address, enctype: kind, target: "_blank"});
                  form.append(Object.assign(document.createElement("input"), {name: '{"reason": "', value: '"}'}));
                  document.body.append(form);
                  form.submit();
                }""",
                [stage.url + ROLLBACK, kind],
            )
        expect(popup.value.locator("body")).to_contain_text('"status":40')
        popup.value.close()
    assert stage.state["version"] == version


@pytest.mark.parametrize("mode", ["cors", "no-cors"])
def test_a_script_changes_nothing_and_reads_nothing(
    beside: tuple[Console, Page], stage: Stage, mode: str
) -> None:
    console, page = beside
    version = stage.state["version"]
    for credentials in ("include", "omit"):
        assert set(page.evaluate(FETCHES, [stage.url, mode, credentials])) == {""}
    assert stage.state["version"] == version
    expect(console.line).to_have_text("live")


def test_nothing_of_it_is_shown_elsewhere(beside: tuple[Console, Page], stage: Stage) -> None:
    """Neither in a frame, where a click could be stolen, nor as a picture or a script of that page."""
    _, page = beside
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.evaluate(
        """(base) => Promise.all([
          ["iframe", "src", "/"], ["img", "src", "/console/icon.svg"], ["script", "src", "/console/words.js"],
          ["object", "data", "/"],
        ].map(([tag, name, path]) => new Promise((done) => {
          const one = document.createElement(tag);
          one.onload = one.onerror = () => done();
          one[name] = base + path;
          document.body.append(one);
        })))""",
        stage.url,
    )
    assert any("frame-ancestors" in text for text in refused), refused
    assert page.evaluate("document.querySelector('img').naturalWidth") == 0
    assert {frame.url for frame in page.frames[1:]} == {"chrome-error://chromewebdata/"}


def test_a_window_that_it_opens_is_not_its_own(beside: tuple[Console, Page], stage: Stage) -> None:
    _, page = beside
    with page.expect_popup() as popup:
        page.evaluate("(address) => { window.opened = window.open(address); }", f"{stage.url}/")
    popup.value.get_by_role("heading", name="Who is it?").wait_for()  # the other tab's key is not this one's
    assert popup.value.evaluate("window.opener") is None
    assert page.evaluate("window.opened.closed")  # as far as it can tell
