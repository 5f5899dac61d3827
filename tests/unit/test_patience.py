"""The deadline of one HTTP exchange, in the moments in which something else ends it too."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import httpcore
import pytest
import uvloop

from ai.web.patience import Patience, PatientBackend

PATIENCE_S = 30.0
LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)

Loop = Callable[[], asyncio.AbstractEventLoop]


async def spoken_to_for_ever(stream: httpcore.AsyncNetworkStream) -> None:
    while True:
        await stream.write(b"?")
        await asyncio.sleep(0)


async def test_a_caller_that_goes_at_the_very_moment_when_time_is_over_breaks_nothing() -> None:
    patience = Patience(0.0)

    async def waits() -> None:
        async with patience.limit(ConnectionError):
            await asyncio.sleep(PATIENCE_S)

    waiting = asyncio.create_task(waits())
    while not waiting.done():  # one of these falls between the alarm and what it wakes
        patience.end()
        await asyncio.sleep(0)
    with pytest.raises(ConnectionError):
        await waiting


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_was_reset_can_be_asked_about_itself(loop: Loop) -> None:
    """httpcore asks a new one whether it speaks TLS, and a resting one whether it has ended."""

    async def asked() -> tuple[object, object]:
        patience = Patience(PATIENCE_S)
        patience.apply()
        with socket.create_server(("127.0.0.1", 0)) as server:
            stream = await PatientBackend().connect_tcp("127.0.0.1", server.getsockname()[1])
            line, _ = server.accept()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.close()
        with pytest.raises(httpcore.WriteError):
            await spoken_to_for_ever(stream)
        await stream.aclose()
        return stream.get_extra_info("ssl_object"), stream.get_extra_info("is_readable")

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(asked()) == (None, True)
