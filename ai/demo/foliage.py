"""Trees, bushes and hedges: soft clumps cut out of noise."""

from __future__ import annotations

import cv2
import numpy as np

from ai.demo.paint import Sprite, noise_patch
from ai.demo.plans import Actor, Colour, Floats, floats
from ai.demo.view import View

# Width, height and foot (metres above the ground) of the leafy part, at scale 1.
SIZES: dict[str, tuple[float, float, float]] = {
    "tree": (4.2, 3.8, 2.1),
    "conifer": (2.6, 5.4, 0.5),
    "bush": (1.5, 1.1, 0.0),
    "hedge": (3.2, 1.5, 0.0),
    "tuft": (0.7, 0.35, 0.0),
}


def _envelope(kind: str, h: int, w: int) -> Floats:
    """Positive inside the clump, falling through nought at its rim."""
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, w, dtype=np.float32)[None]
    shapes: dict[str, Floats] = {
        "conifer": 0.05 + 0.42 * (y + 1) - np.abs(x),
        "hedge": np.minimum((1 - np.abs(x)) * 1.5, (y + 1) * 1.1) - 0.3,
        "tuft": (y + 1) * 0.6 - np.abs(x) * 1.1,
        "bush": 0.9 - np.sqrt(x * x + np.maximum(-y, y * 0.6) ** 2),
        "tree": 0.8 - np.sqrt(x * x + y * y),
    }
    return shapes[kind]


def _margin(kind: str, h: int, w: int) -> Floats:
    """Closes the clump before the patch ends, so that no leaf is cut off straight."""
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, w, dtype=np.float32)[None]
    above = (1 - np.abs(y)) if kind == "tree" else 1 + y
    return floats(np.minimum((1 - np.abs(x)) * 2, above * 2) - 0.05)


def foliage_sprite(actor: Actor, view: View, seed: int) -> Sprite | None:
    wide, tall, foot = (v * actor.scale for v in SIZES[actor.kind])
    wide, tall = wide * (1 + 0.25 * actor.genes[0]), tall * (1 + 0.2 * actor.genes[1])
    u, v = view.pixel(actor.x, actor.y, foot)
    depth = actor.y * view.cos + view.eye * view.sin
    w, h = (int(view.focal * m / depth) + 2 for m in (wide, tall))
    left, top = int(u - w / 2), int(v - h)
    if w > 3 * view.width or h > 4 * view.height or left > view.width or left + w < 0 or top > view.height:
        return None
    clump, leaf = max(w, h) / 110, max(w, h) / 320
    coarse = noise_patch(h, w, seed, clump)
    fine = noise_patch(h, w, seed + 7, leaf, 1)
    body = np.minimum(_envelope(actor.kind, h, w) + 0.16 * coarse + 0.09 * fine, _margin(actor.kind, h, w))
    alpha = floats(np.clip(body * min(h, w) / 7 + 0.5, 0, 1))
    shade = 0.72 + 0.16 * coarse + 0.11 * fine + np.linspace(0.25, -0.22, h, dtype=np.float32)[:, None]
    shade += np.linspace(0.1, -0.1, w, dtype=np.float32)[None] - 0.12 * np.clip(0.25 - body, 0, 0.25)
    colour = _leaves(shade, actor.colours[0]) * alpha[..., None]
    sprite = Sprite(left, top, colour, alpha, None, float(np.hypot(actor.x, actor.y)))
    return _with_trunk(sprite, actor, view) if foot > 0.3 else sprite


def _leaves(shade: Floats, colour: Colour) -> Floats:
    """Lit leaves lean to yellow, shaded ones to blue."""
    s = np.clip(shade, 0.25, 1.35)
    return cv2.merge([s * colour[0] * (0.75 + 0.3 * s), s * colour[1], s * colour[2] * (1.2 - 0.25 * s)])


def _with_trunk(crown: Sprite, actor: Actor, view: View) -> Sprite:
    """The same clump with its stem below, down to the ground."""
    u, v = view.pixel(actor.x, actor.y, 0.0)
    h, w = crown.alpha.shape
    extra = max(int(v) - crown.top - h, 0)
    colour: Floats = cv2.copyMakeBorder(crown.colour, 0, extra, 0, 0, cv2.BORDER_CONSTANT)
    alpha: Floats = cv2.copyMakeBorder(crown.alpha, 0, extra, 0, 0, cv2.BORDER_CONSTANT)
    half = max(0.035 * w * (0.6 if actor.kind == "conifer" else 1.0), 0.7)
    middle = u - crown.left
    start = int(h * 0.6)
    rows = np.linspace(0.7, 1.25, h + extra - start, dtype=np.float32)[:, None]
    columns = np.arange(w, dtype=np.float32)[None] + 0.5 - middle
    stem = np.clip(half * rows - np.abs(columns) + 0.5, 0, 1) * (1 - alpha[start:])
    bark = floats([0.3, 0.24, 0.19]) * (0.8 - 0.35 * np.clip(columns / half, -1, 1))[..., None]
    colour[start:] += bark * stem[..., None]
    alpha[start:] += stem
    return Sprite(crown.left, crown.top, colour, alpha, None, crown.distance)
