"""What `ai.core` does to a decoded picture, for one that lies in a tensor: turned upright, fitted into the input."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor

from ai.core.geometry import PAD_VALUE, Fit

# Orientation (EXIF 0x0112) → whether the axes are swapped, and what is flipped then: 1 rows, 2 columns.
_TURNS = {1: (False, ()), 2: (False, (2,)), 3: (False, (1, 2)), 4: (False, (1,)),
          5: (True, ()), 6: (True, (2,)), 7: (True, (1, 2)), 8: (True, (1,))}  # fmt: skip


def upright(pixels: Tensor, orientation: int) -> Tensor:
    """[3, height, width] as it is meant to be seen."""
    swapped, flips = _TURNS[orientation]
    turned = pixels.transpose(1, 2) if swapped else pixels
    return turned.flip(flips) if flips else turned


def fitted(place: Fit, image: Tensor) -> Tensor:
    """`Fit.apply` on a GPU: the same linear sampling, rounded."""
    size = (place.inner_height, place.inner_width)
    if image.shape[1:] != size:
        floats = F.interpolate(image[None].float(), size, mode="bilinear", align_corners=False)
        image = floats[0].round_().clamp_(0, 255).to(torch.uint8)
    canvas = torch.full(
        (3, place.target_height, place.target_width), PAD_VALUE, dtype=torch.uint8, device=image.device
    )
    canvas[:, place.top : place.top + size[0], place.left : place.left + size[1]] = image
    return canvas
