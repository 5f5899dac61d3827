"""What every motor vehicle has: wheels, lamps, plates, and flat panels on its sides and ends."""

from __future__ import annotations

import math

from ai.demo.paint import toned
from ai.demo.plans import Colour
from ai.demo.shapes import Part, Point, face, hull, ring

GLASS: Colour = (0.13, 0.17, 0.21)
TYRE: Colour = (0.07, 0.07, 0.075)
RIM: Colour = (0.58, 0.59, 0.61)
DARK: Colour = (0.09, 0.09, 0.1)
Span = tuple[float, float]


def side_panel(y: float, xs: Span, zs: Span, colour: Colour, *, group: int = 0, layer: int = 0) -> Part:
    """An upright rectangle on a side of the vehicle."""
    corners = [(xs[0], y, zs[0]), (xs[1], y, zs[0]), (xs[1], y, zs[1]), (xs[0], y, zs[1])]
    return face(corners, colour, ((xs[0] + xs[1]) / 2, 0.0, zs[0]), group=group, layer=layer)


def end_panel(
    x: float,
    out: int,
    ys: Span,
    zs: Span,
    colour: Colour,
    *,
    emit: float = 0.0,
    group: int = 0,
    layer: int = 0,
) -> Part:
    """An upright rectangle on the front (out = 1) or the back (out = -1)."""
    corners = [(x, ys[0], zs[0]), (x, ys[1], zs[0]), (x, ys[1], zs[1]), (x, ys[0], zs[1])]
    return face(corners, colour, (x - 2.0 * out, 0.0, zs[0]), emit=emit, group=group, layer=layer)


def _wheel(x: float, y: float, radius: float, group: int) -> list[Part]:
    """A tyre with depth, its arch above it, and the rim on the outside."""
    sign = math.copysign(1.0, y)
    inside: Point = (x, 0.0, radius)
    parts = [hull(ring(x, y, radius, radius) + ring(x, y - sign * 0.2, radius, radius), TYRE, group=group)]
    discs = ((1.2, DARK), (1.0, TYRE), (0.64, RIM), (0.34, toned(RIM, 0.55)))
    for i, (share, colour) in enumerate(discs):
        rise = radius * (1.04 if i == 0 else 1.0)
        circle = ring(x, y + sign * 0.004 * (i + 1), rise, radius * share)
        parts.append(face(circle, colour, inside, group=group, layer=3 + i))
    return parts


def wheels(stations: tuple[float, ...], half: float, radius: float, group: int = 0) -> list[Part]:
    return [part for x in stations for y in (half, -half) for part in _wheel(x, y, radius, group)]


def plate(x: float, z: float, out: int, group: int = 0) -> Part:
    """A number plate; it shines back at an infrared lamp."""
    return end_panel(
        x, out, (-0.26, 0.26), (z, z + 0.12), (0.86, 0.85, 0.74), emit=0.55, group=group, layer=4
    )


def lamps(
    x: float, z: float, half: float, size: Span, colour: Colour, out: int, emit: float, *, group: int = 0
) -> list[Part]:
    """Two lamps, mirrored."""
    w, h = size
    parts = []
    for s in (1, -1):
        corners = [
            (x, s * (half - w), z),
            (x, s * half, z),
            (x - out * 0.1, s * (half + 0.004), z + h),
            (x, s * (half - w), z + h * 0.85),
        ]
        parts.append(face(corners, colour, (x - out * 2.0, 0.0, z), emit=emit, group=group, layer=4))
    return parts
