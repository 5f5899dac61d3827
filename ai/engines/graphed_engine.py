"""A network on a GPU as CUDA graphs, one for each batch size: replaying one costs a launch, not hundreds.

What a graph was captured with must outlive it. A head keeps tensors that it computes from the input's size
(YOLO's anchors and strides), and replaces them when the size changes; so they are held here. And a forward that
makes a tensor out of Python numbers (RT-DETR's decoder) copies from the processor, which a capture forbids;
such tensors are made once, while warming up, and found again while capturing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ai.core.spec import DetectorSpec
from ai.engines.torch_engine import DetectorModule

WARM_UP_RUNS = 3


@dataclass(slots=True)
class _Graph:
    """A captured batch size: its input and output stay where they are."""

    graph: torch.cuda.CUDAGraph
    pixels: Tensor
    answers: Tensor
    held: list[Tensor] = field(default_factory=list)


class GraphedEngine:
    def __init__(
        self, body: nn.Module, spec: DetectorSpec, batch_sizes: Sequence[int], device_id: str = "0"
    ) -> None:
        if not torch.cuda.is_available():
            raise RuntimeError(
                f"the engine 'torch' captures CUDA graphs; torch {torch.__version__} sees no GPU"
            )
        self.device = torch.device(f"cuda:{device_id}")
        torch.cuda.set_device(self.device)
        module = DetectorModule(body, spec).eval().to(self.device).half()
        self._module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._shape = (3, spec.input_height, spec.input_width)
        self._sizes = sorted(batch_sizes)
        self._constants = _Constants()
        self._graphs = {size: self._capture(size) for size in reversed(self._sizes)}

    def infer(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return self.infer_tensor(torch.from_numpy(pixels)).cpu().numpy()

    @torch.inference_mode()
    def infer_tensor(self, pixels: Tensor) -> Tensor:
        """uint8 [n, 3, height, width], here or on the GPU → answers on the GPU."""
        largest = self._sizes[-1]
        parts = [self._replay(pixels[first : first + largest]) for first in range(0, len(pixels), largest)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _replay(self, pixels: Tensor) -> Tensor:
        """Padded to the next captured size; what the padding answers is cut off."""
        captured = self._graphs[self._sizes[bisect_left(self._sizes, len(pixels))]]
        captured.pixels[: len(pixels)].copy_(pixels, non_blocking=True)
        captured.graph.replay()
        return captured.answers[: len(pixels)].clone()

    @torch.inference_mode()
    def _capture(self, size: int) -> _Graph:
        pixels = torch.zeros((size, *self._shape), dtype=torch.uint8, device=self.device)
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), self._constants:
            for _ in range(WARM_UP_RUNS):
                self._module(pixels)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with self._constants, torch.cuda.graph(graph):
            answers = self._module(pixels)
        return _Graph(graph, pixels, answers, self._tensors_kept_by_modules())

    def _tensors_kept_by_modules(self) -> list[Tensor]:
        return [
            value
            for part in self._module.modules()
            for value in vars(part).values()
            if isinstance(value, Tensor)
        ]


class _Constants(TorchFunctionMode):
    """Tensors made out of Python numbers, each made once."""

    _MAKERS = (torch.tensor, torch.as_tensor)

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Tensor] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in self._MAKERS or isinstance(args[0], Tensor):
            return func(*args, **kwargs)
        key = f"{args!r} {kwargs!r}"
        if key not in self._known:
            self._known[key] = cast(Tensor, func(*args, **kwargs))
        return self._known[key]
