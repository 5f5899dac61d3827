"""Which ports a server is to listen on: those asked for, if they are free, and free ones where 0 was asked for."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack

from ai.triton.embedded.errors import CannotStart, PortTaken

LOOPBACK = "127.0.0.1"
_PATIENCE_S = 3.0  # a killed server's models hold its sockets for up to 2 s
_POLL_S = 0.1


def settle(asked: Mapping[str, int], patience_s: float = _PATIENCE_S) -> dict[str, int]:
    """A port for each name, all of them free a moment ago; PortTaken says which is not."""
    fixed = [port for port in asked.values() if port]
    if len(set(fixed)) < len(fixed):
        raise CannotStart(f"Triton's ports must differ, asked for were {dict(asked)}")
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return _try(asked)
        except PortTaken:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)


def _try(asked: Mapping[str, int]) -> dict[str, int]:
    with ExitStack() as held:  # held together, so that no port is given out twice
        fixed_first = sorted(asked, key=lambda name: asked[name] == 0)
        settled = {name: _bind(name, asked[name], held) for name in fixed_first}
    return {name: settled[name] for name in asked}


def _bind(name: str, port: int, held: ExitStack) -> int:
    probe = held.enter_context(socket.socket())
    probe.setsockopt(
        socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
    )  # what only waits for its time to pass is free
    try:
        probe.bind((LOOPBACK, port))
    except PermissionError as error:
        raise CannotStart(f"port {port} may not be used by this user; {_another(name)}") from error
    except OSError as error:
        raise PortTaken(f"port {port} is taken, so Triton cannot listen there; {_another(name)}") from error
    return int(probe.getsockname()[1])


def _another(name: str) -> str:
    return f"TRITON_{name.upper()}_PORT names another"
