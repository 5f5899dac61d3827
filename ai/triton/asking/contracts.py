"""The contracts of a Triton's models, read when first needed and again when a version or a refusal asks for it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ai.core.errors import DeadlineExceeded, ModelNotFound, Unavailable
from ai.core.spec import DetectorSpec
from ai.triton.asking.contract import Contract, contract_of
from ai.triton.asking.described import CONFIG, METADATA, described
from ai.triton.asking.wire import Wire

KNOWN = 64  # contracts kept; a rollout has two versions of each model
DOUBT_AFTER_S = 1.0  # so that a caller who sends broken pictures does not make us read a contract for each


class Contracts:
    def __init__(self, wire: Wire, specs: Mapping[str, DetectorSpec]) -> None:
        self._wire = wire
        self._specs = specs
        self._current: dict[str, Contract] = {}
        self._read_at: dict[str, float] = {}
        self._known: OrderedDict[tuple[str, str], Contract] = OrderedDict()
        self._reading = asyncio.Lock()

    def known(self, model: str) -> Contract | None:
        return self._current.get(model)

    async def read(self, model: str, ends_at: float) -> Contract:
        """What `model` takes now; callers that ask at once share one reading."""
        async with _until(ends_at), self._reading:
            if known := self._current.get(model):
                return known
            table = await self._wire.describe("metadata", model, "", ends_at - _now())
            return await self._adopt(model, described(METADATA, table).newest, ends_at)

    async def changed(self, asked: Contract, version: str, ends_at: float) -> Contract:
        """The contract of the version that answered a question made for `asked`."""
        async with _until(ends_at), self._reading:
            try:
                return await self._adopt(asked.model, version, ends_at)
            except ModelNotFound as error:
                raise Unavailable(
                    f"Version {version!r} of model {asked.model!r} answered, and is gone: {error}"
                ) from error

    def doubt(self, contract: Contract) -> None:
        """It was refused, answered nonsense, or the server went away: perhaps the model is another by now.
        Read it again next time."""
        if _now() - self._read_at.get(contract.model, 0.0) >= DOUBT_AFTER_S:
            self.forget(contract.model)

    def forget(self, model: str) -> None:
        self._current.pop(model, None)
        for key in [key for key in self._known if key[0] == model]:
            del self._known[key]

    async def _adopt(self, model: str, version: str, ends_at: float) -> Contract:
        contract = self._known.get((model, version))
        if contract is None:
            table = await self._wire.describe("config", model, version, ends_at - _now())
            contract = contract_of(model, version, described(CONFIG, table), self._specs)
            self._known[model, version] = contract
            while len(self._known) > KNOWN:
                self._known.popitem(last=False)
        self._current[model], self._read_at[model] = contract, _now()
        return contract


def _now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def _until(ends_at: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(ends_at):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded("Triton did not describe its model in time.") from error
