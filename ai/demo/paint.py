"""Colour, noise and the rasteriser that turns a figure's parts into a soft-edged sprite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ai.demo.plans import Actor, Colour, Floats, Image, floats
from ai.demo.shapes import Part
from ai.demo.view import View, turned

TILE = 512
_ANGLES = np.linspace(0, 2 * math.pi, 14, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1).astype(np.float32)
_SHIFT = 4  # OpenCV's fixed point: sixteenths of a pixel
_LIGHT = floats([-0.45, -0.35, 0.82])  # where form shading comes from
# Three nested tones give each limb its roundness: (share of radius, shift to the light, tone).
_TONES = ((1.0, 0.0, 0.86), (0.82, 0.14, 0.95), (0.52, 0.3, 1.04))


def mix(a: Colour, b: Colour, t: float) -> Colour:
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def toned(c: Colour, k: float) -> Colour:
    return (min(c[0] * k, 1.0), min(c[1] * k, 1.0), min(c[2] * k, 1.0))


@lru_cache(maxsize=8)
def noise_tile(kind: int = 0) -> Floats:
    """Seamless cloud-like noise, about zero, one standard deviation; the same in every process."""
    rng = np.random.default_rng(9000 + kind)
    total = np.zeros((TILE, TILE), dtype=np.float32)
    for octave in range(2, 9):
        cells = 2**octave
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(grid, 4, mode="wrap")
        step = TILE // cells
        big = cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += big[4 * step : 4 * step + TILE, 4 * step : 4 * step + TILE] * 0.62**octave
    total = (total - total.mean()) / total.std()
    total.setflags(write=False)
    return floats(total)


def noise_patch(height: int, width: int, seed: int, grain: float = 1.0, kind: int = 0) -> Floats:
    """A window of the tile; `grain` pixels of the result for each of the tile's."""
    tile = noise_tile(kind)
    x, y = (seed * 197) % TILE, (seed * 131) % TILE
    columns = (np.arange(width, dtype=np.float32) / grain + x) % (TILE - 1)
    rows = (np.arange(height, dtype=np.float32) / grain + y) % (TILE - 1)
    if grain == 1.0:
        return floats(tile[rows.astype(int)[:, None], columns.astype(int)[None]])
    map_x = np.broadcast_to(columns, (height, width))
    map_y = np.broadcast_to(rows[:, None], (height, width))
    return cv2.remap(tile, np.ascontiguousarray(map_x), np.ascontiguousarray(map_y), cv2.INTER_LINEAR)


@dataclass(frozen=True, slots=True)
class Sprite:
    """A painted thing, colours already multiplied by alpha, and where it goes in the picture."""

    left: int
    top: int
    colour: Floats  # [h,w,3] 0..1
    alpha: Floats  # [h,w] 0..1
    glow: Floats | None  # [h,w] 0..1: how much of it shines by itself
    distance: float

    def window(self, width: int, height: int) -> tuple[slice, slice, slice, slice]:
        """The rows and columns of the picture that it covers, then its own."""
        h, w = self.alpha.shape
        y0, y1 = max(self.top, 0), max(min(self.top + h, height), 0)
        x0, x1 = max(self.left, 0), max(min(self.left + w, width), 0)
        y1, x1 = max(y0, y1), max(x0, x1)
        own_y, own_x = slice(y0 - self.top, y1 - self.top), slice(x0 - self.left, x1 - self.left)
        return slice(y0, y1), slice(x0, x1), own_y, own_x


@dataclass(frozen=True, slots=True)
class Placed:
    """A figure's parts where they stand: world points, pixels, radii in pixels."""

    parts: list[Part]
    ends: list[int]
    world: Floats
    pixels: Floats
    depth: Floats
    radii: Floats

    def span(self, index: int) -> slice:
        return slice(self.ends[index] - len(self.parts[index].radii), self.ends[index])


def placed(parts: list[Part], actor: Actor, view: View) -> Placed:
    local = np.concatenate([p.points for p in parts]).astype(np.float32) * np.float32(actor.scale)
    world = turned(local, actor.heading) + floats([actor.x, actor.y, actor.z])
    pixels, depth = view.project(world)
    radii = np.concatenate([p.radii for p in parts]) * (actor.scale * view.focal) / depth
    ends = np.cumsum([len(p.radii) for p in parts]).tolist()
    return Placed(parts, ends, world, pixels, depth, radii.astype(np.float32))


def fixed(points: Floats) -> Floats:
    return np.asarray(np.rint(points * (1 << _SHIFT)), dtype=np.int32)


def outline(centres: Floats, radii: Floats) -> Floats:
    """The convex outline round some discs (round bare points, where the radii are nought)."""
    if not radii.any():
        return floats(cv2.convexHull(centres).reshape(-1, 2))
    rim = floats((centres[:, None] + radii[:, None, None] * _CIRCLE[None]).reshape(-1, 2))
    return floats(cv2.convexHull(rim).reshape(-1, 2)) if len(radii) > 1 else rim


