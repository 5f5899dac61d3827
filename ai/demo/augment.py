"""Training pictures made on the GPU: scenes placed, mirrored, tiled four to a canvas, and recoloured.

Everything is done for a whole batch at once; the loop over the four tiles is the only one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ai.core.geometry import PAD_VALUE, FitKind
from ai.demo.dataset import NO_OBJECT, SceneArrays

TILES = 4
MIN_SIDE_PX = 5.0
MIN_VISIBLE = 0.3


@dataclass(frozen=True, slots=True)
class Bank:
    """Every training scene, on the device."""

    images: Tensor
    boxes: Tensor
    class_ids: Tensor

    @classmethod
    def of(cls, arrays: SceneArrays, device: torch.device) -> Bank:
        return cls(
            torch.from_numpy(arrays.images).to(device),
            torch.from_numpy(arrays.boxes).to(device),
            torch.from_numpy(arrays.class_ids).to(device),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    images: Tensor  # [n, 3, size, size], 0..1
    boxes: Tensor  # [m, 4], centre and size in 0..1 of the canvas
    class_ids: Tensor  # [m]
    batch_index: Tensor  # [m]

    def for_ultralytics(self) -> dict[str, Tensor]:
        return {
            "img": self.images,
            "bboxes": self.boxes,
            "cls": self.class_ids.float(),
            "batch_idx": self.batch_index,
        }


@dataclass(frozen=True, slots=True)
class Recipe:
    fit: FitKind
    size: int
    mosaic_share: float
    strength: float  # 1 while learning, less in the last stretch, when pictures look as they will be served


def make_batch(bank: Bank, count: int, recipe: Recipe) -> Batch:
    device = bank.images.device
    chosen = torch.randint(len(bank.images), (count, TILES), device=device)
    tiles = _tile_corners(count, recipe, device)
    scale, offset, mirrored = _placements(tiles, bank, recipe)
    images = _paint(bank, chosen, tiles, scale, offset, mirrored, recipe)
    boxes, class_ids, index = _move_boxes(bank, chosen, tiles, scale, offset, mirrored, recipe.size)
    pictures = _recolour(images, recipe.strength).clamp(0, 1).contiguous(memory_format=torch.channels_last)
    return Batch(pictures, boxes, class_ids, index)


def _uniform(shape: tuple[int, ...], low: float, high: float, device: torch.device) -> Tensor:
    return torch.rand(shape, device=device) * (high - low) + low


def _tile_corners(count: int, recipe: Recipe, device: torch.device) -> Tensor:
    """[n, 4, 4] xyxy of each tile: four around a centre, or one over the whole canvas and three empty ones."""
    size = float(recipe.size)
    centre = _uniform((count, 2), 0.3 * size, 0.7 * size, device).round()
    whole = torch.rand(count, 1, device=device) >= recipe.mosaic_share
    x, y = torch.where(whole, torch.full_like(centre, size), centre).unbind(1)
    zero, full = torch.zeros_like(x), torch.full_like(x, size)
    corners = [(zero, zero, x, y), (x, zero, full, y), (zero, y, x, full), (x, y, full, full)]
    return torch.stack([torch.stack(corner, dim=1) for corner in corners], dim=1)


def _placements(tiles: Tensor, bank: Bank, recipe: Recipe) -> tuple[Tensor, Tensor, Tensor]:
    """Scale and offset per axis, and mirroring, of the scene in each tile: [n, 4, 2], [n, 4, 2], [n, 4]."""
    count, device = len(tiles), tiles.device
    height, width = bank.images.shape[1:3]
    source = torch.tensor([width, height], device=device).float()
    spread = 0.45 * recipe.strength
    zoom = torch.exp(_uniform((count, TILES, 1), -spread, spread, device))
    aspect = torch.exp(_uniform((count, TILES, 1), -0.15, 0.15, device) * recipe.strength)
    served = recipe.size / source if recipe.fit == "stretch" else torch.full_like(source, recipe.size / width)
    scale = served * zoom * torch.cat((aspect, 1 / aspect), dim=-1)
    tiled = (tiles[:, 1, 2] > tiles[:, 1, 0]).view(-1, 1, 1)
    scale = torch.where(tiled, scale * 0.8, scale)
    middle = (tiles[..., :2] + tiles[..., 2:]) / 2
    looked_at = 0.5 + _uniform((count, TILES, 2), -0.3, 0.3, device) * torch.where(
        tiled, 1.0, 0.5 * recipe.strength
    )
    return scale, middle - looked_at * source * scale, torch.rand(count, TILES, device=device) < 0.5


def _paint(
    bank: Bank, chosen: Tensor, tiles: Tensor, scale: Tensor, offset: Tensor, mirrored: Tensor, recipe: Recipe
) -> Tensor:
    height, width = bank.images.shape[1:3]
    device, size = tiles.device, recipe.size
    pixels = torch.arange(size, device=device) + 0.5
    canvas = torch.full((len(chosen), 3, size, size), PAD_VALUE / 255, device=device)
    for tile in range(TILES):
        x = (pixels[None] - offset[:, tile, 0:1]) / scale[:, tile, 0:1] * (2 / width) - 1
        y = (pixels[None] - offset[:, tile, 1:2]) / scale[:, tile, 1:2] * (2 / height) - 1
        x = torch.where(mirrored[:, tile, None], -x, x)
        grid = torch.stack((x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)), dim=-1)
        scenes = bank.images[chosen[:, tile]].permute(0, 3, 1, 2).float() / 255 - PAD_VALUE / 255
        drawn = functional.grid_sample(scenes, grid, align_corners=False) + PAD_VALUE / 255
        left, top, right, bottom = (tiles[:, tile, i].view(-1, 1) for i in range(4))
        inside = ((pixels > top) & (pixels < bottom))[:, :, None] & ((pixels > left) & (pixels < right))[
            :, None, :
        ]
        canvas = torch.where(inside[:, None], drawn, canvas)
    return canvas


def _move_boxes(
    bank: Bank, chosen: Tensor, tiles: Tensor, scale: Tensor, offset: Tensor, mirrored: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    width = bank.images.shape[2]
    boxes, class_ids = bank.boxes[chosen], bank.class_ids[chosen]  # [n, 4, m, 4], [n, 4, m]
    flipped = torch.stack(
        (width - boxes[..., 2], boxes[..., 1], width - boxes[..., 0], boxes[..., 3]), dim=-1
    )
    boxes = torch.where(mirrored[:, :, None, None], flipped, boxes)
    boxes = boxes * scale.repeat(1, 1, 2)[:, :, None] + offset.repeat(1, 1, 2)[:, :, None]
    low, high = tiles[:, :, None, :2], tiles[:, :, None, 2:]
    cut = torch.cat(
        (boxes[..., :2].maximum(low).minimum(high), boxes[..., 2:].minimum(high).maximum(low)), dim=-1
    )
    sides = cut[..., 2:] - cut[..., :2]
    whole = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1).clamp(min=1e-6)
    kept = (
        (class_ids != NO_OBJECT)
        & (sides.amin(dim=-1) >= MIN_SIDE_PX)
        & (sides.prod(dim=-1) / whole >= MIN_VISIBLE)
    )
    where = kept.nonzero()
    centres = (cut[..., :2] + cut[..., 2:]) / 2
    return torch.cat((centres, sides), dim=-1)[kept] / size, class_ids[kept], where[:, 0]


def _recolour(images: Tensor, strength: float) -> Tensor:
    count, device = len(images), images.device

    def one(low: float, high: float, channels: int = 1) -> Tensor:
        """Per-picture factors around 1 (or 0), drawn in towards it as the strength falls."""
        return _uniform((count, channels, 1, 1), low * strength, high * strength, device)

    grey = images.mean(dim=1, keepdim=True)
    saturation = torch.where(
        torch.rand(count, 1, 1, 1, device=device) < 0.15 * strength, -1.0, one(-0.7, 0.5)
    )
    images = grey + (images - grey) * (1 + saturation)
    level = images.mean(dim=(1, 2, 3), keepdim=True)
    images = level + (images - level) * (1 + one(-0.45, 0.35))
    images = images * (1 + one(-0.08, 0.08, 3)) * (1 + one(-0.4, 0.35))
    images = images.clamp(1e-4, 1) ** torch.exp(one(-0.35, 0.35))
    blurred = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    images = torch.where(torch.rand(count, 1, 1, 1, device=device) < 0.15 * strength, blurred, images)
    noise = _uniform((count, 1, 1, 1), -0.05, 0.05, device).clamp(min=0) * strength
    return images + torch.randn_like(images) * noise
