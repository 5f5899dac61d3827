"""The three things every figure is made of: round blobs, flat faces and hulls of points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ai.demo.plans import Colour, Floats, floats

Point = tuple[float, float, float]


class Part(NamedTuple):
    kind: str  # "blob": hull of spheres; "face": flat polygon; "hull": hull of points
    points: Floats
    radii: Floats
    colour: Colour
    normal: Floats | None = None
    emit: float = 0.0
    group: int = 0  # solids that are sorted as a whole
    layer: int = 0  # within a group, painted in this order
    nudge: float = 0.0  # metres added to its distance, for sorting


def blob(
    points: Sequence[Point],
    radii: Sequence[float] | float,
    colour: Colour,
    *,
    emit: float = 0.0,
    group: int = 0,
    layer: int = 0,
    nudge: float = 0.0,
) -> Part:
    spread = [radii] * len(points) if isinstance(radii, float | int) else list(radii)
    return Part("blob", floats(points), floats(spread), colour, None, emit, group, layer, nudge)


def chain(
    points: Sequence[Point], radii: Sequence[float], colour: Colour, *, nudge: float = 0.0, layer: int = 0
) -> list[Part]:
    """A bending limb: one tapered piece between each two neighbouring points."""
    return [
        blob(points[i : i + 2], radii[i : i + 2], colour, nudge=nudge, layer=layer)
        for i in range(len(points) - 1)
    ]


def _outward(points: Sequence[Point], inside: Point) -> Floats:
    """The face's unit normal, away from the inside; plain floats, for numpy is slow on threes."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = points[0], points[1], points[2]
    ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    n = len(points)
    mx, my, mz = (sum(p[i] for p in points) / n - inside[i] for i in range(3))
    size = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
    size = -size if nx * mx + ny * my + nz * mz < 0 else size
    return np.array([nx / size, ny / size, nz / size], dtype=np.float32)


def face(
    points: Sequence[Point],
    colour: Colour,
    inside: Point | None = None,
    *,
    emit: float = 0.0,
    group: int = 0,
    layer: int = 0,
) -> Part:
    """A flat polygon; with a point inside its solid, it is hidden when it looks away."""
    corners = floats(points)
    normal = None
    if inside is not None:
        normal = _outward(points, inside)
    return Part("face", corners, np.zeros(len(corners), np.float32), colour, normal, emit, group, layer)


def hull(
    points: Sequence[Point],
    colour: Colour,
    *,
    emit: float = 0.0,
    group: int = 0,
    layer: int = 0,
    nudge: float = 0.0,
) -> Part:
    corners = floats(points)
    return Part("hull", corners, np.zeros(len(corners), np.float32), colour, None, emit, group, layer, nudge)


def ring(x: float, y: float, z: float, radius: float, count: int = 16) -> list[Point]:
    """An upright circle that a wheel at (x, y, z) makes, seen from its side."""
    steps = [2 * math.pi * i / count for i in range(count)]
    return [(x + radius * math.cos(a), y, z + radius * math.sin(a)) for a in steps]


def box(
    x0: float,
    x1: float,
    y0: float,
    y1: float,
    z0: float,
    z1: float,
    colour: Colour,
    *,
    group: int = 0,
    layer: int = 0,
) -> list[Part]:
    """A cuboid: its top and four sides."""
    inside = ((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2)
    a, b, c, d = (x0, y0), (x1, y0), (x1, y1), (x0, y1)
    sides = [[(*p, z0), (*q, z0), (*q, z1), (*p, z1)] for p, q in ((a, b), (b, c), (c, d), (d, a))]
    top = [(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)]
    return [face(s, colour, inside, group=group, layer=layer) for s in [*sides, top]]


def extruded(
    profile: Sequence[tuple[float, float]],
    half: Sequence[float],
    colour: Colour,
    *,
    group: int = 0,
    layer: int = 0,
) -> list[Part]:
    """A solid with this outline seen from its side; `half` is its half width at each corner."""
    n = len(profile)
    inside = (sum(p[0] for p in profile) / n, 0.0, sum(p[1] for p in profile) / n)
    left = [(x, w, z) for (x, z), w in zip(profile, half, strict=True)]
    right = [(x, -w, z) for (x, z), w in zip(profile, half, strict=True)]
    skins = [[left[i], left[(i + 1) % n], right[(i + 1) % n], right[i]] for i in range(n)]
    return [face(s, colour, inside, group=group, layer=layer) for s in [left, right, *skins]]
