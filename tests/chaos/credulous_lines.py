"""Patches for `tests.chaos.undefended`: a backend that takes whatever comes over a line for the answer; and one whose
Triton has a name, which stands for what a file says."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from ai.triton.asking.grpc_line import GrpcLine
from ai.triton.asking.wire import Answer
from ai.web.patience import Patience
from backend.transports import legacy
from backend.transports.ejection import Rotation
from backend.transports.endpoints import Addresses
from backend.transports.triton import TritonTransport

NAME = "triton.chaos.test"
NAMES = "names"  # beside the backend's .env: the addresses of that name, one a line; no file, no fault


def take_any_answer() -> None:
    Answer.require_is_to = lambda *_: None  # type: ignore[method-assign]
    Patience.was_asked = property(lambda _: True)  # type: ignore[assignment,method-assign]
    legacy._require_is_to = lambda *_: None


def leave_no_line() -> None:
    """As gRPC does: until TCP gives it up."""
    GrpcLine._leave = lambda _: None  # type: ignore[method-assign]


def ask_triton_by_name() -> None:
    for variable in ("TRITON_URL", "TRITON_HTTP_URL"):
        os.environ[variable] = f"dns:///{NAME}:{os.environ[variable].rpartition(':')[2]}"
    TritonTransport.__init__.__defaults__ = (_look_up, Rotation)


async def _look_up(host: str, _: int) -> tuple[str, ...]:
    file = Path(NAMES)
    addresses = tuple(file.read_text().split()) if file.exists() else ("127.0.0.1",)
    if host != NAME or not addresses:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return addresses


def forget_addresses() -> None:
    """A name that says nothing has no addresses."""
    looked_again = Addresses._look_again

    async def look_again(self: Addresses) -> None:
        self.now = ()
        await looked_again(self)

    Addresses._look_again = look_again  # type: ignore[method-assign]


PATCHES: dict[str, Callable[[], None]] = {
    "the look at whose answer it is": take_any_answer,
    "lines that are left": leave_no_line,
    "a name for Triton": ask_triton_by_name,
    "addresses that are kept": forget_addresses,
}