def fill(canvas: Floats, points: Floats, value: tuple[float, ...], convex: bool) -> None:
    if convex:
        cv2.fillConvexPoly(canvas, fixed(points), value, cv2.LINE_8, _SHIFT)
    else:
        cv2.fillPoly(canvas, [fixed(points)], value, cv2.LINE_8, _SHIFT)


def _order(figure: Placed, scale: float) -> list[int]:
    """Far groups first; in a group by layer, then far first."""
    means = [float(figure.depth[figure.span(i)].mean()) for i in range(len(figure.parts))]
    groups: dict[int, list[float]] = {}
    for part, mean in zip(figure.parts, means, strict=True):
        groups.setdefault(part.group, []).append(mean)
    far = {g: sum(v) / len(v) for g, v in groups.items()}
    keys = [(-far[p.group], p.layer, -m - p.nudge * scale) for p, m in zip(figure.parts, means, strict=True)]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _face_tone(part: Part, figure: Placed, span: slice, heading: float, view: View) -> float:
    """How lit a flat face is; 0 when it looks away from the camera."""
    if part.normal is None:
        return 1.0
    normal = turned(floats([part.normal]), heading)[0]
    towards = floats([0, 0, view.eye]) - figure.world[span.start]
    if float(normal @ towards) <= 0:
        return 0.0
    return 0.72 + 0.3 * max(float(normal @ _LIGHT), 0.0) + 0.06 * float(normal[2])


def _value(colour: Colour, tone: float) -> tuple[float, ...]:
    r, g, b = toned(colour, tone)
    return (r * 255, g * 255, b * 255, 255)


def _draw(
    canvas: Image, glow: Image | None, figure: Placed, view: View, actor: Actor, origin: Floats, ss: int
) -> None:
    round_limbs = canvas.shape[0] > 70 * ss / 2
    for i in _order(figure, actor.scale):
        part, span = figure.parts[i], figure.span(i)
        centres, radii = (figure.pixels[span] - origin) * ss, figure.radii[span] * ss
        solid = part.kind == "blob"
        tone = 1.0 if solid else _face_tone(part, figure, span, actor.heading, view)
        if tone == 0.0:
            continue
        rim = centres if part.kind == "face" else outline(centres, radii)
        tones = (
            _TONES
            if solid and round_limbs and not part.emit
            else ((1.0, 0.0, 0.93 * tone if solid else tone),)
        )
        for share, lean, level in tones:
            if share < 1.0:
                shift = floats([-0.6, -0.8]) * (radii * lean)[:, None]
                rim = outline(centres + shift, radii * share)
            fill(canvas, rim, _value(part.colour, level), part.kind != "face")
            if glow is not None and share == 1.0:
                fill(glow, rim, (part.emit * 255,), part.kind != "face")


def sprite_of(parts: list[Part], actor: Actor, view: View, seed: int = 0) -> Sprite | None:
    """Paint the figure at a multiple of its size and average down, for soft true edges."""
    figure = placed(parts, actor, view)
    if float(figure.depth.min()) < 0.6:
        return None
    low = np.floor((figure.pixels - figure.radii[:, None]).min(axis=0)) - 1
    high = np.ceil((figure.pixels + figure.radii[:, None]).max(axis=0)) + 1
    size = floats([view.width, view.height])
    if (high < 0).any() or (low > size).any():
        return None
    low, high = np.maximum(low, -size * 1.2), np.minimum(high, size * 2.2)
    w, h = (int(v) for v in high - low)
    ss = 4 if h < 90 else 3 if h < 200 else 2
    canvas = np.zeros((h * ss, w * ss, 4), dtype=np.uint8)
    shines = any(p.emit for p in parts)
    glow = np.zeros((h * ss, w * ss), dtype=np.uint8) if shines else None
    _draw(canvas, glow, figure, view, actor, low.astype(np.float32), ss)
    small = cv2.resize(canvas, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    alpha = np.ascontiguousarray(small[..., 3])
    shade = _weave(h, w, seed) + _relief(alpha)
    lit = None if glow is None else cv2.resize(glow, (w, h), interpolation=cv2.INTER_AREA) / np.float32(255)
    colour = small[..., :3] * shade[..., None]
    distance = float(np.hypot(actor.x, actor.y))
    return Sprite(int(low[0]), int(low[1]), colour, alpha, lit, distance)


def _weave(h: int, w: int, seed: int) -> Floats:
    """Lighter above than below, with a faint cloth-and-dirt unevenness."""
    fall = np.linspace(1.07, 0.88, h, dtype=np.float32)[:, None]
    return fall * (1 + 0.035 * noise_patch(h, w, seed + 11, max(h, w) / 200 + 0.5))


def _relief(alpha: Floats) -> Floats:
    """Edges towards the light are brighter, the others darker: the whole figure reads as round."""
    reach = max(min(alpha.shape) // 14, 1)
    soft = cv2.blur(alpha, (2 * reach + 1, 2 * reach + 1))
    return 0.22 * (soft - np.roll(soft, (reach * 2, reach), axis=(0, 1)))
