"""Three backends on one Redis behind the real proxy, and Tritons behind one name: one of each is lost under load.

What a deployment on Kubernetes relies on, without a cluster. The tests follow one another, each leaves a fleet behind.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.backends import Backend
from tests.callers import Load, Reply, counted, load
from tests.fleet import REPLICAS, Fleet, counted_by, needs_names, running_fleet
from tests.http_servers import until
from tests.nginx_server import needs_nginx
from tests.redis_server import needs_redis
from tests.services import Service

pytestmark = [pytest.mark.beside, needs_nginx, needs_redis, needs_names]

CALLERS = 6
AT_FIRST = 2  # Tritons; one more joins later
FAIR = 0.5  # of an even share, at least
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def fleet(legacy: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet"), legacy, AT_FIRST, planned=1) as fleet:
        yield fleet


@asynccontextmanager
async def traffic(fleet: Fleet) -> AsyncIterator[Load]:
    """Served by Triton when it begins; nobody goes without an answer while it lasts."""
    async with load(fleet.proxy.url, CALLERS, pause_s=0.02, tls=fleet.proxy.tls) as going_on:
        await going_on.until_all("200 triton None", times=10 * REPLICAS)
        yield going_on
    statuses = {reply.status for reply in going_on.replies}
    assert statuses == {200}, counted(going_on.replies)


def p95_ms(replies: Sequence[Reply]) -> float:
    return statistics.quantiles((reply.took_s * 1000 for reply in replies), n=20)[-1]


def told(what: str, control: Sequence[Reply], then: Sequence[Reply]) -> None:
    print(
        f"{what}: p95 {p95_ms(control):.1f} ms before, {p95_ms(then):.1f} ms with it, "
        f"the slowest {max(reply.took_s for reply in then) * 1000:.0f} ms; "
        f"{sum(reply.status == 200 and sum(reply.attempts.values()) > 1 for reply in then)} tried twice; "
        f"{dict(counted(then))}"
    )


def served(backend: Backend) -> float:
    lines = backend.metrics().items()
    return sum(
        value for line, value in lines if line.startswith("detector_requests_total{") and '"ok"' in line
    )


async def test_every_backend_and_every_triton_gets_its_share(fleet: Fleet) -> None:
    async with traffic(fleet) as going_on:
        tritons = [counted_by(one) for one in fleet.tritons[:AT_FIRST]]
        backends = [served(one) for one in fleet.backends]
        await going_on.grown_by(300)
    by_triton = [counted_by(one) - was for one, was in zip(fleet.tritons, tritons, strict=False)]
    by_backend = [served(one) - was for one, was in zip(fleet.backends, backends, strict=True)]
    print(f"by Triton {by_triton}, by backend {by_backend}")
    assert min(by_triton) > FAIR * sum(by_triton) / AT_FIRST
    assert min(by_backend) > FAIR * sum(by_backend) / REPLICAS


async def test_a_rollback_through_the_proxy_reaches_every_replica(fleet: Fleet) -> None:
    """Whoever asks after it was acknowledged is served by legacy, whichever replica they reach."""
    async with traffic(fleet) as going_on:
        answer = await asyncio.to_thread(fleet.ask, "POST", "/api/rollout/rollback", json={"reason": "try"})
        acknowledged = time.time()
        assert answer.status_code == 200, answer.text
        await going_on.grown_by(20 * REPLICAS)
    version = answer.json()["version"]
    later = [reply for reply in going_on.replies if reply.began > acknowledged]
    assert Counter((reply.side, reply.flag_version) for reply in later) == {("legacy", version): len(later)}
    assert later
    assert await asyncio.to_thread(fleet.versions) == [version] * REPLICAS
    await changed(fleet, fraction=1.0)


async def changed(fleet: Fleet, **flags: float) -> None:
    """Through the proxy, and known to every replica."""
    answer = await asyncio.to_thread(fleet.ask, "PUT", "/api/rollout", json=flags)
    assert answer.status_code == 200, answer.text
    version = answer.json()["version"]
    await until(lambda: fleet.versions() == [version] * REPLICAS, "a replica does not know of a change")


async def test_a_killed_triton_costs_nobody_an_answer_and_a_new_one_is_found_by_the_name(
    fleet: Fleet,
) -> None:
    dying, staying, new = fleet.tritons
    async with traffic(fleet) as going_on:
        control, begun = list(going_on.replies), len(going_on.replies)
        await asyncio.to_thread(dying.kill)
        await going_on.until_all("200 triton None", times=20 * REPLICAS)
        told("a Triton is killed", control, going_on.replies[begun:])
        await asyncio.to_thread(new.start)
        before = counted_by(new)  # its warm-up, if it has any
        fleet.stand_for(staying, new)
        await until(lambda: counted_by(new) > before + 10, "the new Triton was never found", PATIENCE_S)
        print(f"the new Triton had answered {counted_by(new) - before:g} when it was looked at")


async def test_a_killed_backend_costs_nobody_an_answer_and_is_asked_again_when_it_is_back(
    fleet: Fleet,
) -> None:
    """What is under way on it is asked for once more, by the proxy."""
    dying = fleet.backends[0]
    async with traffic(fleet) as going_on:
        control, begun, lines = list(going_on.replies), len(going_on.replies), len(fleet.proxy.lines())
        await asyncio.to_thread(dying.kill)
        await going_on.grown_by(50 * REPLICAS)
        told("a backend is killed", control, going_on.replies[begun:])
        await asyncio.to_thread(dying.start)
        await until(lambda: served(dying) > 5, "the backend that is back is not asked", PATIENCE_S)
    twice = [line for line in fleet.proxy.lines()[lines:] if "," in line["backend"]]
    print(f"the proxy asked another backend for {len(twice)} requests")
    assert twice


async def test_without_redis_and_with_an_empty_one_the_flags_hold(fleet: Fleet) -> None:
    version = max(fleet.versions())
    async with traffic(fleet) as going_on:
        control, begun = list(going_on.replies), len(going_on.replies)
        await asyncio.to_thread(fleet.redis.kill)
        await until(lambda: all(one.metric("rollout_stale") == 1 for one in fleet.backends), "nobody noticed")
        await going_on.grown_by(30 * REPLICAS)
        told("Redis is killed", control, going_on.replies[begun:])
        await asyncio.to_thread(fleet.redis.start)
        await until(lambda: all(one.metric("rollout_stale") == 0 for one in fleet.backends), "not noticed")
        await going_on.until_all("200 triton None", times=10 * REPLICAS)
    assert set(fleet.versions()) <= {version, version + 1}
    await changed(fleet, fraction=1.0)
