"""From a picture's bytes to the tensor of a model that takes pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ai.core.geometry import Fit
from ai.core.image import decode
from ai.core.processing import prepare
from ai.core.spec import DetectorSpec


def tensor_of(image: bytes, spec: DetectorSpec) -> tuple[bytes, Fit]:
    """The tensor's bytes, and where the picture lies in it; InvalidImage for what is no picture."""
    prepared = prepare(decode(image), spec)
    pixels = prepared.pixels if spec.input_type == "uint8" else normalised(prepared.pixels, spec)
    return pixels.tobytes(), prepared.fit


def normalised(pixels: npt.NDArray[np.uint8], spec: DetectorSpec) -> npt.NDArray[np.float32]:
    mean, std = (
        np.array(values, np.float32).reshape(3, 1, 1) for values in (spec.pixel_mean, spec.pixel_std)
    )
    scaled: npt.NDArray[np.float32] = (pixels * np.float32(spec.pixel_scale) - mean) / std
    return scaled
