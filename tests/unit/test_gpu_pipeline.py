"""How a batch goes its way on a GPU, without one: nvJPEG, streams and network are stood in for, all else is real.

That what nvJPEG decodes is what legacy sees is for `crossfade models parity` to say, on the machine that has the GPU.
"""

from __future__ import annotations

import importlib
import io
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ai.core.spec import DetectorSpec
from ai.triton.inside.pipeline import Answer, Pipeline
from ai.yolo26 import model
from tests.pictures import jpeg, oriented, png, scene, webp

SPEC: DetectorSpec = model.detector().spec


@dataclass
class Decoder:
    """nvJPEG: what is stored, not turned; it refuses a call with a picture in it that is `odd`."""

    odd: bytes = b""
    calls: list[int] = field(default_factory=list)

    def __call__(self, data: Sequence[Tensor], *, mode: str, device: torch.device) -> list[Tensor]:
        assert (mode, device.type) == ("RGB", "cpu")
        self.calls.append(len(data))
        images = [one.numpy().tobytes() for one in data]
        if self.odd in images:
            raise RuntimeError("Failed to decode jpeg image")
        return [
            torch.from_numpy(np.array(Image.open(io.BytesIO(image)))).permute(2, 0, 1) for image in images
        ]


@dataclass
class Network:
    """Answers each picture with the mean of its input, so that one that is mixed up with another shows. It has one
    place for pixels, as CUDA graphs have."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    batches: list[int] = field(default_factory=list)
    place: Tensor | None = None

    def infer(self, pixels: Any) -> Any:
        return self.infer_tensor(torch.from_numpy(pixels)).numpy()

    def infer_tensor(self, pixels: Tensor) -> Tensor:
        self.batches.append(len(pixels))
        self.place = pixels
        time.sleep(0.002)
        return self.place.float().mean((1, 2, 3)).reshape(-1, 1, 1)


class _Stream:
    def __init__(self, _device: object = None) -> None: ...

    def wait_stream(self, _other: object) -> None: ...


class _Event:
    def record(self) -> None: ...

    def synchronize(self) -> None: ...


@pytest.fixture
def decoder() -> Decoder:
    return Decoder()


@pytest.fixture
def gpu(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, as it is where there is a GPU."""
    io = ModuleType("torchvision.io")
    io.decode_jpeg = decoder  # type: ignore[attr-defined]
    for name, module in (("torchvision", ModuleType("torchvision")), ("torchvision.io", io)):
        monkeypatch.setitem(sys.modules, name, module)
    for name, stand_in in (("Stream", _Stream), ("Event", _Event), ("stream", lambda _stream: nullcontext())):
        monkeypatch.setattr(torch.cuda, name, stand_in)
    name = "ai.triton.inside.gpu_pipeline"
    before = sys.modules.pop(name, None)
    yield importlib.import_module(name)
    del sys.modules[name]
    if before is not None:
        sys.modules[name] = before


@pytest.fixture
def pipeline(gpu: Any) -> Iterator[Any]:
    pipeline = gpu.GpuPipeline(SPEC, Network(), 2)
    yield pipeline
    pipeline.close()


def _pictures(count: int) -> list[bytes]:
    """Each darker than the one before it; some lie, some stand, some are turned, some are nothing for nvJPEG."""
    return [_picture(index, (scene() * (1 - index / 64)).astype(np.uint8)) for index in range(count)]


def _picture(index: int, pixels: Any) -> bytes:
    if index % 9 == 8:
        return png(pixels)
    if index % 11 == 10:
        return webp(pixels)
    if index % 3:
        return oriented("JPEG", index % 8 + 1, pixels=pixels)
    return jpeg(pixels if index % 2 else pixels.transpose(1, 0, 2))


def _means(answered: Sequence[Any]) -> list[float]:
    """-1 for what is no picture."""
    return [float(one.raw[0, 0]) if isinstance(one, Answer) else -1.0 for one in answered]


def _on_a_processor(images: Sequence[bytes]) -> list[Any]:
    pipeline = Pipeline(SPEC, Network(), 2)  # type: ignore[arg-type]
    try:
        return list(pipeline.answered(images))
    finally:
        pipeline.close()


def _agree(there: Sequence[Any], here: Sequence[Any]) -> None:
    """To a rounding; the next darker picture differs by more."""
    assert _means(there) == pytest.approx(_means(here), abs=0.6)
    assert [str(one) for one in there if not isinstance(one, Answer)] == [
        str(one) for one in here if not isinstance(one, Answer)
    ]
    assert [one.fit for one in there if isinstance(one, Answer)] == [
        one.fit for one in here if isinstance(one, Answer)
    ]


def test_every_picture_gets_its_own_answer_whatever_it_is_and_however_many_there_are(
    pipeline: Any, decoder: Decoder, gpu: Any
) -> None:
    for count in (1, 2, 7, 16, 17, 40, 64):
        images, decoder.calls[:] = _pictures(count), []
        _agree(list(pipeline.answered(images)), _on_a_processor(images))
        assert sum(decoder.calls) == sum(image.startswith(b"\xff\xd8") for image in images)
    assert max(decoder.calls) <= gpu.DECODERS
    assert max(pipeline.engine.batches) <= gpu.PART


def test_what_is_no_picture_is_told_so_and_takes_nobody_with_it(pipeline: Any) -> None:
    images = _pictures(24)
    images[3], images[9], images[20] = b"", b"GIF89a" + bytes(20), jpeg()[:-80]
    _agree(list(pipeline.answered(images)), _on_a_processor(images))


def test_a_batch_of_nothing_good_never_comes_to_the_network(pipeline: Any, decoder: Decoder) -> None:
    _agree(list(pipeline.answered([b"", b"no picture"])), _on_a_processor([b"", b"no picture"]))
    assert (pipeline.engine.batches, decoder.calls) == ([], [])


def test_what_nvjpeg_refuses_goes_the_ordinary_way(pipeline: Any, decoder: Decoder) -> None:
    images = _pictures(16)
    decoder.odd = images[4]
    _agree(list(pipeline.answered(images)), _on_a_processor(images))


def test_several_threads_ask_at_once_and_each_gets_its_own(pipeline: Any) -> None:
    images = _pictures(60)
    shares = [images[first::6] for first in range(6)]
    with ThreadPoolExecutor(len(shares)) as threads:
        found = list(threads.map(lambda share: list(pipeline.answered(share)), shares * 5))
    for there, here in zip(found, [_on_a_processor(share) for share in shares] * 5, strict=True):
        _agree(there, here)
