"""Things that furnish a place and are no class of the detector."""

from __future__ import annotations

import math

from ai.demo.paint import toned
from ai.demo.plans import Actor, Colour
from ai.demo.shapes import Part, Point, blob, box, extruded, face, hull, ring

WARM: Colour = (1.0, 0.86, 0.6)
STEEL: Colour = (0.34, 0.35, 0.37)


def _bin(a: Actor) -> list[Part]:
    c = a.colours[0]
    lid = [(-0.34, 1.0), (-0.3, 1.1), (0.3, 1.07), (0.34, 1.0)]
    body = [(-0.26, 0.06), (-0.32, 1.0), (0.32, 1.0), (0.26, 0.06)]
    return extruded(body, [0.24, 0.29, 0.29, 0.24], c) + extruded(lid, [0.31] * 4, toned(c, 0.8), layer=1)


def _lamp(a: Actor) -> list[Part]:
    high = 3.9
    glow = 1.0 if a.lit else 0.0
    head = WARM if a.lit else (0.75, 0.75, 0.72)
    return [
        blob([(0, 0, 0), (0, 0, high)], [0.07, 0.045], STEEL),
        blob([(0, 0, high), (0.5, 0, high + 0.18)], 0.04, STEEL),
        hull(
            [(x, y, high + z) for x in (0.35, 0.85) for y in (-0.12, 0.12) for z in (0.1, 0.2)],
            head,
            emit=glow,
            layer=1,
        ),
    ]


def _post(a: Actor) -> list[Part]:
    return [blob([(0, 0, 0), (0, 0, 2.7)], 0.05, a.colours[0])]


def _column(a: Actor) -> list[Part]:
    c = a.colours[0]
    return box(-0.11, 0.11, -0.11, 0.11, 0, 3.4, c) + box(
        -0.16, 0.16, -0.16, 0.16, 0, 0.22, toned(c, 0.92), layer=1
    )


def _bollard(a: Actor) -> list[Part]:
    return [
        blob([(0, 0, 0), (0, 0, 0.85)], 0.085, a.colours[0]),
        blob([(0, 0, 0.66), (0, 0, 0.72)], 0.09, (0.88, 0.88, 0.84), layer=1),
    ]


def _mailbox(a: Actor) -> list[Part]:
    body = [(-0.26, 1.0), (-0.26, 1.2), (-0.15, 1.3), (0.15, 1.3), (0.26, 1.2), (0.26, 1.0)]
    return [
        *box(-0.05, 0.05, -0.05, 0.05, 0, 1.0, (0.42, 0.33, 0.24)),
        *extruded(body, [0.12] * 6, a.colours[0], layer=1),
    ]


def _planter(a: Actor) -> list[Part]:
    pot = extruded([(-0.22, 0), (-0.3, 0.45), (0.3, 0.45), (0.22, 0)], [0.22, 0.3, 0.3, 0.22], a.colours[0])
    leaf: Colour = (0.24, 0.4, 0.2)
    bloom = toned((0.8, 0.35, 0.4), 0.9 + 0.2 * a.genes[0])
    spots = [(0.24 * math.cos(2.4 * i), 0.24 * math.sin(2.4 * i), 0.5 + 0.05 * (i % 5)) for i in range(11)]
    leaves = [
        blob([(0, 0, 0.4), (x, y, z)], [0.1, 0.1], toned(leaf, 0.8 + 0.05 * (i % 6)), layer=1)
        for i, (x, y, z) in enumerate(spots)
    ]
    return [
        *pot,
        *leaves,
        *[blob([(x * 1.1, y * 1.1, z + 0.12)], 0.05, bloom, layer=2) for x, y, z in spots[::2]],
    ]


def _crate(a: Actor) -> list[Part]:
    c = a.colours[0]
    return box(-0.45, 0.45, -0.35, 0.35, 0, 0.6, c) + box(
        -0.25, 0.4, -0.3, 0.25, 0.6, 1.0, toned(c, 1.12), layer=1
    )


def _bench(a: Actor) -> list[Part]:
    wood = a.colours[0]
    legs = [p for y in (-0.65, 0.65) for p in box(-0.2, 0.2, y - 0.04, y + 0.04, 0, 0.43, STEEL)]
    return (
        legs
        + box(-0.22, 0.22, -0.8, 0.8, 0.43, 0.49, wood, layer=1)
        + box(-0.26, -0.2, -0.8, 0.8, 0.55, 0.9, toned(wood, 0.92), layer=1)
    )


