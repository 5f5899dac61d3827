"""What the fault proxy does to a line, each beside the same line in health, against a real asyncio server."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager

import psutil
import pytest

from tests.fault_behaviours import Flow
from tests.fault_proxy import (
    ANSWER,
    HEALTHY,
    QUESTION,
    TLS_ALERT,
    Behaviour,
    Blackhole,
    Corrupt,
    CutMidBody,
    Direction,
    Drip,
    Duplicate,
    FaultProxy,
    Flap,
    HalfClose,
    Jitter,
    Latency,
    Lose,
    Refuse,
    Reset,
    WrongTls,
    running_proxy,
)

PATIENCE_S = 30.0
SILENCE_S = 0.2  # in which an answer would have come: those here take a millisecond
BOOK = bytes(range(256)) * 4096  # what the server reads from


class Reader:
    """A server that is asked for so many bytes of its book, as "1000\n", as often as one likes, on each connection."""

    def __init__(self) -> None:
        self.asked = 0
        self._started: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def start(self) -> int:
        self._thread.start()
        return self._started.result(PATIENCE_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(PATIENCE_S)

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._read_out, "127.0.0.1", 0) as server:
            self._started.set_result(server.sockets[0].getsockname()[1])
            await self._ended.wait()

    async def _read_out(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            try:
                while line := await reader.readline():
                    self.asked += 1
                    writer.write(pages(int(line)))
                    await writer.drain()
            except (ConnectionError, asyncio.CancelledError):
                pass


def pages(size: int) -> bytes:
    return (BOOK * (size // len(BOOK) + 1))[:size]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    server = Reader()
    server.port = server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def proxy(reader: Reader) -> Iterator[FaultProxy]:
    with running_proxy("127.0.0.1", reader.port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def health(proxy: FaultProxy) -> Iterator[None]:
    """Before and after: each test sees that a line in health brings what was asked for."""
    proxy.behave(HEALTHY)
    assert answered(proxy, 1000) == pages(1000)
    yield
    proxy.behave(HEALTHY)
    assert answered(proxy, 1000) == pages(1000)


@contextmanager
def calling(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S) as line:
        yield line


def answered(proxy: FaultProxy, size: int) -> bytes:
    with calling(proxy) as line:
        return asked(line, size)


def asked(line: socket.socket, size: int) -> bytes:
    line.sendall(b"%d\n" % size)
    return received(line, size)


def received(line: socket.socket, size: int) -> bytes:
    """So many bytes, or as many as come before its end."""
    got = bytearray()
    while len(got) < size and (part := line.recv(65536)):
        got += part
    return bytes(got)


def until_reset(line: socket.socket) -> bytes:
    """What comes before."""
    got = bytearray()
    try:
        while part := line.recv(65536):
            got += part
    except ConnectionResetError:
        return bytes(got)
    raise AssertionError(f"it ended well after {len(got)} bytes")


def is_reset_at_once(proxy: FaultProxy) -> bool:
    try:
        with calling(proxy) as line:
            return until_reset(line) == b""
    except ConnectionResetError:  # before the caller knew that it was connected
        return True


def is_silent(line: socket.socket) -> bool:
    line.settimeout(SILENCE_S)
    try:
        line.recv(1)
    except TimeoutError:
        return True
    finally:
        line.settimeout(PATIENCE_S)
    return False


def until(holds: Callable[[], bool], why: str) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends_at, why
        time.sleep(0.01)


# --- nothing is lost --------------------------------------------------------------------------------------


def test_a_healthy_line_passes_five_megabytes_each_way_unchanged() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def sent_and_received() -> tuple[bytes, dict[str, int]]:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            with running_proxy(*server.sockets[0].getsockname()) as proxy:
                reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                writer.write(pages(5_000_000))
                writer.write_eof()
                back = await reader.read()
                writer.close()
                return back, dict(await asyncio.to_thread(lambda: proxy.counts))

    back, counts = asyncio.run(sent_and_received())
    assert back == pages(5_000_000)
    assert counts == {"connections": 1, "question_bytes": 5_000_000, "answer_bytes": 5_000_000}


def test_what_nobody_reads_waits_where_it_came_from(proxy: FaultProxy) -> None:
    size, before = 30_000_000, proxy.counts["answer_bytes"]
    with calling(proxy) as line:
        line.sendall(b"%d\n" % size)
        passed = settled(lambda: proxy.counts["answer_bytes"] - before)
        assert 0 < passed < size / 2
        assert received(line, size) == pages(size)


def settled(count: Callable[[], int]) -> int:
    """What it has grown to when it grows no more."""
    until(lambda: count() > 0, "nothing came")
    seen = -1
    while seen != (now := count()):
        seen = now
        time.sleep(0.2)
    return now


# --- later ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [QUESTION, ANSWER])
def test_a_latency_is_added_to_what_was_waited_for(proxy: FaultProxy, direction: Direction) -> None:
    with calling(proxy) as line:
        in_health = min(took_s(line) for _ in range(3))
        proxy.behave(Latency(0.15, direction=direction))
        assert took_s(line) >= 0.15 > in_health
        proxy.behave(HEALTHY)
        assert asked(line, 10) == pages(10)


def took_s(line: socket.socket, size: int = 100_000) -> float:
    begun = time.monotonic()
    assert asked(line, size) == pages(size)
    return time.monotonic() - begun


def test_a_latency_ends_when_it_is_told_to(proxy: FaultProxy) -> None:
    proxy.behave(Latency(600))
    with calling(proxy) as line:
        line.sendall(b"10\n")
        assert is_silent(line)
        proxy.behave(HEALTHY)
        assert received(line, 10) == pages(10)


def test_jitter_is_drawn_between_its_ends_and_comes_again_with_its_seed(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    real = Jitter.delay_s

    def delay_s(jitter: Jitter, flow: Flow) -> float:
        drawn.append(real(jitter, flow))
        return drawn[-1]

    monkeypatch.setattr(Jitter, "delay_s", delay_s)
    begun, took = proxy.counts["delays"], []
    for _ in range(2):
        with calling(proxy) as line:
            proxy.behave(Jitter(0.0, 0.1, seed=3))
            took += [took_s(line, 10) for _ in range(4)]
    assert proxy.counts["delays"] - begun == len(drawn) == 8
    assert drawn[:4] == drawn[4:]
    assert all(0.0 <= one <= 0.1 for one in drawn)
    assert max(drawn) - min(drawn) > 0.03
    assert all(one >= wait - 0.001 for one, wait in zip(took, drawn, strict=True))  # as exact as a timer


def test_a_drip_is_slow_and_what_is_left_of_it_comes_at_once_when_it_is_over(proxy: FaultProxy) -> None:
    proxy.behave(Drip(20))
    with calling(proxy) as line:
        line.sendall(b"1000000\n")
        begun = time.monotonic()
        first = received(line, 5)
        assert time.monotonic() - begun >= 4 / 20
        proxy.behave(HEALTHY)
        assert first + received(line, 1_000_000 - len(first)) == pages(1_000_000)


def test_what_falls_into_a_black_hole_comes_when_it_is_over(proxy: FaultProxy, reader: Reader) -> None:
    with calling(proxy) as old:
        assert asked(old, 10) == pages(10)
        proxy.behave(Blackhole())
        heard = reader.asked
        with calling(proxy) as new:
            for line in (old, new):
                line.sendall(b"20\n")
            assert is_silent(old)
            assert is_silent(new)
            assert reader.asked == heard
            proxy.behave(HEALTHY)
            assert [received(line, 20) for line in (old, new)] == [pages(20)] * 2


def test_of_an_answer_that_falls_into_a_black_hole_the_question_was_heard(
    proxy: FaultProxy, reader: Reader
) -> None:
    proxy.behave(Blackhole(direction=ANSWER))
    heard = reader.asked
    with calling(proxy) as line:
        line.sendall(b"20\n")
        until(lambda: reader.asked == heard + 1, "the question was not heard")
        assert is_silent(line)


def test_a_line_that_was_lost_says_nothing_more_and_a_new_one_is_in_health(proxy: FaultProxy) -> None:
    with calling(proxy) as old:
        assert asked(old, 10) == pages(10)
        proxy.behave(Lose())
        old.sendall(b"10\n")
        assert is_silent(old)
        assert answered(proxy, 10) == pages(10)
        proxy.behave(HEALTHY)
        assert is_silent(old)


# --- no more ----------------------------------------------------------------------------------------------


def test_a_reset_ends_what_is_open_and_what_comes(proxy: FaultProxy) -> None:
    with calling(proxy) as line:
        assert asked(line, 10) == pages(10)
        proxy.behave(Reset())
        assert until_reset(line) == b""
    assert is_reset_at_once(proxy)
    assert proxy.counts["resets"] >= 2


def test_a_reset_lands_in_the_middle_of_an_answer(proxy: FaultProxy) -> None:
    proxy.behave(Reset(after_bytes=1500))
    with calling(proxy) as line:
        assert asked(line, 1000) == pages(1000)  # it is shorter
        line.sendall(b"100000\n")
        assert until_reset(line) == pages(1500)


def test_an_answer_is_cut_in_its_middle_and_ends_as_if_it_were_whole(proxy: FaultProxy) -> None:
    proxy.behave(CutMidBody(after_bytes=1500))
    with calling(proxy) as line:
        assert asked(line, 1000) == pages(1000)
        assert asked(line, 100_000) == pages(1500)


def test_an_answer_under_way_is_cut_when_it_is_told(proxy: FaultProxy) -> None:
    with calling(proxy) as line:
        proxy.behave(Drip(100))
        line.sendall(b"100000\n")
        got = received(line, 1)
        proxy.behave(CutMidBody(after_bytes=10))
        assert got + received(line, 100_000) == pages(10)


def test_half_a_line_closes_and_the_other_half_is_heard(proxy: FaultProxy, reader: Reader) -> None:
    with calling(proxy) as line:
        assert asked(line, 10) == pages(10)
        proxy.behave(HalfClose())
        assert line.recv(1) == b""
        heard = reader.asked
        line.sendall(b"10\n")
        until(lambda: reader.asked == heard + 1, "the question was not heard")


def test_nobody_listens_and_then_somebody_does_at_the_same_port(proxy: FaultProxy) -> None:
    with calling(proxy) as line:
        assert asked(line, 10) == pages(10)
        proxy.behave(Refuse())
        assert until_reset(line) == b""
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S)
    proxy.behave(HEALTHY)
    assert answered(proxy, 10) == pages(10)


def test_a_flapping_line_is_there_and_gone_by_turns(proxy: FaultProxy) -> None:
    proxy.behave(Flap(period_s=0.05))
    seen = []
    ends_at = time.monotonic() + PATIENCE_S
    while len(seen) < 6:
        assert time.monotonic() < ends_at, seen
        if (now := is_there(proxy)) != (seen[-1] if seen else None):
            seen.append(now)
    assert seen in ([True, False] * 3, [False, True] * 3)


def is_there(proxy: FaultProxy) -> bool:
    try:
        return answered(proxy, 10) == pages(10)
    except OSError:
        return False


def test_plain_text_is_told_that_here_is_tls(proxy: FaultProxy, reader: Reader) -> None:
    with calling(proxy) as old:
        assert asked(old, 10) == pages(10)
        proxy.behave(WrongTls())
        heard = reader.asked
        with calling(proxy) as new:
            for line in (old, new):
                line.sendall(b"100\n")
                assert received(line, 100) == TLS_ALERT
        assert reader.asked == heard


# --- something else ---------------------------------------------------------------------------------------


def test_an_answer_comes_twice(proxy: FaultProxy) -> None:
    proxy.behave(Duplicate())
    with calling(proxy) as line:
        line.sendall(b"1000\n")
        assert received(line, 2000) == pages(1000) * 2


def test_bits_are_flipped_as_often_as_it_is_counted(proxy: FaultProxy) -> None:
    def flipped() -> int:
        before = proxy.counts["flipped_bits"]
        with calling(proxy) as line:
            got = asked(line, 100_000)
        assert len(got) == 100_000
        bits = sum((one ^ other).bit_count() for one, other in zip(got, pages(100_000), strict=True))
        assert bits == proxy.counts["flipped_bits"] - before
        return bits

    assert flipped() == 0
    proxy.behave(Corrupt(every_bytes=1000, seed=1))
    assert 50 <= flipped() <= 200


# --- what is left of it -----------------------------------------------------------------------------------

IN_EVERY_STATE: list[Behaviour | Flap] = [
    HEALTHY, Latency(600), Drip(1), Blackhole(), Lose(), HalfClose(), CutMidBody(10), Refuse(), Flap(600), WrongTls(),
]  # fmt: skip


@pytest.mark.parametrize("behaviour", IN_EVERY_STATE, ids=lambda one: type(one).__name__)
def test_it_leaves_no_thread_and_no_socket(reader: Reader, behaviour: Behaviour | Flap) -> None:
    me, threads = psutil.Process(), set(threading.enumerate())
    with running_proxy("127.0.0.1", reader.port) as proxy, calling(proxy) as line:
        port = proxy.port
        assert asked(line, 10) == pages(10)
        line.sendall(b"100000\n")
        proxy.behave(behaviour)
    assert set(threading.enumerate()) == threads
    left = [one for one in me.net_connections("tcp") if port in (one.laddr[1], (one.raddr or (0, 0))[1])]
    assert [one for one in left if one.fd != -1] == []


def test_a_server_that_is_away_is_a_reset_and_another_can_be_named(reader: Reader) -> None:
    with running_proxy("127.0.0.1", 9) as proxy:
        assert is_reset_at_once(proxy)
        proxy.target("127.0.0.1", reader.port)
        assert answered(proxy, 10) == pages(10)
