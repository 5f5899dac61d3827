"""Building blocks that the layouts of all places share."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from ai.demo.figures import pick
from ai.demo.plans import Actor, Camera, Colour, Strip, Wall, Zone

Rng = np.random.Generator
GREENS: tuple[Colour, ...] = (
    (0.27, 0.4, 0.17),
    (0.34, 0.44, 0.2),
    (0.2, 0.34, 0.18),
    (0.42, 0.46, 0.2),
    (0.46, 0.36, 0.16),
)
OBJECTS: tuple[Colour, ...] = (
    (0.2, 0.3, 0.22),
    (0.25, 0.28, 0.34),
    (0.4, 0.3, 0.22),
    (0.5, 0.48, 0.44),
    (0.5, 0.2, 0.16),
    (0.2, 0.32, 0.45),
)
WOODS: tuple[Colour, ...] = (
    (0.55, 0.42, 0.3),
    (0.4, 0.29, 0.2),
    (0.82, 0.8, 0.75),
    (0.35, 0.4, 0.36),
    (0.5, 0.46, 0.4),
)
RENDERS: tuple[Colour, ...] = (
    (0.82, 0.77, 0.68),
    (0.7, 0.42, 0.32),
    (0.6, 0.36, 0.28),
    (0.66, 0.68, 0.68),
    (0.86, 0.85, 0.82),
    (0.74, 0.62, 0.45),
    (0.5, 0.58, 0.6),
    (0.62, 0.66, 0.55),
)
TRIMS: tuple[Colour, ...] = ((0.92, 0.91, 0.88), (0.3, 0.3, 0.32), (0.5, 0.38, 0.28), (0.85, 0.82, 0.74))
ROOFS: tuple[Colour, ...] = ((0.45, 0.26, 0.2), (0.32, 0.3, 0.31), (0.4, 0.34, 0.28), (0.26, 0.27, 0.3))

HOUSES = ("brick", "siding", "stucco", "stucco")
FRONT = ("window", "window", "door", "garage", "none")
PAVINGS = ("concrete", "gravel", "bricks", "slabs", "asphalt")

PEOPLE = ("person",)
PETS = ("dog", "cat")
ON_FOOT = ("person", "dog", "cat")
MOTORS = ("car", "truck")


def between(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def one_of(rng: Rng, *names: str) -> str:
    return str(rng.choice(names))


def camera(
    rng: Rng, height: tuple[float, float], focal: tuple[float, float], horizon: tuple[float, float]
) -> Camera:
    return Camera(between(rng, *height), between(rng, *focal), between(rng, *horizon))


def sign(rng: Rng) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


def prop(
    kind: str,
    x: float,
    y: float,
    rng: Rng,
    palette: tuple[Colour, ...] = OBJECTS,
    *,
    heading: float | None = None,
    style: str = "",
    scale: float | None = None,
) -> Actor:
    turn = between(rng, -math.pi, math.pi) if heading is None else heading
    size = between(rng, 0.85, 1.2) if scale is None else scale
    genes = tuple(float(g) for g in rng.uniform(-1, 1, 2))
    return Actor(kind, style, x, y, turn, size, colours=(pick(rng, palette),), genes=genes)


def green(kind: str, x: float, y: float, rng: Rng, scale: tuple[float, float] = (0.75, 1.4)) -> Actor:
    return prop(kind, x, y, rng, GREENS, scale=between(rng, *scale))


def row_of(
    kind: str,
    start: tuple[float, float],
    end: tuple[float, float],
    step: float,
    rng: Rng,
    palette: tuple[Colour, ...] = GREENS,
    style: str = "",
    scale: tuple[float, float] = (0.9, 1.1),
) -> list[Actor]:
    """The same thing again and again along a line: a hedge, a fence, an avenue."""
    long = math.hypot(end[0] - start[0], end[1] - start[1])
    count = max(int(long / step), 1)
    colour = pick(rng, palette)
    turn = math.atan2(end[1] - start[1], end[0] - start[0])
    places = [((i + 0.5) / count) for i in range(count)]
    return [
        Actor(
            kind,
            style,
            start[0] + (end[0] - start[0]) * t,
            start[1] + (end[1] - start[1]) * t,
            turn,
            between(rng, *scale),
            colours=(colour,),
            genes=(between(rng, -1, 1), between(rng, -1, 1)),
        )
        for t in places
    ]


def wall(
    rng: Rng,
    a: tuple[float, float],
    b: tuple[float, float],
    height: float,
    styles: tuple[str, ...],
    openings: tuple[str, ...],
    palette: tuple[Colour, ...] = RENDERS,
    roof: float = 0.0,
) -> Wall:
    style = styles[int(rng.integers(len(styles)))]
    return Wall(
        *a,
        *b,
        height,
        style,
        pick(rng, palette),
        pick(rng, TRIMS),
        openings,
        int(rng.integers(1 << 30)),
        roof,
        pick(rng, ROOFS),
    )


def terrace(
    rng: Rng, y: float, half: float, styles: tuple[str, ...], kinds: tuple[str, ...], roofs: bool = True
) -> list[Wall]:
    """A row of house fronts facing the camera, each of its own height and colour, with gaps."""
    walls, x = [], -half + between(rng, -3, 0)
    while x < half:
        wide = between(rng, 5.5, 10.5)
        names = tuple(str(n) for n in rng.choice(kinds, max(int(wide / 2.4), 2)))
        roof = between(rng, 1.2, 2.4) if roofs and rng.random() < 0.75 else 0.0
        at = y + between(rng, 0, 0.8)
        walls.append(wall(rng, (x, at), (x + wide, at), between(rng, 3.0, 6.4), styles, names, roof=roof))
        x += wide + (between(rng, 0.4, 4.0) if rng.random() < 0.5 else 0.0)
    return walls


def scattered(
    rng: Rng, kinds: tuple[str, ...], count: int, xs: tuple[float, float], ys: tuple[float, float]
) -> list[Actor]:
    return [green(one_of(rng, *kinds), between(rng, *xs), between(rng, *ys), rng) for _ in range(count)]


def strip(
    rng: Rng,
    axis: Literal["along", "across"],
    centre: float,
    half: float,
    *materials: str,
    slope: float = 0.0,
    bend: float = 0.0,
) -> Strip:
    """A path of one of these materials, in a shade of its own; slope and bend are the most it may have."""
    return Strip(
        axis,
        centre,
        half,
        one_of(rng, *materials),
        between(rng, -1, 1),
        between(rng, -slope, slope),
        between(rng, bend * 0.3, bend),
        between(rng, 0.2, 0.45),
        between(rng, 0, 6),
    )


def road_across(rng: Rng, y: float, half: float, walk: float) -> tuple[Strip, ...]:
    """A road from left to right with a pavement on each side."""
    tint, slope = between(rng, -0.5, 0.5), between(rng, -0.03, 0.03)
    paving = one_of(rng, "slabs", "concrete", "bricks")
    sides = [Strip("across", y + s * (half + walk / 2), walk / 2 + 0.1, paving, tint, slope) for s in (-1, 1)]
    marks = one_of(rng, "dashes", "both", "edges", "")
    return (*sides, Strip("across", y, half, "asphalt", tint, slope, kerb=0.16, lines=marks))


def clutter(rng: Rng, x: float, ys: tuple[float, float], most: int) -> list[Actor]:
    """Up to so many everyday things, about in a line away from the camera."""
    kinds = ("bin", "bin", "planter", "mailbox", "crate", "bollard")
    return [
        prop(one_of(rng, *kinds), x + between(rng, -0.6, 0.6), between(rng, *ys), rng)
        for _ in range(int(rng.integers(0, most + 1)))
    ]


def lane(kinds: tuple[str, ...], y: float, half: float, weight: float, reach: float = 40.0) -> Zone:
    """A band from left to right; who is in it goes left or right."""
    return Zone(kinds, -reach, reach, y - half, y + half, 0.0, weight)


def avenue(kinds: tuple[str, ...], x: float, half: float, y0: float, y1: float, weight: float) -> Zone:
    """A band away from the camera; who is in it comes or goes."""
    return Zone(kinds, x - half, x + half, y0, y1, math.pi / 2, weight)