def _bale(_: Actor) -> list[Part]:
    straw: Colour = (0.78, 0.65, 0.36)
    ends = [ring(0, y, 0.62, 0.62, 18) for y in (-0.6, 0.6)]
    return [
        hull([*ends[0], *ends[1]], toned(straw, 0.85)),
        *[face(e, straw, (0, 0, 0.62), layer=1) for e in ends],
        *[
            face(ring(0, y, 0.62, 0.36, 14), toned(straw, 0.84), (0, 0, 0.62), layer=2)
            for y in (-0.605, 0.605)
        ],
    ]


def _dumpster(a: Actor) -> list[Part]:
    c = a.colours[0]
    body = [(-0.6, 0.15), (-0.75, 1.25), (0.75, 1.25), (0.6, 0.15)]
    ribs = [
        p
        for y in (-0.6, 0.0, 0.6)
        for p in box(-0.76, 0.76, y - 0.04, y + 0.04, 0.3, 1.2, toned(c, 0.85), layer=1)
    ]
    return (
        extruded(body, [1.0] * 4, c)
        + ribs
        + box(-0.78, 0.78, -1.03, 1.03, 1.25, 1.33, toned(c, 0.6), layer=2)
    )


def _fence(a: Actor) -> list[Part]:
    """One panel, two metres and a half along the local x axis."""
    c = a.colours[0]
    rails = [blob([(-1.25, 0, z), (1.25, 0, z)], 0.035, toned(c, 0.88)) for z in (0.3, 0.8)]
    if a.style == "rail":
        return (
            [blob([(x, 0, 0), (x, 0, 1.2)], 0.07, c, layer=1) for x in (-1.2, 1.2)]
            + rails
            + [blob([(-1.25, 0, 1.1), (1.25, 0, 1.1)], 0.05, c)]
        )
    if a.style == "mesh":
        return [blob([(x, 0, 0), (x, 0, 1.5)], 0.04, STEEL, layer=1) for x in (-1.2, 1.2)] + [
            blob([(-1.25, 0, 1.45), (1.25, 0, 1.45)], 0.025, STEEL)
        ]
    pales = [
        hull(
            [
                (x - 0.05, 0, 0.05),
                (x + 0.05, 0, 0.05),
                (x - 0.05, 0, 0.95),
                (x + 0.05, 0, 0.95),
                (x, 0, 1.05),
            ],
            c,
            layer=1,
        )
        for x in (-1.15 + 0.19 * i for i in range(13))
    ]
    return [*rails, *pales]


def _railing(a: Actor) -> list[Part]:
    c = a.colours[0]
    bars = [blob([(x, 0, 0.1), (x, 0, 0.95)], 0.025, c) for x in (-0.9 + 0.15 * i for i in range(13))]
    return [
        *bars,
        blob([(-1, 0, 0.97), (1, 0, 0.97)], 0.05, toned(c, 1.06), layer=1),
        blob([(-1, 0, 0.12), (1, 0, 0.12)], 0.035, c),
    ]


def _steps(a: Actor) -> list[Part]:
    c = a.colours[0]
    return [
        p
        for i in range(3)
        for p in box(
            -0.5 - 0.3 * (2 - i), 0.5, -0.9, 0.9, 0.17 * i, 0.17 * (i + 1), toned(c, 0.9 + 0.06 * i), layer=i
        )
    ]


def _sign(a: Actor) -> list[Part]:
    board = [(0.02, y, z) for y, z in ((-0.3, 1.9), (0.3, 1.9), (0.3, 2.5), (-0.3, 2.5))]
    inner = [(0.03, y * 0.6, z) for y, z in ((-0.3, 2.05), (0.3, 2.05), (0.3, 2.35), (-0.3, 2.35))]
    return [
        blob([(0, 0, 0), (0, 0, 2.4)], 0.035, STEEL),
        face(board, a.colours[0], layer=1),
        face(inner, (0.88, 0.88, 0.85), layer=2),
    ]


def _trough(a: Actor) -> list[Part]:
    water: list[Point] = [(-0.92, -0.24, 0.56), (0.92, -0.24, 0.56), (0.92, 0.24, 0.56), (-0.92, 0.24, 0.56)]
    return [*box(-1.0, 1.0, -0.3, 0.3, 0.1, 0.55, a.colours[0]), face(water, (0.3, 0.38, 0.42), layer=1)]


PROPS = {
    "bin": _bin,
    "lamp": _lamp,
    "post": _post,
    "column": _column,
    "bollard": _bollard,
    "mailbox": _mailbox,
    "planter": _planter,
    "crate": _crate,
    "bench": _bench,
    "bale": _bale,
    "dumpster": _dumpster,
    "fence": _fence,
    "railing": _railing,
    "steps": _steps,
    "sign": _sign,
    "trough": _trough,
}
