"""Who means harm to nginx as it is deployed is held off or cut off, and normal callers notice nothing meanwhile.

One siege is laid, an abuse at a time on top of those before it; what each did is judged afterwards.
"""

from __future__ import annotations

import asyncio
import http.client
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import psutil
import pytest

from backend.settings import Settings
from tests.abusers import Gang
from tests.backends import Backend, running_backend
from tests.callers import JPEG, Load, counted, load
from tests.nginx_server import NginxServer, needs_nginx, running_nginx
from tests.services import Service

pytestmark = needs_nginx

CALLERS = 4
WINDOW_REPLIES = 120
MUCH_SLOWER = 5  # p95 against the slower of both controls: the machine has other work, too …
UNSEEN = 0.05  # … of the deadline: what no caller would call slow
PLACES = 64  # limit_conn requests
LARGE_PLACES = 16  # limit_conn large
LARGE = 2 * 1024 * 1024
PATIENCE_S = 30.0
TOO_MUCH = 18 * 1024 * 1024
POST = b"POST /api/detect HTTP/1.1\r\nHost: proxy\r\nContent-Type: image/jpeg\r\n"

SLOW_READERS, SLOW_HEADERS, IDLE, SLOW_BODIES, LARGE_BODIES, ENDLESS_BODIES, TOO_LARGE = (
    "slow readers", "slow headers", "idle connections", "slow bodies", "large slow bodies", "slow bodies of no length",
    "too large bodies",
)  # fmt: skip
ABUSES = (SLOW_READERS, SLOW_HEADERS, IDLE, SLOW_BODIES, LARGE_BODIES, ENDLESS_BODIES, TOO_LARGE)
ON_DISK = (LARGE_BODIES, ENDLESS_BODIES)
SOURCE = {abuse: f"127.0.9.{number}" for number, abuse in enumerate(ABUSES, 1)}
MEMBERS = {
    SLOW_READERS: 10,
    SLOW_HEADERS: 100,
    IDLE: 200,
    SLOW_BODIES: 100,
    LARGE_BODIES: 40,
    ENDLESS_BODIES: 40,
}
OPENING = {
    SLOW_READERS: b"GET /openapi.json HTTP/1.1\r\nHost: proxy\r\n\r\n" * 20,
    SLOW_HEADERS: POST,
    IDLE: b"",
    SLOW_BODIES: POST + b"Content-Length: 999999\r\n\r\n",
    LARGE_BODIES: POST + b"Content-Length: 17000000\r\n\r\n",
    ENDLESS_BODIES: POST + b"Transfer-Encoding: chunked\r\n\r\n",
}
DRIP = {SLOW_HEADERS: b"X-Slow: 1\r\n", SLOW_BODIES: b"x", LARGE_BODIES: b"x", ENDLESS_BODIES: b"1\r\nx\r\n"}
BEFORE, AFTER = "before", "after"


@dataclass
class Siege:
    p95_s: dict[str, float] = field(default_factory=dict)  # of normal callers, while it went on
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    connections: dict[str, int] = field(default_factory=dict)  # to the backend, then
    stayed: dict[str, int] = field(default_factory=dict)  # abusers whom nobody cut off
    heard: dict[str, Counter[int]] = field(default_factory=dict)  # what they were answered
    large: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # what pictures were answered, then, by their kind
    logged: Counter[tuple[str, int]] = field(default_factory=Counter)  # their addresses, and how it ended

    @property
    def control_p95_s(self) -> float:
        return max(self.p95_s[BEFORE], self.p95_s[AFTER])


