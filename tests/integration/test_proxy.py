"""nginx as it is deployed, before two real backends: what it lets through, to whom, and what of one that dies."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ai.web.intake import FORM_OVERHEAD_BYTES
from backend.api import console
from backend.api.asked import MAX_BODY_BYTES
from backend.api.events import HEARTBEAT_S
from backend.serve import KEEP_ALIVE_S
from backend.settings import Settings
from tests.backends import Backend, running_backend
from tests.callers import JPEG, Caller, counted, load
from tests.http_servers import hangs_up_after, raw_server, says, until
from tests.listening import EVENTS, Listening
from tests.nginx_server import TEMPLATE, NginxServer, needs_nginx, running_nginx
from tests.services import Service, free_port

pytestmark = [pytest.mark.beside, needs_nginx]

KIB, MIB = 1024, 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
CALLERS = 8
SECURE = "ssl_session_tickets"  # in the server that speaks TLS, and nowhere else
IMAGE = {"Content-Type": "image/jpeg"}
IN_FLIGHT = 'detector_inflight{backend="legacy"}'


@pytest.fixture(scope="module")
def backends(legacy: Service) -> Iterator[tuple[Backend, Backend]]:
    with running_backend(legacy=legacy) as one, running_backend(legacy=legacy) as other:
        yield one, other


@pytest.fixture(scope="module")
def proxy(
    backends: tuple[Backend, Backend], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NginxServer]:
    with running_nginx(tmp_path_factory.mktemp("proxy"), [at(backend) for backend in backends]) as server:
        yield server


def at(backend: Backend) -> str:
    return f"127.0.0.1:{backend.port}"


# --- the file ---------------------------------------------------------------------------------------------


def test_nginx_takes_the_file_as_the_image_fills_it_in(tmp_path: Path) -> None:
    server = NginxServer(tmp_path, ["127.0.0.1:9"])
    assert "${PROXY_T" not in server.configuration.read_text()
    said = subprocess.run(server.command("-t"), check=False, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "warn" not in said.stderr
    del server.words["PROXY_TLS_LISTEN"]
    assert subprocess.run(server.command("-t"), check=False, capture_output=True).returncode != 0


def test_its_sizes_and_seconds_agree_with_the_settings_of_the_backend() -> None:
    usual = {name: one.get_default(call_default_factory=True) for name, one in Settings.model_fields.items()}
    form = (usual["max_image_bytes"] * 4 // 3 + FORM_OVERHEAD_BYTES) * 5 // 4
    largest = {"(api/detect|v1": form, "/api/detect/batch": usual["max_batch_bytes"], SECURE: MAX_BODY_BYTES}
    for place, taken in largest.items():
        assert taken <= size_of(said_in(place, "client_max_body_size")) < taken + KIB, place
    deadline_s = max(usual["detect_deadline_s"], usual["deepstack_deadline_s"])
    for place in ("(api/detect|v1", "/api/detect/batch"):
        assert deadline_s < seconds_of(said_in(place, "proxy_read_timeout"))
        assert seconds_of(said_in(SECURE, "proxy_next_upstream_timeout")) <= deadline_s
    assert seconds_of(said_in("upstream", "keepalive_timeout")) < KEEP_ALIVE_S
    assert seconds_of(said_in("/api/rollout/events", "proxy_read_timeout")) > HEARTBEAT_S
    batches = int(said_in("/api/detect/batch", "limit_conn batches")) * usual["max_batch_bytes"]
    assert batches <= usual["max_receiving_bytes"]


def said_in(place: str, directive: str) -> str:
    """The first word after it that follows this place of the file."""
    found = re.search(rf"\b{directive} (\S+);", TEMPLATE.read_text().split(place, 1)[1])
    assert found is not None, directive
    return found[1]


def size_of(word: str) -> int:
    return int(word[:-1]) * {"k": KIB, "m": MIB}[word[-1]]


def seconds_of(word: str) -> int:
    return int(word.removesuffix("s"))


# --- who is let in, and to what ---------------------------------------------------------------------------


def test_callers_speak_tls_or_are_told_to(proxy: NginxServer) -> None:
    with proxy.client() as client:
        assert (
            client.post("/api/detect", content=JPEG, headers=IMAGE).json()["served_by"]["backend"] == "legacy"
        )
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE"):
        httpx.get(proxy.url, trust_env=False)
    assert {version: speaks(proxy, version) for version in ("tls1_1", "tls1_2", "tls1_3")} == {
        "tls1_1": False, "tls1_2": True, "tls1_3": True,
    }  # fmt: skip
    led = httpx.get(proxy.plain_url + "/docs?a=1", trust_env=False)
    assert led.status_code == 308
    assert led.headers["Location"] == "https://127.0.0.1/docs?a=1"
    refused = httpx.post(proxy.plain_url + "/api/detect", content=JPEG, trust_env=False)
    assert problem(refused) == 403


def speaks(proxy: NginxServer, version: str) -> bool:
    words = [
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{proxy.port}",
        f"-{version}",
        "-cipher",
        "ALL:@SECLEVEL=0",
    ]
    return subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def problem(answer: httpx.Response) -> int:
    """Its status, if it is one of ours in every respect."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    assert answer.json()["status"] == answer.status_code
    assert answer.json()["detail"]
    return answer.status_code


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "//metrics", "/docs/../metrics", "/metrics?a=1"])
def test_metrics_are_not_for_the_outside(
    proxy: NginxServer, backends: tuple[Backend, Backend], path: str
) -> None:
    assert backends[0].metrics()
    with proxy.client() as client:
        assert problem(client.get(f"{proxy.url}{path}")) == 404


