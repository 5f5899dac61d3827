"""What `ai.core` does to a decoded picture, for one that lies in a tensor: turned upright, fitted into the input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ai.core.geometry import PAD_VALUE, Fit

FLOATS_AT_ONCE = 2**26  # a quarter of a GiB

# Orientation (EXIF 0x0112) → whether the axes are swapped, and what is flipped then: 1 rows, 2 columns.
_TURNS = {1: (False, ()), 2: (False, (2,)), 3: (False, (1, 2)), 4: (False, (1,)),
          5: (True, ()), 6: (True, (2,)), 7: (True, (1, 2)), 8: (True, (1,))}  # fmt: skip


def upright(pixels: Tensor, orientation: int) -> Tensor:
    """[3, height, width] as it is meant to be seen."""
    swapped, flips = _TURNS[orientation]
    turned = pixels.transpose(1, 2) if swapped else pixels
    return turned.flip(flips) if flips else turned


def fitted(pictures: Sequence[tuple[Fit, Tensor]]) -> list[Tensor]:
    """`Fit.apply` on a GPU, of each: uint8 [3, target_height, target_width]. Those of one size go together, since
    every step costs a launch however little it does."""
    alike: dict[Fit, list[int]] = {}
    for index, (place, _) in enumerate(pictures):
        alike.setdefault(place, []).append(index)
    found: dict[int, Tensor] = {}
    for place, indices in alike.items():
        found.update(zip(indices, _fitted(place, [pictures[index][1] for index in indices]), strict=True))
    return [found[index] for index in range(len(pictures))]


def _fitted(place: Fit, images: list[Tensor]) -> Tensor:
    stacked = torch.stack(images)
    if stacked.shape[2:] != (place.inner_height, place.inner_width):
        stacked = _resized(stacked, place.inner_height, place.inner_width)
    if stacked.shape[2:] == (place.target_height, place.target_width):
        return stacked
    canvas = stacked.new_full((len(images), 3, place.target_height, place.target_width), PAD_VALUE)
    bottom, right = place.top + place.inner_height, place.left + place.inner_width
    canvas[:, :, place.top : bottom, place.left : right] = stacked
    return canvas


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    """Linear, rounded. In floats, of which a batch of large pictures would fill gigabytes: so a few at a time."""
    at_once = max(1, FLOATS_AT_ONCE // images[0].numel())
    return torch.cat([
        functional.interpolate(some.float(), (height, width), mode="bilinear").round_().to(torch.uint8)
        for some in torch.split(images, at_once)
    ])  # fmt: skip
