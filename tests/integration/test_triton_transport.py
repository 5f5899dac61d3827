"""Several real Tritons behind one target: a bad one costs a few callers, and comes back when it is well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from ai.core.errors import BackendError, DeadlineExceeded, Unavailable
from ai.core.sample import sample_jpeg
from backend.transports import endpoints
from backend.transports.base import Ask
from backend.transports.ejection import EjectionPolicy, Rotation
from backend.transports.triton import TritonTarget, TritonTransport
from tests import scripted
from tests.http_servers import sockets_to, until
from tests.scripted import client_of
from tests.services import free_port
from tests.tritons import RunningTriton, running_triton

MODELS = {"rtdetr": "good_jpeg", "yolo26": "dying_jpeg"}
ASK = Ask("rtdetr", sample_jpeg(), 20.0)
DYING = Ask("yolo26", sample_jpeg(), 20.0)
MISSED = EjectionPolicy().failures  # callers that a bad one may cost


@pytest.fixture(scope="module")
def tritons(tmp_path_factory) -> Iterator[list[RunningTriton]]:
    repository = tmp_path_factory.mktemp("models")
    for name in MODELS.values():
        scripted.jpeg(repository, name)
    with ExitStack() as stack:
        yield [stack.enter_context(running_triton(repository)) for _ in range(2)]


def transport_of(address, protocol="grpc", wait_s=5.0, **options):
    policy = EjectionPolicy(wait_s=wait_s)
    return TritonTransport(
        TritonTarget(address, address, protocol), MODELS, rotation=lambda: Rotation(policy), **options
    )


async def fallen(transport, calls, ask=ASK):
    """How many of these calls, one after the other, were not answered."""
    count = 0
    for _ in range(calls):
        try:
            await transport.detect(ask)
        except BackendError:
            count += 1
    return count


def answered(triton, model="good_jpeg"):
    return triton.asked_of(model)


async def test_callers_are_spread_over_all_of_them(tritons):
    before = [answered(triton) for triton in tritons]
    transport = transport_of(",".join(triton.grpc_url for triton in tritons))
    assert await fallen(transport, 20) == 0
    assert [answered(triton) - was for triton, was in zip(tritons, before, strict=True)] == [10, 10]
    await transport.rest()
    await until(lambda: not any(sockets_to(triton.grpc_url) for triton in tritons), "a connection is left")
    await transport.close()


async def test_one_with_a_dead_stub_costs_a_few_callers_of_that_model_and_returns_by_a_probe(tritons):
    """Its server calls itself ready for ever; only an inference tells."""
    bad, good = tritons
    transport = transport_of(f"{bad.grpc_url},{good.grpc_url}", wait_s=0.5)
    assert await fallen(transport, 4, DYING) == 0
    async with client_of(bad, "grpc") as killer:
        with suppress(BackendError):
            await killer.detect("dying_jpeg", scripted.picture(exit=True), timeout_s=20)
    assert 1 <= await fallen(transport, 30, DYING) <= MISSED
    assert await fallen(transport, 20) == 0
    bad.restart()

    async def is_back():
        before = answered(bad, "dying_jpeg")
        await fallen(transport, 4, DYING)
        return answered(bad, "dying_jpeg") - before >= 2

    async with asyncio.timeout(30):
        while not await is_back():
            await asyncio.sleep(0.05)
    assert await fallen(transport, 20, DYING) == 0
    await transport.close()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_an_address_of_a_name_where_nobody_listens_costs_a_few_callers(tritons, protocol):
    url = tritons[0].grpc_url if protocol == "grpc" else tritons[0].http_url

    async def look_up(host, port):
        assert host == "triton.test"
        return ("127.0.0.1", "127.0.0.77")

    transport = transport_of(f"dns:///triton.test:{url.rpartition(':')[2]}", protocol, look_up=look_up)
    assert 1 <= await fallen(transport, 60) <= MISSED
    await transport.close()


async def test_a_name_is_looked_up_again_while_it_is_in_use_and_only_then(tritons, monkeypatch):
    monkeypatch.setattr(endpoints, "LOOK_UP_EVERY_S", 0.05)
    monkeypatch.setattr(endpoints, "LOOK_UP_TIMEOUT_S", 5.0)
    looked_up = []
    hosts = ["127.0.0.1"]

    async def look_up(host, port):
        looked_up.append(host)
        return tuple(hosts)

    url = tritons[0].grpc_url
    transport = transport_of(f"dns:///triton.test:{url.rpartition(':')[2]}", look_up=look_up)
    await transport.detect(ASK)
    hosts[:] = ["127.0.0.77"]  # nobody listens there
    async with asyncio.timeout(20):
        while await fallen(transport, 1) == 0:
            await asyncio.sleep(0.01)
    await until(lambda: sockets_to(url) == 0, "the connection to the old address is left")
    hosts[:] = ["127.0.0.1"]
    async with asyncio.timeout(20):
        while await fallen(transport, 1) == 1:
            await asyncio.sleep(0.01)
    await transport.rest()
    count = len(looked_up)
    await asyncio.sleep(0.2)
    assert len(looked_up) == count
    await transport.detect(ASK)
    assert len(looked_up) == count + 1
    await transport.close()


async def test_a_look_up_that_fails_or_hangs_is_named_and_old_addresses_stay(tritons, monkeypatch):
    monkeypatch.setattr(endpoints, "LOOK_UP_EVERY_S", 0.02)
    broken = asyncio.Event()

    async def look_up(host, port):
        if broken.is_set():
            raise OSError("no DNS")
        return ("127.0.0.1",)

    transport = transport_of(f"dns:///triton.test:{tritons[0].grpc_url.rpartition(':')[2]}", look_up=look_up)
    await transport.detect(ASK)
    broken.set()
    for _ in range(10):
        await asyncio.sleep(0.02)
        await transport.detect(ASK)
    await transport.rest()
    with pytest.raises(Unavailable, match="no DNS"):
        await transport.detect(ASK)
    await transport.close()


async def test_who_waits_for_an_address_waits_no_longer_than_it_has_time():
    async def never(host, port):
        await asyncio.Event().wait()

    transport = transport_of("dns:///triton.test:8001", look_up=never)
    async with asyncio.timeout(10):
        with pytest.raises(DeadlineExceeded):
            await transport.detect(Ask("rtdetr", b"", 0.05))
        waiting = asyncio.create_task(transport.detect(ASK))
        await asyncio.sleep(0.01)
        await transport.rest()
        with pytest.raises(Unavailable):
            await waiting
    await transport.close()


async def test_a_name_that_nobody_has_is_unavailable():
    for host in ("no-such-host.invalid", "a" * 70 + ".test"):
        transport = transport_of(f"dns:///{host}:{free_port()}")
        with pytest.raises(Unavailable, match="No address"):
            await transport.detect(ASK)
        await transport.close()


async def test_localhost_is_meant_once():
    assert await endpoints.system_lookup("localhost", 80) == ("127.0.0.1",)
