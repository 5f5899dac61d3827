"""Where the Tritons of a target are: one address, a list of them, or all that a name stands for now."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ai.core.errors import DeadlineExceeded, Unavailable

LOOK_UP_EVERY_S = 5.0
LOOK_UP_TIMEOUT_S = 5.0

Lookup = Callable[[str, int], Awaitable[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Target:
    """`host:port`, several of them with commas between, or `dns:///host:port` for every address of a name."""

    addresses: tuple[str, ...]
    by_name: bool

    @classmethod
    def of(cls, text: str) -> Target:
        bare = text.removeprefix("http://").removeprefix("dns:///")
        addresses = tuple(dict.fromkeys(part.strip() for part in bare.split(",")))
        return cls(addresses, text.startswith("dns:///"))

    async def resolved(self, look_up: Lookup) -> tuple[str, ...]:
        """host:port of each Triton; raises Unavailable when a name says nothing."""
        if not self.by_name:
            return self.addresses
        found = await asyncio.gather(*(_looked_up(address, look_up) for address in self.addresses))
        return tuple(dict.fromkeys(address for some in found for address in some))


class Addresses:
    """What a target stands for now. A name is looked up again while it is in use, behind the callers' back."""

    def __init__(self, target: Target, look_up: Lookup, changed: Callable[[], None]) -> None:
        self._target = target
        self._look_up = look_up
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._looked_up_at = self._loop.time()
        self._looking_up: asyncio.Task[None] | None = None
        self.now: tuple[str, ...] = () if target.by_name else target.addresses

    async def ready(self, timeout_s: float) -> None:
        """There is an address. Only the first callers wait for it."""
        if not self._target.by_name:
            return
        late = self._loop.time() - self._looked_up_at >= LOOK_UP_EVERY_S
        if self._looking_up is None and (late or not self.now):
            self._looking_up = asyncio.create_task(self._look_again())
            self._looking_up.add_done_callback(_looked_at)
        if self._looking_up is not None and not self.now:
            await _outcome_of(self._looking_up, timeout_s)

    async def close(self) -> None:
        if self._looking_up is not None:
            self._looking_up.cancel()
            await asyncio.wait([self._looking_up])

    async def _look_again(self) -> None:
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT_S):
                self.now = await self._target.resolved(self._look_up)
        except TimeoutError as error:
            raise Unavailable("No address of Triton was found in time.") from error
        finally:
            self._looked_up_at, self._looking_up = self._loop.time(), None
        self._changed()


async def _outcome_of(looking_up: asyncio.Task[None], timeout_s: float) -> None:
    done, _ = await asyncio.wait([looking_up], timeout=timeout_s)
    if not done:
        raise DeadlineExceeded(f"No address of Triton was found within {timeout_s:.3g} s.")
    if looking_up.cancelled():
        raise Unavailable("The connections to Triton were closed while it was asked.")
    if (error := looking_up.exception()) is not None:
        raise Unavailable(str(error)) from error


def _looked_at(looking_up: asyncio.Task[None]) -> None:
    if not looking_up.cancelled():
        looking_up.exception()  # whoever waited for it has it; for the others the old addresses stay


async def _looked_up(address: str, look_up: Lookup) -> list[str]:
    host, _, port = address.rpartition(":")
    try:
        hosts = await look_up(host.strip("[]"), int(port))
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"No address of {host!r} can be found: {error}") from error
    if not hosts:
        raise Unavailable(f"The name {host!r} has no address.")
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts]


async def system_lookup(host: str, port: int) -> tuple[str, ...]:
    """The system's resolver, off the event loop. A machine that has addresses of both families is meant once."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families = {family for family, *_ in infos}
    wanted = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
    return tuple(sorted({str(address[0]) for family, *_, address in infos if family == wanted}))
