"""Where weights come from: `demo` (ours, in this repository), a file, or a name that ultralytics knows."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

DEMO = "demo"


class WeightsNotFound(Exception):
    pass


class WrongWeights(Exception):
    """The checkpoint holds another kind of detector than the one it was named for."""


def source(weights: str, variable: str) -> str:
    """`weights` itself if it is `demo` or a name, the path if it is a file."""
    if weights == DEMO:
        return weights
    path = Path(os.path.expanduser(weights))  # noqa: PTH111 - Path.expanduser raises for a user that is not there
    if path.is_file():
        return str(path)
    if path.name != weights or path.suffix not in {".pt", ".pth"}:
        raise WeightsNotFound(
            f"{variable}={weights!r}: no such file; allowed are 'demo', a path to weights, "
            f"or a name that ultralytics knows, such as 'yolo26m.pt' or 'rtdetr-l.pt'"
        )
    return weights


def load_state(module: nn.Module, path: Path) -> nn.Module:
    """Fill `module` from a file of FP16 tensors. Such a file holds no code, so reading it runs none."""
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict({name: _as(torch.float32, value) for name, value in state.items()})
    return module


def save_state(module: nn.Module, path: Path) -> None:
    """Write `module`'s tensors in FP16, aside first, so that no half-written file is ever found."""
    state = {
        name: _as(torch.float16, value).cpu().contiguous() for name, value in module.state_dict().items()
    }
    aside = path.with_suffix(".part")
    torch.save(state, aside)
    aside.replace(path)


def _as(dtype: torch.dtype, value: Tensor) -> Tensor:
    """Counters stay whole numbers."""
    return value.to(dtype) if value.is_floating_point() else value