def test_answers_carry_what_protects_a_browser_once(
    proxy: NginxServer, backends: tuple[Backend, Backend]
) -> None:
    with proxy.client() as client:
        for answer in (client.get("/health/ready"), client.get("/metrics"), client.get("/nowhere")):
            for name in ("X-Content-Type-Options", "X-Frame-Options", "Strict-Transport-Security"):
                assert len(answer.headers.get_list(name)) == 1, name
            assert answer.headers["Server"] == "nginx"


def test_the_console_passes_with_what_it_says_of_itself(proxy: NginxServer) -> None:
    """Its policy twice would be both at once, and a header twice is one that some browser forgets."""
    with proxy.client() as client:
        page = client.get("/")
        assert page.status_code == 200
        for name, value in console.HEADERS.items():
            assert page.headers.get_list(name) == [value], name
        again = client.get("/", headers={"If-None-Match": page.headers["ETag"]})
        assert again.status_code == 304
        assert client.get("/console/main.js").headers["Content-Type"] == "text/javascript; charset=utf-8"


async def test_a_backend_hears_who_calls_from_the_proxy_alone(tmp_path: Path) -> None:
    async with raw_server(says(OK)) as raw:
        with running_nginx(tmp_path, [raw.url.removeprefix("http://")]) as proxy:
            claims = {"X-Forwarded-For": "10.1.2.3", "Forwarded": "for=10.1.2.3", "X-API-Key": "k"}
            async with httpx.AsyncClient(verify=proxy.tls, trust_env=False) as client:
                await client.get(proxy.url + "/api/rollout", headers=claims)
            head = raw.head.decode().lower()
    assert "x-forwarded-for: 127.0.0.1\r\n" in head
    assert "x-forwarded-proto: https\r\n" in head
    assert "10.1.2.3" not in head
    assert "x-api-key: k\r\n" in head


def test_events_pass_through_as_they_happen(backends: tuple[Backend, Backend], tmp_path: Path) -> None:
    """Nothing is held back until there is more of it: a change comes before the next sign of life."""
    backend, sooner_s = backends[0], HEARTBEAT_S / 2
    with (
        running_nginx(tmp_path, [at(backend)]) as proxy,
        proxy.client() as client,
        client.stream("GET", EVENTS, headers=backend.admin, timeout=sooner_s) as answer,
    ):
        listening = Listening(answer)
        listening.next("rollout")
        version = backend.set(shadow=0.5)
        told = listening.next("rollout")
    assert told.document["version"] == version
    assert told.document["shadow"] == 0.5


# --- a backend that dies ------------------------------------------------------------------------------------


async def test_what_may_have_been_done_is_not_asked_for_twice(tmp_path: Path) -> None:
    """A detection and a GET are: they change nothing."""
    async with raw_server(hangs_up_after(b"")) as dying, raw_server(says(OK)) as well:
        with running_nginx(tmp_path, [one.url.removeprefix("http://") for one in (dying, well)]) as proxy:
            async with httpx.AsyncClient(verify=proxy.tls, trust_env=False, base_url=proxy.url) as client:
                changes = [await client.post("/api/rollout/rollback") for _ in range(2)]
                assert sorted(answer.status_code for answer in changes) == [200, 502]
                lost = next(answer for answer in changes if answer.status_code == 502)
                assert problem(lost) == 502
                assert lost.headers["Retry-After"] == "1"
                for method, path in (
                    ("POST", "/api/detect"),
                    ("POST", "/v1/vision/detection"),
                    ("GET", "/docs"),
                ):
                    answers = [await client.request(method, path) for _ in range(2)]
                    assert {answer.status_code for answer in answers} == {200}, (method, path)
        assert any("," in line["backend"] for line in proxy.lines())


async def test_what_was_under_way_on_a_backend_that_is_killed_is_served_by_the_next(
    proxy: NginxServer, backends: tuple[Backend, Backend], legacy: Service
) -> None:
    dying, other = backends
    tls = proxy.tls
    os.kill(legacy.process.pid, signal.SIGSTOP)  # so that all of them are under way
    try:
        asked = [asyncio.create_task(Caller(proxy.url, tls=tls).ask()) for _ in range(CALLERS)]
        await until(lambda: in_flight(dying) + in_flight(other) == CALLERS, "they never were under way")
        lost = in_flight(dying)
        dying.kill()
        await until(lambda: in_flight(other) == CALLERS, "they did not move")
    finally:
        os.kill(legacy.process.pid, signal.SIGCONT)
    replies = await asyncio.gather(*asked)
    print(f"{lost:g} of {CALLERS} were under way on the killed one; {counted(replies)}")
    assert lost
    assert counted(replies) == {"200 legacy None": CALLERS}
    async with load(proxy.url, CALLERS, tls=tls) as going_on:
        await going_on.grown_by(50)
        dying.start()
        await going_on.grown_by(50)
        await until(lambda: served(dying) > 0, "who came back was not asked again")
    assert counted(going_on.replies) == {"200 legacy None": len(going_on.replies)}


def in_flight(backend: Backend) -> float:
    return backend.metric(IN_FLIGHT)


def served(backend: Backend) -> float:
    return backend.metric('detector_requests_total{backend="legacy",detector="yolo26",outcome="ok"}')


def test_nobody_to_ask_is_said_in_the_words_of_the_backend(tmp_path: Path) -> None:
    with running_nginx(tmp_path, [f"127.0.0.1:{free_port()}"]) as proxy, proxy.client() as client:
        answer = client.post("/api/detect", content=JPEG * 5000, headers=IMAGE)
        assert problem(answer) == 502
        assert answer.headers["Retry-After"] == "1"
        assert problem(client.get("/docs", headers={"X-Long": "x" * 9 * KIB})) == 431
        assert problem(client.get("/" + "x" * 9 * KIB)) == 431
