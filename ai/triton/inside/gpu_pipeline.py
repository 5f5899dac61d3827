"""The same way as `pipeline.Pipeline`, on a GPU: nvJPEG decodes, and pixels stay there until they are detections.

What it cannot take (PNG, WebP, an odd JPEG) goes the ordinary way. nvJPEG rounds colours a little differently from
libjpeg-turbo, and says nothing of damage inside a scan; parity is measured with it, and `--decode cpu` does without.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from ai.engines.graphed_engine import GraphedEngine
from ai.engines.tensor_pixels import fitted, upright
from ai.triton.inside.pipeline import Outcome, Pipeline

END_OF_IMAGE = b"\xff\xd9"
TRAILER_BYTES = 64  # cameras pad behind the end


@dataclass(frozen=True, slots=True)
class OnGpu:
    """A picture on its way, decoded there."""

    pixels: Tensor  # uint8 [3, height, width], upright
    fit: Fit


Ready = OnGpu | Prepared | InvalidImage


class GpuPipeline(Pipeline):
    engine: GraphedEngine

    @torch.inference_mode()
    def detect(self, images: Sequence[Bytes]) -> list[Outcome]:
        ready = self.decoded(images)
        good = [one for one in ready if not isinstance(one, InvalidImage)]
        raw = self.engine.infer_tensor(self.inputs(good)).cpu().numpy() if good else ()
        return self.finished(raw, ready)

    def inputs(self, pictures: Sequence[OnGpu | Prepared]) -> Tensor:
        fitted_there = iter(fitted([(one.fit, one.pixels) for one in pictures if isinstance(one, OnGpu)]))
        return torch.stack([
            next(fitted_there) if isinstance(one, OnGpu) else torch.from_numpy(one.pixels).to(self.engine.device)
            for one in pictures
        ])  # fmt: skip

    def finished(self, raw: Iterable[npt.NDArray[np.float32]], ready: Sequence[Ready]) -> list[Outcome]:
        answers = iter(raw)
        return [
            one if isinstance(one, InvalidImage) else self._finish(next(answers), one.fit) for one in ready
        ]

    def decoded(self, images: Sequence[Bytes]) -> list[Ready]:
        """In their order, on the GPU where it can; one that is no picture says why."""
        headers = [self._header(image) for image in images]
        fast = [index for index, header in enumerate(headers) if header is not None]
        pixels = self._decoded_there([images[index] for index in fast])
        ready: dict[int, Ready] = {
            index: self._placed(one, cast(ImageHeader, headers[index]))
            for index, one in zip(fast, pixels, strict=False)
        }
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

    def _decoded_there(self, images: list[Bytes]) -> list[Tensor]:
        """One batch on the GPU; nothing if it refuses one of them."""
        if not images:
            return []
        data = [torch.frombuffer(bytearray(image), dtype=torch.uint8) for image in images]
        try:
            return cast("list[Tensor]", decode_jpeg(data, mode="RGB", device=self.engine.device))
        except RuntimeError:
            return []

    def _placed(self, pixels: Tensor, header: ImageHeader) -> OnGpu:
        turned, spec = upright(pixels, header.orientation), self.spec
        place = fit(spec.fit, turned.shape[2], turned.shape[1], spec.input_width, spec.input_height)
        return OnGpu(turned, place)
