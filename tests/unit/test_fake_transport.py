"""The scripted side says what it is told to, and keeps a real one's promises about time."""

from __future__ import annotations

import asyncio
import time

import pytest

from ai.core.detections import Detections
from ai.core.errors import DeadlineExceeded, Overloaded, Unavailable
from backend.transports.base import Ask, Found
from backend.transports.fake import A_DOG, KEPT_ASKS, FakeTransport, Hang

ASK = Ask("rtdetr", b"picture", timeout_s=20.0)
NOTHING = Found(Detections((), 640, 480))


async def test_it_answers_the_same_until_it_is_told_otherwise():
    side = FakeTransport()
    assert [await side.detect(ASK), await side.detect(ASK)] == [A_DOG, A_DOG]
    assert await FakeTransport(NOTHING).detect(ASK) is NOTHING
    assert await side.always(NOTHING).detect(ASK) is NOTHING


async def test_what_is_queued_comes_first_one_for_each_call():
    side = FakeTransport().then(NOTHING, Overloaded("full")).always(Unavailable("gone"))
    assert await side.detect(ASK) is NOTHING
    with pytest.raises(Overloaded, match="full"):
        await side.detect(ASK)
    for _ in range(2):
        with pytest.raises(Unavailable, match="gone"):
            await side.detect(ASK)


async def test_what_it_was_asked_is_kept_but_not_without_bound():
    side = FakeTransport()
    for _ in range(KEPT_ASKS + 1):
        await side.detect(ASK)
    assert side.calls == KEPT_ASKS + 1
    assert len(side.asked) == KEPT_ASKS
    assert side.asked[-1] is ASK


async def test_a_hang_ends_when_it_is_released_with_what_it_holds():
    hang = Hang(NOTHING)
    side = FakeTransport().then(hang)
    call = asyncio.create_task(side.detect(ASK))
    await asyncio.sleep(0)
    assert not call.done()
    hang.release()
    assert await call is NOTHING


async def test_a_hang_and_a_delay_end_by_the_timeout_of_the_call():
    hasty = Ask("rtdetr", b"", timeout_s=0.01)
    with pytest.raises(DeadlineExceeded):
        await FakeTransport().then(Hang()).detect(hasty)
    with pytest.raises(DeadlineExceeded):
        await FakeTransport(delay_s=60).detect(hasty)


async def test_a_delay_is_waited_for():
    started = time.monotonic()
    assert await FakeTransport(delay_s=0.05).detect(ASK) is A_DOG
    assert time.monotonic() - started >= 0.045


async def test_an_error_that_is_raised_often_does_not_grow():
    side = FakeTransport().always(Unavailable("gone"))
    depths = set()
    for _ in range(5):
        with pytest.raises(Unavailable) as raised:
            await side.detect(ASK)
        depths.add(len(raised.traceback))
    assert len(depths) == 1


async def test_rest_is_counted_and_close_ends_what_is_under_way():
    side = FakeTransport().then(Hang())
    await side.rest()
    assert side.rests == 1
    call = asyncio.create_task(side.detect(ASK))
    await asyncio.sleep(0)
    await side.close()
    with pytest.raises(Unavailable):
        await call
    with pytest.raises(Unavailable):
        await side.detect(ASK)
    assert side.closed


async def test_a_cancelled_call_is_cancelled():
    side = FakeTransport().then(Hang())
    call = asyncio.create_task(side.detect(ASK))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
