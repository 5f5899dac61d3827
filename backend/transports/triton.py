"""Triton, asked through TritonClient: one client for each Triton behind the target, and the best of them for each call.

Nothing runs by itself: names are looked up again and bad Tritons are probed only while callers ask.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ai.core.errors import BackendError, DeadlineExceeded, ModelNotFound, Unavailable
from ai.core.sample import sample_jpeg
from ai.triton.client import Detected, Protocol, TritonClient
from backend.transports.base import Ask, Found
from backend.transports.ejection import Rotation
from backend.transports.endpoints import Addresses, Lookup, Target, system_lookup

PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class TritonTarget:
    url: str
    http_url: str
    protocol: Protocol

    @property
    def address(self) -> str:
        return self.url if self.protocol == "grpc" else self.http_url


class TritonTransport:
    """Make it on the event loop that uses it. `models`: the model of each detector."""

    def __init__(
        self,
        target: TritonTarget,
        models: Mapping[str, str],
        look_up: Lookup = system_lookup,
        rotation: Callable[[], Rotation] = Rotation,
    ) -> None:
        self._make_fleet = partial(_Fleet, target, look_up, rotation)
        self._models = models
        self._fleet: _Fleet | None = None
        self._closed = False

    async def detect(self, ask: Ask) -> Found:
        model = self._models.get(ask.detector)
        if model is None:
            raise ModelNotFound(f"No Triton model is known for the detector {ask.detector!r}.")
        if self._closed:
            raise Unavailable("The connections to Triton are closed.")
        if self._fleet is None:
            self._fleet = self._make_fleet()
        detected = await self._fleet.detect(model, ask)
        return Found(detected.detections, detected.model_version)

    async def rest(self) -> None:
        fleet, self._fleet = self._fleet, None
        if fleet is not None:
            await fleet.close()

    async def close(self) -> None:
        self._closed = True
        await self.rest()


class _Fleet:
    """The Tritons behind one target, from waking up to going to rest."""

    def __init__(self, target: TritonTarget, look_up: Lookup, rotation: Callable[[], Rotation]) -> None:
        self._protocol = target.protocol
        self._loop = asyncio.get_running_loop()
        self._addresses = Addresses(Target.of(target.address), look_up, self._moved)
        self._clients: dict[str, TritonClient] = {}
        self._under_way: Counter[str] = Counter()
        self._make_rotation = rotation
        self._rotations: dict[str, Rotation] = {}  # by model: the stub of one dies, and others live
        self._background: set[asyncio.Task[None]] = set()
        self._closed = False

    async def detect(self, model: str, ask: Ask) -> Detected:
        ends_at = self._loop.time() + ask.timeout_s
        await self._addresses.ready(ask.timeout_s)
        left_s = ends_at - self._loop.time()
        if left_s <= 0:
            raise DeadlineExceeded("No time was left to ask Triton.")
        rotation = self._rotation(model)
        self._probe(model, rotation)
        turn = rotation.next()
        succeeded: bool | None = None
        try:
            detected = await self._asked(turn.address, model, ask, left_s)
            succeeded = True
            return detected
        except BackendError as error:
            succeeded = _verdict(error)
            raise
        finally:
            rotation.ended(turn, succeeded)

    async def close(self) -> None:
        """What is under way ends as Unavailable."""
        self._closed = True
        await self._addresses.close()
        clients, self._clients = list(self._clients.values()), {}
        await asyncio.gather(*(client.close() for client in clients), *self._background)

    async def _asked(self, address: str, model: str, ask: Ask, timeout_s: float) -> Detected:
        client = self._client(address)
        self._under_way[address] += 1
        try:
            return await client.detect(
                model,
                ask.image,
                timeout_s=timeout_s,
                priority=ask.priority,
                request_id=ask.request_id,
                headers=ask.headers,
            )
        finally:
            self._under_way[address] -= 1
            self._forget_if_gone(address)

    def _client(self, address: str) -> TritonClient:
        if self._closed:
            raise Unavailable("The connections to Triton were closed while it was asked.")
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = TritonClient.at(address, self._protocol)
        return client

    def _rotation(self, model: str) -> Rotation:
        rotation = self._rotations.get(model)
        if rotation is None:
            rotation = self._rotations[model] = self._make_rotation()
            rotation.show(self._addresses.now)
        return rotation

    def _moved(self) -> None:
        """The name stands for other addresses, perhaps."""
        for rotation in self._rotations.values():
            rotation.show(self._addresses.now)
        for address in list(self._clients):
            self._forget_if_gone(address)

    def _forget_if_gone(self, address: str) -> None:
        """Close what leads to a Triton that is no longer one of ours, once nothing is under way there."""
        if address in self._clients and address not in self._addresses.now and not self._under_way[address]:
            del self._under_way[address]
            self._start(self._clients.pop(address).close())

    def _probe(self, model: str, rotation: Rotation) -> None:
        """Ask one that was ejected with a picture of ours, if it is time; no caller waits for it."""
        address = rotation.probe()
        if address is not None:
            self._start(self._probed(address, model, rotation))

    async def _probed(self, address: str, model: str, rotation: Rotation) -> None:
        succeeded: bool | None = None
        try:
            await self._asked(address, model, Ask("", sample_jpeg(), PROBE_TIMEOUT_S), PROBE_TIMEOUT_S)
            succeeded = True
        except BackendError as error:
            succeeded = _verdict(error)
        finally:
            rotation.probe_ended(address, succeeded)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _verdict(error: BackendError) -> bool | None:
    """Whether a Triton that answers so is well; None where it says nothing of that."""
    return False if error.counts_against_backend else None
