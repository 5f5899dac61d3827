"""Upright walls: a texture painted flat, with windows and doors, then set into perspective."""

from __future__ import annotations

import cv2
import numpy as np

from ai.demo.paint import Sprite, fixed, noise_patch, toned
from ai.demo.plans import Colour, Floats, Image, Wall, floats
from ai.demo.view import View

GLASS: Colour = (0.2, 0.26, 0.31)
LIT: Colour = (1.0, 0.8, 0.5)


def _rgb(colour: Colour, tone: float = 1.0, glow: float = 0.0) -> tuple[float, float, float, float]:
    r, g, b = toned(colour, tone)
    return r * 255, g * 255, b * 255, glow * 255


def _rect(
    canvas: Image, x0: float, y0: float, x1: float, y1: float, value: tuple[float, float, float, float]
) -> None:
    cv2.rectangle(
        canvas, (int(x0), int(y0)), (max(int(x1) - 1, int(x0)), max(int(y1) - 1, int(y0))), value, -1
    )


def _courses(canvas: Image, wall: Wall, ppm: float) -> None:
    """The wall's own pattern."""
    h, w = canvas.shape[:2]
    dark, light = _rgb(wall.colour, 0.8), _rgb(wall.colour, 1.1)
    if wall.style == "brick":
        step = max(ppm * 0.11, 3)
        for row in range(int(h / step) + 1):
            y = int(row * step)
            cv2.line(canvas, (0, y), (w, y), light, 1)
            for x in np.arange((row % 2) * step * 1.5, w, step * 3):
                cv2.line(canvas, (int(x), y), (int(x), int(y + step)), light, 1)
    gap = {"siding": 0.18, "panels": 0.9, "planks": 0.2, "ribs": 0.16, "blocks": 0.4}.get(
        wall.style, 0.0
    ) * ppm
    if not gap:
        return
    upright = wall.style in ("planks", "ribs")
    for at in np.arange(gap / 2, w if upright else h, gap):
        p = int(at)
        ends = ((p, 0), (p, h)) if upright else ((0, p), (w, p))
        cv2.line(canvas, *ends, dark, max(int(ppm * 0.025), 1))
        lit = tuple(tuple(v + 1 if (i == 0) == upright else v for i, v in enumerate(e)) for e in ends)
        cv2.line(canvas, lit[0], lit[1], light, 1)


def _window(canvas: Image, x: float, ppm: float, wall: Wall, lit: bool, rng: np.random.Generator) -> None:
    h = canvas.shape[0]
    w, tall, sill = (rng.uniform(0.9, 1.5), rng.uniform(1.1, 1.5), rng.uniform(0.85, 1.05))
    top = 0.35 * ppm if wall.height < 3.6 else 0.5 * ppm
    sills = [h - sill * ppm] + ([h - (sill + 2.8) * ppm] if wall.height > 4.6 else [])
    for bottom in sills:
        x0, x1, y0 = x - w * ppm / 2, x + w * ppm / 2, max(bottom - tall * ppm, top)
        frame = 0.09 * ppm
        _rect(canvas, x0 - frame, y0 - frame, x1 + frame, bottom + frame, _rgb(wall.trim))
        shines = lit and rng.random() < 0.45
        glass = _rgb(LIT, 0.95, 0.75) if shines else _rgb(GLASS, float(rng.uniform(0.7, 1.2)))
        _rect(canvas, x0, y0, x1, bottom, glass)
        if not shines:
            sheen = np.array(
                [[x0, bottom], [x0, y0 + (bottom - y0) * 0.4], [x0 + w * ppm * 0.6, y0], [x1, y0]],
                dtype=np.int32,
            )
            cv2.fillPoly(canvas, [sheen], _rgb(GLASS, float(rng.uniform(1.2, 1.7))))
        _rect(canvas, x - 0.025 * ppm, y0, x + 0.025 * ppm, bottom, _rgb(wall.trim, 0.95))
        _rect(canvas, x0, (y0 + bottom) / 2, x1, (y0 + bottom) / 2 + 0.05 * ppm, _rgb(wall.trim, 0.95))
        _rect(
            canvas,
            x0 - frame * 1.5,
            bottom + frame,
            x1 + frame * 1.5,
            bottom + frame * 2,
            _rgb(wall.colour, 0.6),
        )


