"""The ground in perspective: materials, strips of other materials, painted lines, puddles."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ai.demo.paint import noise_tile
from ai.demo.plans import Colour, Floats, Layout, Strip, floats
from ai.demo.view import View


@dataclass(frozen=True, slots=True)
class Material:
    dark: Colour
    light: Colour
    coarse: float  # how strong the large patches are
    fine: float  # how strong the grain is
    joints: tuple[float, float] = (0.0, 0.0)  # metres between joints, across and along


MATERIALS: dict[str, Material] = {
    "grass": Material((0.2, 0.3, 0.12), (0.42, 0.5, 0.24), 0.2, 0.22),
    "meadow": Material((0.3, 0.32, 0.14), (0.58, 0.55, 0.3), 0.26, 0.24),
    "asphalt": Material((0.25, 0.25, 0.27), (0.37, 0.37, 0.38), 0.2, 0.16),
    "concrete": Material((0.5, 0.49, 0.47), (0.66, 0.65, 0.62), 0.2, 0.12, (2.4, 2.4)),
    "slabs": Material((0.48, 0.46, 0.43), (0.68, 0.65, 0.6), 0.2, 0.12, (0.6, 0.6)),
    "bricks": Material((0.42, 0.26, 0.2), (0.6, 0.42, 0.34), 0.22, 0.2, (0.3, 0.16)),
    "gravel": Material((0.46, 0.43, 0.38), (0.68, 0.64, 0.56), 0.14, 0.32),
    "planks": Material((0.4, 0.29, 0.2), (0.6, 0.46, 0.33), 0.15, 0.12, (40.0, 0.15)),
    "soil": Material((0.2, 0.15, 0.11), (0.36, 0.27, 0.2), 0.2, 0.28),
    # Only held-out places are paved with these.
    "worn_asphalt": Material((0.34, 0.34, 0.33), (0.5, 0.49, 0.47), 0.34, 0.18),
    "setts": Material((0.3, 0.3, 0.31), (0.5, 0.49, 0.48), 0.24, 0.24, (0.24, 0.24)),
    "dirt": Material((0.42, 0.33, 0.24), (0.62, 0.51, 0.38), 0.3, 0.24),
    "fine_gravel": Material((0.6, 0.52, 0.4), (0.78, 0.7, 0.57), 0.18, 0.18),
}


@dataclass(frozen=True, slots=True)
class Field:
    """World coordinates and noise for every ground pixel, computed once."""

    x: Floats
    y: Floats
    foot_x: Floats  # metres under one pixel, sideways
    foot_y: Floats
    coarse: Floats
    fine: Floats
    distance: Floats


def _sampled(x: Floats, y: Floats, per_metre: float, kind: int) -> Floats:
    """The noise tile laid on the ground."""
    u = x * np.float32(per_metre) + np.float32(91.0)
    v = np.broadcast_to(y * np.float32(per_metre) + np.float32(37.0), u.shape)
    return cv2.remap(
        noise_tile(kind), u, np.ascontiguousarray(v), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )


def field_of(view: View, top: int) -> Field:
    along, ahead = view.ground_rows(top)
    sideways = (np.arange(view.width, dtype=np.float32) + 0.5 - view.width / 2) / view.focal
    x = along[:, None] * sideways[None]
    y = ahead[:, None]
    foot_x = along[:, None] / view.focal
    foot_y = np.abs(np.gradient(ahead))[:, None].astype(np.float32) if len(ahead) > 1 else foot_x
    fade = np.clip(0.06 / foot_y, 0.0, 1.0)
    coarse = _sampled(x, y, 9.0, 0) * np.clip(0.8 / foot_y, 0.15, 1.0)
    return Field(x, y, foot_x, foot_y, coarse, _sampled(x, y, 64.0, 1) * fade, np.sqrt(x * x + y * y))


def _joints(f: Field, spacing: tuple[float, float]) -> Floats:
    """1 on the open ground, less in the joints between slabs; fades where they get too fine."""
    total: Floats = floats(1)
    for at, every, foot in ((f.x, spacing[0], f.foot_x), (f.y, spacing[1], f.foot_y)):
        near = np.clip(1 - foot * 5 / every, 0, 1)
        turns = at * np.float32(1 / every)
        gap = np.abs(turns - np.floor(turns) - np.float32(0.5)) * np.float32(every)  # from the slab's middle
        line = np.clip((gap - every / 2 + 0.012 + foot) / (foot + 0.012), 0, 1)
        total = total * (1 - 0.3 * near * line)
    return floats(total)


def _tone(m: Material, f: Field) -> Floats:
    return 0.5 + m.coarse * f.coarse + m.fine * f.fine


def _lay(planes: list[Floats], m: Material, tint: float, f: Field, mask: Floats | None) -> None:
    tone = np.clip(_tone(m, f), -0.3, 1.4)
    joint = _joints(f, m.joints) if m.joints[0] else None
    for channel in range(3):
        low, high = m.dark[channel], m.light[channel]
        hue = 1 + tint * (0.14, 0.02, -0.14)[channel]
        fresh = (low + (high - low) * tone) * np.float32(hue)
        fresh = fresh if joint is None else fresh * joint
        planes[channel] = fresh if mask is None else planes[channel] + mask * (fresh - planes[channel])


def _across(s: Strip, f: Field) -> tuple[Floats, Floats]:
    """Signed metres into the strip from its nearer edge, and the metres a pixel spans there."""
    if s.axis == "along":
        sway = s.bend / (1 + (f.y / 24) ** 2)  # straightens far away, where bends would pile up
        middle = s.centre + s.slope * f.y + sway * np.sin(f.y * s.wave + s.phase)
        return f.x - middle, f.foot_x
    middle = s.centre + s.slope * f.x + s.bend * np.sin(f.x * s.wave + s.phase)
    return f.y - middle, f.foot_y


def _tint(planes: list[Floats], mask: Floats, colour: Colour, worn: Floats) -> None:
    for channel in range(3):
        planes[channel] = planes[channel] + mask * (colour[channel] * worn - planes[channel])


def _lines(planes: list[Floats], s: Strip, f: Field, offset: Floats, foot: Floats) -> None:
    """White paint: a broken middle line, edge lines, or parking bays square to the strip."""
    run = f.y if s.axis == "along" else f.x
    run_foot = f.foot_y if s.axis == "along" else f.foot_x
    paint: Floats = floats(0)
    if s.lines in ("dashes", "both"):
        paint = np.clip((0.07 - np.abs(offset)) / foot + 0.5, 0, 1) * (np.mod(run, 4.0) < 2.0)
    if s.lines in ("edges", "both"):
        paint = np.maximum(paint, np.clip((0.06 - np.abs(np.abs(offset) - s.half + 0.3)) / foot + 0.5, 0, 1))
    if s.lines == "bays":
        bay = np.abs(np.mod(run / 2.7, 1) - 0.5) * 2.7
        paint = np.clip((0.06 - bay) / run_foot + 0.5, 0, 1) * (np.abs(offset) < s.half)
    thin = np.minimum(0.12 / np.maximum(foot, 0.12), 1)
    _tint(planes, (0.75 * paint * thin).astype(np.float32), (0.84, 0.84, 0.8), 1 + 0.06 * f.fine)


def _strip(planes: list[Floats], s: Strip, f: Field) -> None:
    offset, foot = _across(s, f)
    inside = s.half - np.abs(offset)
    rough = 0.12 if s.material in ("gravel", "soil", "dirt", "fine_gravel", "asphalt") and not s.kerb else 0.0
    if rough:
        inside = inside + rough * f.coarse
    if s.kerb:
        _tint(planes, np.clip((inside + s.kerb) / foot + 0.5, 0, 1), (0.66, 0.65, 0.62), 1 + 0.05 * f.fine)
    _lay(planes, MATERIALS[s.material], s.tint, f, np.clip(inside / foot + 0.5, 0, 1))
    if s.lines:
        _lines(planes, s, f, offset, foot)


def paint_ground(
    layout: Layout, view: View, top: int, sky: Colour, wet: float, snow: float
) -> tuple[Floats, Floats]:
    """Colour [h,w,3] and distance [h,w] of the rows from `top` down."""
    f = field_of(view, top)
    planes = [np.empty(f.x.shape, dtype=np.float32) for _ in range(3)]
    _lay(planes, MATERIALS[layout.ground], layout.ground_tint, f, None)
    for strip in layout.strips:
        _strip(planes, strip, f)
    if wet:
        planes = [plane * np.float32(1 - 0.28 * wet) for plane in planes]
    pools = max(layout.puddles, 0.75 * wet)
    if pools:
        mask = np.clip((f.coarse - 1.75 + pools) * 4, 0, 1) * 0.75
        _tint(planes, mask.astype(np.float32), (sky[0] * 0.75, sky[1] * 0.78, sky[2] * 0.85), floats(1))
    if snow:
        cover = np.clip(0.55 * snow + 0.25 + 0.35 * f.coarse + 0.12 * f.fine, 0, 0.93)
        _tint(planes, cover.astype(np.float32), (0.88, 0.9, 0.94), 1 + 0.04 * f.fine)
    return cv2.merge(planes), f.distance
