"""A network on a GPU as CUDA graphs, one for each batch size: replaying one costs a launch, not hundreds.

What a graph was captured with must outlive it. A head keeps tensors that it computes from the input's size
(YOLO's anchors and strides), and replaces them when the size changes; so they are held here. And a forward that
makes tensors on the processor and brings them over (RT-DETR's position embedding, indices and scales) cannot be
captured: such a copy is forbidden. They depend on the input's size alone, so a free run's are used.

Compiled by torch first, a network's many small steps become few. That takes a minute or two, once for a folder that
keeps what was compiled: for one picture, and for any number of them. A compiled network keeps its tensors itself, and
brings nothing over.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

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
    held: list[Tensor]


class GraphedEngine:
    def __init__(
        self,
        body: nn.Module,
        spec: DetectorSpec,
        batch_sizes: Sequence[int],
        device_id: str = "0",
        compiled_in: Path | None = None,
    ) -> None:
        """`compiled_in`: compile it, and keep or find there what comes of it."""
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
        self._compiled = compiled_in is not None
        self._run = self._tuned(compiled_in) if compiled_in else self._module
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
        if size > 1:
            torch._dynamo.maybe_mark_dynamic(pixels, 0)
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        carried = FromProcessor()
        noting, handing = (
            (nullcontext, nullcontext) if self._compiled else (carried.take_notes, carried.hand_out)
        )
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                with noting():
                    self._run(pixels)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with handing(), torch.cuda.graph(graph):
            answers = self._run(pixels)
        return _Graph(graph, pixels, answers, [*carried.noted, *self._tensors_kept_by_modules()])

    @torch.inference_mode()
    def _tuned(self, folder: Path) -> Callable[[Tensor], Tensor]:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)  # noqa: TID251 - it is torch that reads it
        make_compilable(self._module, torch.zeros((1, *self._shape), dtype=torch.uint8, device=self.device))
        return cast("Callable[[Tensor], Tensor]", torch.compile(self._module))

    def _tensors_kept_by_modules(self) -> list[Tensor]:
        return [
            value
            for part in self._module.modules()
            for value in vars(part).values()
            if isinstance(value, Tensor)
        ]


def make_compilable(module: nn.Module, pixels: Tensor) -> None:
    """Where a head makes its anchors, compiling would break off: it makes them now, and finds that no batch needs
    others. They depend on the input's size, which stays."""
    module(pixels)
    for part in module.modules():
        if isinstance(getattr(part, "anchors", None), Tensor) and hasattr(part, "shape"):
            part.shape = _AnyBatch()  # type: ignore[assignment]


class _AnyBatch:
    """A head's memory of the shape that its anchors were made for."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _shape: object) -> bool:
        return True

    def __ne__(self, _shape: object) -> bool:
        return False


class FromProcessor(TorchFunctionMode):
    """Tensors that a forward brings to the GPU: noted while it runs freely, handed out again in the same order."""

    def __init__(self, device_type: str = "cuda") -> None:
        super().__init__()
        self._device_type = device_type
        self._noted: list[Tensor] = []
        self._next: Iterator[Tensor] | None = None  # None: take notes

    def take_notes(self) -> Self:
        self._noted, self._next = [], None
        return self

    def hand_out(self) -> Self:
        self._next = iter(self._noted)
        return self

    @property
    def noted(self) -> list[Tensor]:
        return self._noted

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__getitem__ and self._is_there(args[0]):
            return func(args[0], self._index_there(args[0].device, args[1]))
        if func not in _CARRIERS or not self._carries(args, kwargs):
            return func(*args, **kwargs)
        return self._noted_once(lambda: func(*args, **kwargs))

    def _noted_once(self, bring: Callable[[], Tensor]) -> Tensor:
        if self._next is not None:
            return next(self._next)
        self._noted.append(bring())
        return self._noted[-1]

    def _index_there(self, device: torch.device, index: Any) -> Any:
        """An index that was made on the processor is brought over by the indexing itself, unasked."""
        if isinstance(index, tuple):
            return tuple(self._index_there(device, part) for part in index)
        if isinstance(index, Tensor) and not self._is_there(index):
            return self._noted_once(lambda: index.to(device))
        return index

    def _carries(self, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        cargo, *rest = args
        is_there = isinstance(cargo, Tensor) and cargo.device.type == self._device_type
        return not is_there and any(self._is_there(value) for value in (*rest, *kwargs.values()))

    def _is_there(self, value: object) -> bool:
        if isinstance(value, Tensor):
            return value.device.type == self._device_type
        return isinstance(value, (str, torch.device)) and torch.device(value).type == self._device_type


_CARRIERS = (torch.tensor, torch.as_tensor, Tensor.to, Tensor.type_as)