def _door(canvas: Image, x: float, ppm: float, wall: Wall, lit: bool, rng: np.random.Generator) -> None:
    h, half = canvas.shape[0], 0.5 * ppm
    top = h - 2.1 * ppm
    colour: Colour = (
        float(rng.uniform(0.15, 0.6)),
        float(rng.uniform(0.15, 0.4)),
        float(rng.uniform(0.12, 0.45)),
    )
    _rect(canvas, x - half * 1.2, top - 0.12 * ppm, x + half * 1.2, h, _rgb(wall.trim))
    _rect(canvas, x - half, top, x + half, h, _rgb(colour))
    for row in (0.15, 0.55):
        for column in (-0.8, 0.1):
            _rect(
                canvas,
                x + half * column,
                top + row * 2.1 * ppm,
                x + half * (column + 0.7),
                top + (row + 0.3) * 2.1 * ppm,
                _rgb(colour, 0.8),
            )
    cv2.circle(
        canvas,
        (int(x + half * 0.8), int(h - 1.0 * ppm)),
        max(int(0.04 * ppm), 1),
        _rgb((0.85, 0.75, 0.5)),
        -1,
    )
    if lit:
        cv2.circle(
            canvas,
            (int(x + half * 1.6), int(h - 2.0 * ppm)),
            max(int(0.11 * ppm), 2),
            _rgb(LIT, 1.0, 1.0),
            -1,
        )


def _garage(canvas: Image, x: float, ppm: float, wall: Wall, _: bool, rng: np.random.Generator) -> None:
    h, half = canvas.shape[0], (1.3 if wall.style != "ribs" else 1.7) * ppm
    top = h - 2.3 * ppm
    panel = toned(wall.trim, float(rng.uniform(0.75, 1.0)))
    _rect(canvas, x - half * 1.07, top - 0.12 * ppm, x + half * 1.07, h, _rgb(wall.trim, 0.8))
    _rect(canvas, x - half, top, x + half, h, _rgb(panel))
    rows = int(rng.integers(4, 12))
    for i in range(1, rows):
        y = int(top + (h - top) * i / rows)
        cv2.line(canvas, (int(x - half), y), (int(x + half), y), _rgb(panel, 0.78), max(int(0.03 * ppm), 1))


def _shop(canvas: Image, x: float, ppm: float, wall: Wall, lit: bool, rng: np.random.Generator) -> None:
    h, half = canvas.shape[0], 1.6 * ppm
    glow = 0.7 if lit else 0.0
    _rect(canvas, x - half * 1.05, h - 2.6 * ppm, x + half * 1.05, h, _rgb(wall.trim, 0.7))
    _rect(
        canvas,
        x - half,
        h - 2.2 * ppm,
        x + half,
        h - 0.4 * ppm,
        _rgb(LIT if lit else GLASS, 0.9 if lit else 1.1, glow),
    )
    awning: Colour = (
        float(rng.uniform(0.3, 0.75)),
        float(rng.uniform(0.2, 0.5)),
        float(rng.uniform(0.2, 0.5)),
    )
    for i in range(10):
        left = x - half * 1.1 + i * half * 0.22
        _rect(
            canvas,
            left,
            h - 2.75 * ppm,
            left + half * 0.22,
            h - 2.3 * ppm,
            _rgb(awning if i % 2 else (0.85, 0.83, 0.78)),
        )


OPENINGS = {"window": _window, "door": _door, "garage": _garage, "shop": _shop}


def _texture(wall: Wall, lit: bool, detail: float) -> tuple[Floats, float]:
    """The flat picture, RGB and glow, and its pixels per metre."""
    rng = np.random.default_rng(wall.seed)
    long = float(np.hypot(wall.x1 - wall.x0, wall.y1 - wall.y0))
    ppm = float(np.clip(detail, 8, 520 / long))
    w, h = max(int(long * ppm), 4), max(int(wall.height * ppm), 4)
    canvas = np.empty((h, w, 4), dtype=np.uint8)
    canvas[:] = _rgb(wall.colour)
    _courses(canvas, wall, ppm)
    for i, name in enumerate(wall.openings):
        x = w * (i + 0.5 + float(rng.uniform(-0.12, 0.12))) / len(wall.openings)
        if name in OPENINGS:
            OPENINGS[name](canvas, x, ppm, wall, lit, rng)
    dirt = 1 + 0.055 * noise_patch(h, w, wall.seed % 977, ppm / 9)
    foot = 1 - 0.3 * np.exp(-np.arange(h, 0, -1, dtype=np.float32) / (0.25 * ppm))[:, None]
    eave = 1 - 0.35 * np.exp(-np.arange(h, dtype=np.float32) / (0.2 * ppm))[:, None] * (wall.roof > 0)
    shade = floats(np.minimum(dirt * foot * eave, 1.2))
    tones = cv2.merge([shade, shade, shade, np.ones_like(shade)])
    return cv2.multiply(canvas, tones, dtype=cv2.CV_8U), ppm


