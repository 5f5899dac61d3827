"""What runs a network, wherever it does."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Engine(Protocol):
    """uint8 [n, 3, height, width] → what its `DetectorSpec` says of an answer, [n, …]."""

    @property
    def device(self) -> object: ...

    def infer(self, pixels: npt.NDArray[np.uint8], /) -> npt.NDArray[np.float32]: ...
