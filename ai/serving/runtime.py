"""The model on a thread of its own, decoding on a small pool, and a bound on how much waits for them.

The event loop only waits. One thread runs the model: with one per request every new thread would build its
own cuDNN state. Work that nobody waits for any more, or that is too late, is dropped before the model sees it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from ai.core.detections import Detections, Rows
from ai.core.errors import InvalidDetections
from ai.core.image import ImageLimits
from ai.core.processing import Prepared, decoded_for, finish, put_in
from ai.core.sample import sample_jpeg
from ai.core.spec import DetectorSpec
from ai.engines.engine import Engine
from ai.web.intake import Image
from ai.web.problems import Busy, Late

logger = logging.getLogger(__name__)

MODEL_BATCH = 8  # the images of one batch request that go through the model together
WARM_UP_RUNS = 3

P = ParamSpec("P")
T = TypeVar("T")

State = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Where one image's time went, in milliseconds; `queue` is the wait for the model's thread."""

    decode: float
    preprocess: float
    queue: float
    inference: float
    postprocess: float

    @property
    def total(self) -> float:
        return self.decode + self.preprocess + self.queue + self.inference + self.postprocess


@dataclass(frozen=True, slots=True)
class Answer:
    detections: Detections
    timing: Timing


Outcome = Answer | InvalidDetections
"""What became of one image at the model."""


@dataclass(frozen=True, slots=True)
class Decoded:
    prepared: Prepared
    decode_ms: float
    preprocess_ms: float


@dataclass(slots=True)
class WarmUp:
    runs: int = 0
    last_ms: float | None = None


@dataclass(slots=True)
class Runtime:
    spec: DetectorSpec
    load: Callable[[], Engine]
    limits: ImageLimits
    max_in_flight: int
    decode_threads: int
    scaled: bool = False  # JPEGs are decoded no larger than the model's input needs them
    state: State = "loading"
    failure: str | None = None
    engine: Engine | None = None
    warm_ups: WarmUp = field(default_factory=WarmUp)
    in_flight: int = 0
    _warming: asyncio.Task[None] | None = field(init=False, default=None)
    _model_thread: ThreadPoolExecutor = field(init=False)
    _decoders: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._decoders = ThreadPoolExecutor(self.decode_threads, thread_name_prefix="decode")

    async def start(self) -> None:
        """Load the model and let it answer; until then, and if that fails, the state says so."""
        try:
            self.engine = await self._on_model_thread(self.load)
            await self.warm_up()
        except Exception as error:
            logger.exception("%s cannot be loaded", self.spec.title)
            self.state, self.failure = "failed", f"{type(error).__name__}: {error}"
            return
        self.state = "ready"
        logger.info("%s is ready on %s", self.spec.title, self.engine.device)

    def stop(self) -> None:
        self._decoders.shutdown(cancel_futures=True)
        self._model_thread.shutdown(cancel_futures=True)

    async def warm_up(self) -> None:
        """Run the whole way of a real picture a few times; whoever asks meanwhile waits for the same runs."""
        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(self._warm())
        await asyncio.shield(self._warming)

    async def _warm(self) -> None:
        for _ in range(WARM_UP_RUNS):
            started = time.perf_counter()
            answer = await self.detect(sample_jpeg)
            if isinstance(answer, InvalidDetections):
                raise answer
            self.warm_ups.runs += 1
            self.warm_ups.last_ms = _since(started)

    def require_room(self) -> None:
        """Busy, at once, if one more request could not be served."""
        if self.state != "ready":
            raise Busy(f"{self.spec.title} is not ready: {self.failure or self.state}")
        if self.in_flight >= self.max_in_flight:
            raise Busy(
                f"{self.in_flight} requests are waiting already, and no more than {self.max_in_flight} may"
            )

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A place for one request whose body has arrived."""
        self.require_room()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def detect(self, image: Image, expires_at: float | None = None) -> Outcome:
        """One image's detections; Late if `expires_at` (monotonic) passes before the model is asked."""
        decoded = await self.decode(image, expires_at)
        return (await self.infer([decoded], expires_at))[0]

    async def decode(self, image: Image, expires_at: float | None = None) -> Decoded:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoders, self._decode, image, expires_at)

    async def infer(self, images: list[Decoded], expires_at: float | None = None) -> list[Outcome]:
        """The model's answers for images of one request, a few at a time; never together with another's."""
        outcomes: list[Outcome] = []
        for first in range(0, len(images), MODEL_BATCH):
            some = images[first : first + MODEL_BATCH]
            pixels = np.stack([image.prepared.pixels for image in some])
            asked = time.perf_counter()
            rows, inference_ms = await self._on_model_thread(self._infer, pixels, expires_at)
            queue_ms = _since(asked) - inference_ms
            outcomes += [
                self._outcome(image, found, queue_ms, inference_ms)
                for image, found in zip(some, rows, strict=True)
            ]
        return outcomes

    def _outcome(self, image: Decoded, rows: Rows, queue_ms: float, inference_ms: float) -> Outcome:
        """What the model said of one image; nonsense about one is not held against the others."""
        started = time.perf_counter()
        try:
            detections = finish(rows, image.prepared.fit, self.spec)
        except InvalidDetections as error:
            return error
        return Answer(
            detections,
            Timing(image.decode_ms, image.preprocess_ms, queue_ms, inference_ms, _since(started)),
        )

    async def _on_model_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Awaiting it in a task that is cancelled takes it out of the queue, if it has not begun."""
        return await asyncio.wrap_future(self._model_thread.submit(call, *args, **kwargs))

    def _decode(self, image: Image, expires_at: float | None) -> Decoded:
        _require_time(expires_at)
        started = time.perf_counter()
        pixels, place = decoded_for(self.spec, image(), self.limits, scaled=self.scaled)
        decode_ms = _since(started)
        started = time.perf_counter()
        prepared = put_in(pixels, place)
        return Decoded(prepared, decode_ms, _since(started))

    def _infer(self, pixels: npt.NDArray[np.uint8], expires_at: float | None) -> tuple[Rows, float]:
        _require_time(expires_at)
        if self.engine is None:
            raise RuntimeError("the model was asked before it was loaded")
        started = time.perf_counter()
        rows = self.engine.infer(pixels)
        wanted = (len(pixels), self.spec.max_detections, 6)
        if rows.shape != wanted:
            raise InvalidDetections(
                f"the model answers {list(rows.shape)}, not {list(wanted)}: wrong weights?"
            )
        return rows, _since(started)


def _require_time(expires_at: float | None) -> None:
    if expires_at is not None and time.monotonic() >= expires_at:
        raise Late


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
