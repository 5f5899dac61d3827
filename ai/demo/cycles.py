"""Bicycles: two wheels in one upright plane, a tube frame, bars and a saddle."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ai.demo.paint import toned
from ai.demo.plans import Actor, Colour
from ai.demo.shapes import Part, Point, blob, box

RUBBER: Colour = (0.08, 0.08, 0.085)
METAL: Colour = (0.62, 0.63, 0.65)


@dataclass(frozen=True, slots=True)
class Build:
    base: float  # half the distance between the hubs
    wheel: float
    tube: float  # radius of the frame's tubes
    tyre: float
    top: float  # how high the top tube meets the saddle's, 0 (step-through) .. 1
    bars: str  # flat, drop, swept
    extras: tuple[str, ...] = ()


BUILDS: dict[str, Build] = {
    "city": Build(0.53, 0.34, 0.02, 0.022, 0.85, "swept", ("guards", "rack")),
    "road": Build(0.5, 0.34, 0.016, 0.014, 1.0, "drop"),
    "mountain": Build(0.55, 0.345, 0.024, 0.034, 0.8, "flat"),
    "child": Build(0.42, 0.26, 0.022, 0.024, 0.7, "flat", ("guards",)),
    # Held out.
    "step_through": Build(0.55, 0.33, 0.024, 0.024, 0.12, "swept", ("guards", "rack", "basket")),
    "cargo": Build(0.62, 0.3, 0.026, 0.03, 0.3, "flat", ("rack", "crate")),
}


def _hoop(x: float, radius: float, thick: float, colour: Colour, count: int = 20) -> list[Part]:
    points: list[Point] = [
        (
            x + radius * math.cos(2 * math.pi * i / count),
            0.0,
            radius + thick + radius * math.sin(2 * math.pi * i / count),
        )
        for i in range(count)
    ]
    return [blob([points[i], points[(i + 1) % count]], thick, colour) for i in range(count)]


def _tubes(pairs: list[tuple[Point, Point]], thick: float, colour: Colour) -> list[Part]:
    return [blob([a, b], thick, colour, layer=2) for a, b in pairs]


def _wheel(x: float, b: Build, turn: float) -> list[Part]:
    parts = _hoop(x, b.wheel - b.tyre, b.tyre, RUBBER) + _hoop(x, b.wheel - b.tyre * 2.6, 0.008, METAL, 14)
    centre: Point = (x, 0.0, b.wheel)
    for i in range(5):
        a, r = turn + math.pi * i / 5, b.wheel - 2 * b.tyre
        dx, dz = r * math.cos(a), r * math.sin(a)
        parts.append(blob([(x - dx, 0.0, b.wheel - dz), (x + dx, 0.0, b.wheel + dz)], 0.004, METAL, layer=1))
    return [*parts, blob([centre], 0.035, METAL, layer=1)]


def _bars(b: Build, head: Point) -> list[Part]:
    x, _, z = head
    grip = {"flat": (0.02, 0.3, 0.02), "drop": (0.12, 0.2, -0.1), "swept": (-0.14, 0.28, 0.06)}[b.bars]
    parts: list[Part] = []
    for s in (1, -1):
        elbow, end = (x + 0.04, s * grip[1] * 0.8, z + 0.02), (x + grip[0], s * grip[1], z + grip[2])
        parts += [blob([head, elbow], 0.015, METAL, layer=3), blob([elbow, end], 0.02, RUBBER, layer=3)]
    return parts


def _extras(b: Build, genes: tuple[float, ...]) -> list[Part]:
    parts: list[Part] = []
    if "guards" in b.extras:
        for x in (-b.base, b.base):
            arc = [
                (x + (b.wheel + 0.03) * math.cos(a), 0.0, b.wheel + (b.wheel + 0.03) * math.sin(a))
                for a in (0.5, 1.1, 1.7, 2.3, 2.9)
            ]
            parts += [blob(arc[i : i + 2], 0.016, (0.2, 0.2, 0.22), layer=1) for i in range(4)]
    if "rack" in b.extras:
        z = b.wheel * 2 + 0.09
        parts.append(
            blob([(-b.base - 0.2, 0, z), (-b.base + 0.22, 0, z)], 0.025, (0.16, 0.16, 0.17), layer=2)
        )
    if "basket" in b.extras:
        parts += box(
            b.base - 0.02,
            b.base + 0.28,
            -0.17,
            0.17,
            b.wheel * 2 + 0.1,
            b.wheel * 2 + 0.32,
            (0.52, 0.4, 0.26),
            layer=4,
        )
    if "crate" in b.extras:
        parts += box(
            b.base - 0.25,
            b.base + 0.25,
            -0.24,
            0.24,
            b.wheel * 2 + 0.08,
            b.wheel * 2 + 0.4 + 0.05 * genes[6],
            (0.3, 0.36, 0.4),
            layer=4,
        )
    return parts


def _cranks(hub: Point, phase: float) -> list[Part]:
    swing = phase * 2 * math.pi
    parts: list[Part] = []
    for s in (1, -1):
        x, y, z = hub[0] + s * 0.17 * math.cos(swing), s * 0.1, hub[2] + s * 0.17 * math.sin(swing)
        parts.append(blob([(hub[0], s * 0.05, hub[2]), (x, y, z)], 0.013, METAL, layer=3))
        parts.append(blob([(x, y, z), (x + 0.06, y, z)], 0.02, RUBBER, layer=3))
    return parts


def _saddle(x: float, z: float, colour: Colour) -> Part:
    return blob(
        [(x - 0.12, 0.05, z), (x - 0.12, -0.05, z), (x + 0.14, 0, z)], [0.035, 0.035, 0.02], colour, layer=3
    )


def bicycle(actor: Actor) -> list[Part]:
    """Colours: frame, saddle."""
    colour, saddle_colour = actor.colours
    b, g = BUILDS[actor.style], actor.genes
    w, thick = b.wheel, b.tube * (1 + 0.2 * g[5])
    rear, front, crank = (-b.base, 0.0, w), (b.base, 0.0, w), (-0.08, 0.0, w * 0.88)
    seat = (-0.24 + 0.02 * g[0], 0.0, w + 0.42 + 0.05 * g[1])
    saddle = (-0.27, 0.0, seat[2] + 0.17 + 0.04 * g[2])
    head, fork = (b.base - 0.16, 0.0, w + 0.46 + 0.04 * g[3]), (b.base - 0.11, 0.0, w + 0.28)
    meets = (crank[0] + (seat[0] - crank[0]) * b.top, 0.0, crank[2] + (seat[2] - crank[2]) * b.top)
    bar = (head[0] - 0.01, 0.0, head[2] + 0.14 + 0.04 * g[4])
    main = [(seat, crank), (meets, head), (crank, fork), (crank, rear), (seat, rear), (head, fork)]
    lamp = blob([(-b.base - 0.05, 0, w * 2 + 0.02)], 0.03, (0.75, 0.1, 0.08), emit=0.8, layer=3)
    return [
        *_wheel(-b.base, b, actor.phase * 2),
        *_wheel(b.base, b, actor.phase * 2 + 0.4),
        *_tubes(main, thick, colour),
        *_tubes([(fork, front)], thick * 0.9, toned(colour, 0.85)),
        *_tubes([(seat, saddle), (head, bar)], thick * 0.8, METAL),
        _saddle(saddle[0], saddle[2], saddle_colour),
        *_cranks(crank, actor.phase),
        *_bars(b, bar),
        *_extras(b, g),
        lamp,
    ]