@pytest.fixture(scope="module")
def siege(legacy: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with running_backend(legacy=legacy) as backend:
        folder = tmp_path_factory.mktemp("proxy")
        with running_nginx(folder, [f"127.0.0.1:{backend.port}"]) as proxy:
            yield asyncio.run(laid(proxy, backend))


async def laid(proxy: NginxServer, backend: Backend) -> Siege:
    siege, tls = Siege(), proxy.tls
    gangs = {
        abuse: Gang(proxy.url, tls, SOURCE[abuse], OPENING[abuse], DRIP.get(abuse, b"")) for abuse in MEMBERS
    }
    async with load(proxy.url, CALLERS, pause_s=0.02, tls=tls) as normal:
        await look_at(normal, BEFORE, siege, backend)
        async with dripping(*(gangs[abuse] for abuse in DRIP)):
            for abuse, gang in gangs.items():
                hears_bytes = 4096 if abuse == SLOW_READERS else None
                await asyncio.to_thread(gang.come, MEMBERS[abuse], hears_bytes)
                await look_at(normal, abuse, siege, backend)
                if abuse in ON_DISK:
                    siege.large[abuse] = await asyncio.to_thread(pictures, proxy, SOURCE[abuse])
            siege.heard[TOO_LARGE] = Counter()
            async with again_and_again(proxy, siege.heard[TOO_LARGE]):
                await look_at(normal, TOO_LARGE, siege, backend)
        for abuse, gang in gangs.items():
            siege.stayed[abuse] = await asyncio.to_thread(gang.until_cut_off, PATIENCE_S)
            siege.heard[abuse] = gang.statuses()
            gang.leave()
        await look_at(normal, AFTER, siege, backend)
    siege.logged = Counter((line["client"], line["status"]) for line in proxy.lines())
    return siege


async def look_at(normal: Load, what: str, siege: Siege, backend: Backend) -> None:
    begun = len(normal.replies)
    await normal.grown_by(WINDOW_REPLIES)
    replies = normal.replies[begun:]
    siege.outcomes[what] = counted(replies)
    siege.p95_s[what] = statistics.quantiles((reply.took_s for reply in replies), n=20)[-1]
    siege.connections[what] = connections_of(backend)


def connections_of(backend: Backend) -> int:
    every = psutil.Process(backend.pid).net_connections(kind="tcp")
    return sum(one.laddr.port == backend.port and one.status == "ESTABLISHED" for one in every)


@asynccontextmanager
async def dripping(*gangs: Gang) -> AsyncIterator[None]:
    async def drip() -> None:
        while True:
            await asyncio.sleep(1)
            for gang in gangs:
                await asyncio.to_thread(gang.drip)

    task = asyncio.create_task(drip())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def again_and_again(proxy: NginxServer, heard: Counter[int]) -> AsyncIterator[None]:
    """Bodies that are too large, by what they declare or by what they turn out to be."""
    going_on = True

    async def send() -> None:
        while going_on:
            for chunked in (False, True):
                heard[await asyncio.to_thread(too_large, proxy, chunked)] += 1

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        going_on = False
        await task


def pictures(proxy: NginxServer, source: str) -> dict[str, int]:
    """What a large one of somebody else is answered, and what both kinds of this address are."""
    large = JPEG.ljust(LARGE, b"\0")
    return {
        "another's large one": posted(proxy, "127.0.0.1", large),
        "their large one": posted(proxy, source, large),
        "their ordinary one": posted(proxy, source, JPEG),
    }


def posted(proxy: NginxServer, source: str, picture: bytes) -> int:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", proxy.port, context=proxy.tls, timeout=PATIENCE_S, source_address=(source, 0)
    )
    try:
        connection.putrequest("POST", "/api/detect")
        for name, value in {"Content-Type": "image/jpeg", "Content-Length": str(len(picture))}.items():
            connection.putheader(name, value)
        connection.endheaders()
        with suppress(OSError):  # a refusal does not wait for all of it
            connection.send(picture)
        return connection.getresponse().status
    finally:
        connection.close()


def too_large(proxy: NginxServer, chunked: bool) -> int:
    source = SOURCE[TOO_LARGE], 0
    connection = http.client.HTTPSConnection(
        "127.0.0.1", proxy.port, context=proxy.tls, timeout=PATIENCE_S, source_address=source
    )
    headers = {"Content-Type": "image/jpeg"} | ({} if chunked else {"Content-Length": str(TOO_MUCH)})
    part = JPEG.ljust(1024 * 1024, b"\0")
    try:
        connection.request(
            "POST", "/api/detect", iter([part] * (18 if chunked else 1)), headers, encode_chunked=chunked
        )
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("abuse", ABUSES)
def test_normal_callers_do_not_notice(siege: Siege, abuse: str) -> None:
    ratio = siege.p95_s[abuse] / siege.control_p95_s
    print(
        f"{abuse}: p95 {siege.p95_s[abuse] * 1000:.1f} ms, {ratio:.2f} of the control's, {siege.outcomes[abuse]}"
    )
    assert set(siege.outcomes[abuse]) == {"200 legacy None"}
    unseen_s = UNSEEN * Settings.model_fields["detect_deadline_s"].default
    assert siege.p95_s[abuse] < max(MUCH_SLOWER * siege.control_p95_s, unseen_s)


@pytest.mark.parametrize("abuse", MEMBERS)
def test_whoever_takes_their_time_is_cut_off(siege: Siege, abuse: str) -> None:
    print(f"{abuse}: {siege.stayed[abuse]} of {MEMBERS[abuse]} stayed, heard {siege.heard[abuse]}")
    assert siege.stayed[abuse] == 0


def test_slow_headers_end_as_408_and_slow_bodies_do_when_nothing_comes_any_more(siege: Siege) -> None:
    assert siege.logged[SOURCE[SLOW_HEADERS], 408] == MEMBERS[SLOW_HEADERS]
    assert siege.logged[SOURCE[SLOW_BODIES], 408] == PLACES


def test_an_address_gets_its_places_and_no_more(siege: Siege) -> None:
    refused = MEMBERS[SLOW_BODIES] - PLACES
    assert siege.heard[SLOW_BODIES][429] == siege.logged[SOURCE[SLOW_BODIES], 429] == refused


@pytest.mark.parametrize("abuse", ON_DISK)
def test_bodies_that_go_to_the_disk_have_fewer_places_and_take_none_from_others(
    siege: Siege, abuse: str
) -> None:
    """All of one address's leave room for a large picture of another's, and for its own ordinary ones."""
    assert siege.heard[abuse][429] == MEMBERS[abuse] - LARGE_PLACES
    assert siege.logged[SOURCE[abuse], 408] == LARGE_PLACES
    assert siege.large[abuse] == {
        "another's large one": 200, "their large one": 429, "their ordinary one": 200,
    }  # fmt: skip


def test_slow_bodies_never_reach_a_backend(siege: Siege) -> None:
    """It is asked by no more connections than before they came, give or take those of normal callers."""
    print(f"connections to the backend: {siege.connections}")
    assert abs(siege.connections[SLOW_BODIES] - siege.connections[IDLE]) <= CALLERS


def test_too_large_bodies_are_refused_by_what_they_declare_and_by_what_they_are(siege: Siege) -> None:
    assert set(siege.heard[TOO_LARGE]) == {413}
    assert siege.heard[TOO_LARGE][413] >= 2
    assert siege.logged[SOURCE[TOO_LARGE], 413] == siege.heard[TOO_LARGE][413]