def _to_screen(wall: Wall, ppm: float, view: View) -> Floats:
    """The 3x3 map from texture pixels to picture pixels."""
    long = float(np.hypot(wall.x1 - wall.x0, wall.y1 - wall.y0)) * ppm
    dx, dy = (wall.x1 - wall.x0) / long, (wall.y1 - wall.y0) / long
    world = np.array([[dx, 0, wall.x0], [dy, 0, wall.y0], [0, -1 / ppm, wall.height - view.eye]])
    turn = np.array([[1, 0, 0], [0, -view.sin, -view.cos], [0, view.cos, -view.sin]])
    lens = np.array([[view.focal, 0, view.width / 2], [0, view.focal, view.height / 2], [0, 0, 1]])
    return floats(lens @ turn @ world)


def _corners(wall: Wall, view: View) -> tuple[Floats, Floats]:
    ends = ((wall.x0, wall.y0), (wall.x1, wall.y1))
    points = [(*ends[0], 0), (*ends[1], 0), (*ends[1], wall.height), (*ends[0], wall.height)]
    return view.project(floats(points))


def wall_sprites(wall: Wall, view: View, lit: bool) -> list[Sprite]:
    corners, depth = _corners(wall, view)
    low = np.maximum(np.floor(corners.min(axis=0)) - 1, 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + 1, [view.width, view.height]).astype(int)
    w, h = (int(v) for v in high - low)
    if w < 2 or h < 2 or float(depth.min()) < 0.45:
        return []
    canvas, ppm = _texture(wall, lit, view.focal / float(depth.min()) * 1.1)
    shift = floats([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
    picture = cv2.warpPerspective(
        canvas,
        floats(shift @ _to_screen(wall, ppm, view)),
        (w, h),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    alpha = _mask(corners - low, w, h)
    colour = picture[..., :3] * (alpha[..., None] / np.float32(255))
    glow = picture[..., 3] * (alpha / np.float32(255)) if lit else None
    distance = max(float(np.hypot(wall.x0, wall.y0)), float(np.hypot(wall.x1, wall.y1)), 0.0)
    body = Sprite(int(low[0]), int(low[1]), colour, alpha, glow, distance)
    return [*_roof(wall, view, distance), body]


def _mask(corners: Floats, w: int, h: int) -> Floats:
    mask = np.zeros((h, w), dtype=np.uint8)
    cv2.fillConvexPoly(mask, fixed(np.clip(corners, -4000, 4000)), (255,), cv2.LINE_AA, 4)
    return floats(mask) / 255


def _roof(wall: Wall, view: View, distance: float) -> list[Sprite]:
    """A pitched roof that rises away from the eaves, in courses of tiles."""
    if not wall.roof:
        return []
    over, back = 0.35, 2.4
    at = floats(
        [
            (wall.x0 - over, wall.y0, wall.height),
            (wall.x1 + over, wall.y1, wall.height),
            (wall.x1 - 0.3, wall.y1 + back, wall.height + wall.roof),
            (wall.x0 + 0.3, wall.y0 + back, wall.height + wall.roof),
        ]
    )
    corners, _ = view.project(at)
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + 1, [view.width, view.height]).astype(int)
    w, h = (int(v) for v in high - low)
    if w < 2 or h < 2:
        return []
    alpha = _mask(corners - low, w, h)
    rows = (np.arange(h, dtype=np.float32) % max(h / 14, 2)) / max(h / 14, 2)
    tone = (0.85 + 0.22 * rows)[:, None] * (1 + 0.07 * noise_patch(h, w, wall.seed % 401, 0.8, 1))
    colour = (tone * alpha)[..., None] * floats(wall.roof_colour)
    return [Sprite(int(low[0]), int(low[1]), colour, alpha, None, distance + 0.1)]
