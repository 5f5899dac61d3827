"""The same answers told by a server to the whole client, over gRPC and HTTP; the HTTP ones with spoiled heads too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from ai.core.errors import BackendError
from ai.core.sample import sample_jpeg
from ai.triton.client import Protocol, TritonClient
from tests import liars
from tests.fuzz import triton_spoiling
from tests.fuzz.said import check_believed, refused
from tests.fuzz.spoiling import BLIND, spoiled
from tests.fuzz.target import ACCEPTED
from tests.fuzz.triton_spoiling import MODELS

CALL_S = 5.0
ANSWER, CONFIG, METADATA = range(3)
GIANT_BYTES = 100_000_000


class TritonLine:
    """A case begins with a byte for the model and one for what is lied about."""

    memory_bound_mb = 512.0  # the liar is in this process, and holds its 100 MB more than once
    time_bound = 100.0  # the controls are of a kilobyte, the giants of 100 MB

    def __init__(self, protocol: Protocol) -> None:
        self.name = f"triton-line-{protocol}"
        self._protocol = protocol
        self._loop = asyncio.new_event_loop()
        self._liar: liars.GrpcLiar | liars.HttpLiar = (
            liars.GrpcLiar() if protocol == "grpc" else liars.HttpLiar()
        )
        self._address = self._loop.run_until_complete(self._liar.start())

    def make(self, number: int, rng: random.Random) -> bytes:
        model, what = rng.randrange(len(MODELS)), rng.choice((ANSWER, ANSWER, CONFIG, METADATA))
        if number < 3:
            return bytes([model, number]) + self._giant(number)
        return bytes([model, what]) + self._lie(MODELS[model], what, rng)

    def ask(self, data: bytes) -> str:
        self._liar.tell_the_truth()
        model, what, lie = MODELS[data[0] % len(MODELS)], data[1], data[2:]
        if what == ANSWER:
            self._say(lie)
        else:
            setattr(self._liar, "config" if what == CONFIG else "metadata", lie)
        try:
            self._loop.run_until_complete(self._detect(model))
        except BackendError as error:
            return refused(error)
        return ACCEPTED

    def controls(self) -> Sequence[bytes]:
        honest = [liars.answer(model) for model in MODELS]
        said = [
            one.SerializeToString() if self._protocol == "grpc" else liars.http_reply(one) for one in honest
        ]
        return [bytes([index, ANSWER]) + content for index, content in enumerate(said)]

    def close(self) -> None:
        self._loop.run_until_complete(self._liar.stop())
        self._loop.close()

    async def _detect(self, model: str) -> None:
        async with TritonClient.at(self._address, self._protocol) as client:
            found = (await client.detect(model, sample_jpeg(), timeout_s=CALL_S)).detections
        check_believed(found, found)

    def _say(self, lie: bytes) -> None:
        if isinstance(self._liar, liars.GrpcLiar):
            self._liar.answer = lie
        else:
            self._liar.reply = lie

    def _giant(self, what: int) -> bytes:
        if self._protocol == "grpc":
            return b"\x2a\x00" * (GIANT_BYTES // 2)
        return liars.http(b" " * GIANT_BYTES) if what == ANSWER else b" " * GIANT_BYTES

    def _lie(self, model: str, what: int, rng: random.Random) -> bytes:
        if what != ANSWER:
            aspect = "config" if what == CONFIG else "metadata"
            grpc = self._protocol == "grpc"
            spoil = triton_spoiling.described_as_message if grpc else triton_spoiling.described_as_json
            return spoil(aspect, model, rng)
        if self._protocol == "grpc":
            return triton_spoiling.grpc_answer(model, rng)
        reply = triton_spoiling.http_answer(model, rng)
        return spoiled(reply, rng, BLIND) if rng.random() < 0.5 else reply
