"""The same way as `pipeline.Pipeline`, on a GPU: nvJPEG decodes, and pixels stay there until they are detections.

What it cannot take (PNG, WebP, an odd JPEG) goes the ordinary way. nvJPEG rounds colours a little differently from
libjpeg-turbo, and says nothing of damage inside a scan; parity is measured with it, and `--decode cpu` does without.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.io import decode_jpeg

from ai.core.errors import InvalidImage
from ai.core.geometry import Fit, fit
from ai.core.header import Bytes, ImageHeader, read_header
from ai.core.processing import Prepared
from ai.core.spec import DetectorSpec
from ai.engines.graphed_engine import GraphedEngine
from ai.engines.tensor_pixels import fitted, upright
from ai.triton.inside.pipeline import Answer, Answered, Pipeline

END_OF_IMAGE = b"\xff\xd9"
TRAILER_BYTES = 64  # cameras pad behind the end

PART = 16  # pictures of a batch that go through the network together, while the next ones are decoded
# As many as a Hopper has decoders. Given eight at once beside a network at work, nvJPEG does less than a tenth of what
# it does given seven (`call beside` of the GPU's benchmark).
DECODERS = 7


@dataclass(frozen=True, slots=True)
class OnGpu:
    """A picture on its way, decoded there."""

    pixels: Tensor  # uint8 [3, height, width], as stored
    orientation: int
    fit: Fit


Ready = OnGpu | Prepared | InvalidImage


@dataclass(frozen=True, slots=True)
class _Part:
    """On its way through the network. It holds its pictures: freed sooner, their memory would be another's too soon."""

    ready: Sequence[Ready]
    raw: Tensor | None  # none: no picture was good
    done: torch.cuda.Event


class GpuPipeline(Pipeline):
    """A batch goes in parts: while the network has one, the next is decoded. Several threads may ask at once."""

    engine: GraphedEngine

    def __init__(self, spec: DetectorSpec, engine: GraphedEngine, decode_threads: int) -> None:
        super().__init__(spec, engine, decode_threads)
        self._decoding, self._inferring = (
            torch.cuda.Stream(engine.device)  # type: ignore[no-untyped-call]
            for _ in range(2)
        )
        self._queueing = threading.Lock()  # the engine has one place for pixels, and one for answers

    def answered(self, images: Sequence[Bytes]) -> Iterator[Answered]:
        """Begins with all parts, and ends one after the other: who finishes the first need not wait for the last."""
        begun = [self._begun(images[first : first + PART]) for first in range(0, len(images), PART)]
        for part in begun:
            part.done.synchronize()
            yield from self.answers(() if part.raw is None else part.raw.numpy(), part.ready)

    @torch.inference_mode()
    def _begun(self, images: Sequence[Bytes]) -> _Part:
        with torch.cuda.stream(self._decoding):
            ready = self.decoded(images)
        good = [one for one in ready if not isinstance(one, InvalidImage)]
        with self._queueing, torch.cuda.stream(self._inferring):
            self._inferring.wait_stream(self._decoding)
            answers = self.engine.infer_tensor(self.inputs(good)) if good else None
            raw = None if answers is None else answers.to("cpu", non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()
        return _Part(ready, raw, done)

    def answers(self, raw: Iterable[npt.NDArray[np.float32]], ready: Sequence[Ready]) -> list[Answered]:
        rows = iter(raw)
        return [one if isinstance(one, InvalidImage) else Answer(next(rows), one.fit) for one in ready]

    def inputs(self, pictures: Sequence[OnGpu | Prepared]) -> Tensor:
        there = [
            (one.fit, upright(one.pixels, one.orientation)) for one in pictures if isinstance(one, OnGpu)
        ]
        fitted_there = iter(fitted(there))
        return torch.stack([
            next(fitted_there) if isinstance(one, OnGpu) else torch.from_numpy(one.pixels).to(self.engine.device)
            for one in pictures
        ])  # fmt: skip

    def decoded(self, images: Sequence[Bytes]) -> list[Ready]:
        """In their order, on the GPU where it can; one that is no picture says why."""
        headers = [self._header(image) for image in images]
        fast = [index for index, header in enumerate(headers) if header is not None]
        ready: dict[int, Ready] = {}
        for first in range(0, len(fast), DECODERS):
            some = fast[first : first + DECODERS]
            pixels = self.decoded_in_one_call([images[index] for index in some])
            ready.update(
                (index, self._placed(one, cast(ImageHeader, headers[index])))
                for index, one in zip(some, pixels, strict=False)
            )
        slow = [index for index in range(len(images)) if index not in ready]
        ready.update(zip(slow, self._prepare_all([images[index] for index in slow]), strict=True))
        return [ready[index] for index in range(len(images))]

    def _header(self, image: Bytes) -> ImageHeader | None:
        """Of a JPEG that is whole as far as can be seen without decoding; None for all others."""
        try:
            header = read_header(bytes(image))
        except InvalidImage:
            return None  # the ordinary way says what is wrong
        whole = END_OF_IMAGE in bytes(image[-TRAILER_BYTES:])
        return header if header.format == "jpeg" and whole else None

    def decoded_in_one_call(self, images: list[Bytes]) -> list[Tensor]:
        """On the GPU; nothing if it refuses one of them."""
        data = [torch.frombuffer(bytearray(image), dtype=torch.uint8) for image in images]
        try:
            return cast("list[Tensor]", decode_jpeg(data, mode="RGB", device=self.engine.device))
        except RuntimeError:
            return []

    def _placed(self, pixels: Tensor, header: ImageHeader) -> OnGpu:
        _, height, width = pixels.shape
        if header.orientation >= 5:
            width, height = height, width
        spec = self.spec
        place = fit(spec.fit, width, height, spec.input_width, spec.input_height)
        return OnGpu(pixels, header.orientation, place)
