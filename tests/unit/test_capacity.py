"""How many cameras something holds: found by trying, and counted by a load that drops what is late."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from benchmarks.holding import LOST_SHARE, holds, most_held
from benchmarks.steady import Watched, watch
from tests.services import free_port

pytestmark = pytest.mark.alone

NOTHING = Watched(1, 5.0, 100, 100, 0, 0, 10.0, 20.0)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 19, 20, 41])
def test_the_most_is_found_whatever_it_is(limit: int) -> None:
    tried: list[int] = []

    def attempt(cameras: int) -> Watched:
        tried.append(cameras)
        return replace(NOTHING, cameras=cameras, dropped=0 if cameras <= limit else 50)

    best = most_held(attempt, most=64)

    assert best is not None
    assert limit - max(1, round(0.05 * limit)) <= best.cameras <= limit
    assert len(tried) == len(set(tried))


def test_no_more_than_was_allowed_is_tried() -> None:
    best = most_held(lambda cameras: replace(NOTHING, cameras=cameras), most=48)
    assert best is not None
    assert 46 <= best.cameras <= 48


def test_what_holds_not_even_one_holds_none() -> None:
    assert most_held(lambda _: replace(NOTHING, dropped=100), most=8) is None


def test_every_hundredth_frame_may_be_lost_and_no_more() -> None:
    assert holds(replace(NOTHING, due=100, dropped=round(100 * LOST_SHARE)))
    assert not holds(replace(NOTHING, due=100, dropped=1, failed=1))


@contextmanager
def answering_after(seconds: float, status: bytes = b"200 OK") -> Iterator[str]:
    """A server that takes its time for each request, as many at once as come."""
    port, loop, up = free_port(), asyncio.new_event_loop(), threading.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\nx")
                await asyncio.sleep(seconds)
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", port))
        up.set()
        loop.run_forever()

    thread = threading.Thread(target=serve)
    thread.start()
    up.wait()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def test_a_server_in_time_loses_no_frame_and_a_slow_one_every_other() -> None:
    with answering_after(0.0) as quick:
        held = watch(quick, [b"x"], cameras=4, fps=10, seconds=1)
    with answering_after(0.15) as slow:  # longer than one interval, shorter than two
        late = watch(slow, [b"x"], cameras=4, fps=10, seconds=1)

    assert (held.due, held.failed) == (40, 0)
    assert (late.due, late.failed) == (40, 0)
    assert late.answered + late.dropped == late.due
    assert late.dropped >= 16
    assert late.dropped > held.dropped


def test_what_is_refused_is_a_lost_frame() -> None:
    with answering_after(0.0, b"503 Service Unavailable") as refusing:
        watched = watch(refusing, [b"x"], cameras=2, fps=10, seconds=0.5)
    assert (watched.answered, watched.failed + watched.dropped) == (0, watched.due)


def test_nobody_there_is_all_lost_and_ends() -> None:
    watched = watch(f"http://127.0.0.1:{free_port()}/", [b"x"], cameras=2, fps=10, seconds=0.5)
    assert watched.failed + watched.dropped == watched.due == 10
