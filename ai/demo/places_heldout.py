"""Where held-out scenes play: none of this is ever seen in training."""

from __future__ import annotations

import math

from ai.demo.layout_kit import (
    MOTORS,
    ON_FOOT,
    WOODS,
    Rng,
    avenue,
    between,
    camera,
    lane,
    one_of,
    prop,
    row_of,
    scattered,
    sign,
    wall,
)
from ai.demo.plans import Actor, Colour, Layout, Strip, Wall, Zone

SHEETS: tuple[Colour, ...] = ((0.55, 0.6, 0.64), (0.7, 0.7, 0.66), (0.36, 0.44, 0.5), (0.62, 0.52, 0.42))
BARNS: tuple[Colour, ...] = ((0.5, 0.17, 0.13), (0.42, 0.24, 0.16), (0.36, 0.33, 0.3))
STORE = ("shop", "none", "shop", "garage", "none", "shop")
BLANK = ("garage", "none", "door", "garage", "none")


def parking_lot(rng: Rng) -> Layout:
    """Rows of bays before a long low store."""
    front = between(rng, 24, 36)
    rows = [between(rng, 8, 10), between(rng, 17, 19)]
    strips = tuple(Strip("across", y, 2.4, "worn_asphalt", 0.1, lines="bays") for y in rows)
    store = wall(rng, (-26, front), (26, front), between(rng, 4.5, 6.5), ("panels", "ribs"), STORE, SHEETS)
    island = rows[0] + 4.2
    props = [
        *row_of("bush", (-12, island), (12, island), 4.5, rng, scale=(0.4, 0.7)),
        prop("lamp", between(rng, -7, -2), island, rng, scale=1.2),
        prop("lamp", between(rng, 3, 8), island, rng, scale=1.2),
        prop("sign", between(rng, -5, 5), rows[0] - 3, rng),
        *(prop("bollard", x, front - 1.5, rng) for x in (-6.0, -3.0, 0.0, 3.0, 6.0)),
    ]
    zones = (
        *(Zone(MOTORS, -12, 12, y - 0.6, y + 0.6, math.pi / 2, 1.3) for y in rows),
        lane((*MOTORS, "bicycle"), (rows[0] + rows[1]) / 2 + 1.5, 1.2, 1.0),
        Zone((*ON_FOOT, "bicycle"), -8, 8, 3.5, 14, None, 2.0),
        lane(ON_FOOT, front - 2.5, 1.5, 0.4),
    )
    return Layout(
        camera(rng, (3.4, 5.6), (0.9, 1.4), (0.02, 0.28)),
        "worn_asphalt",
        between(rng, -0.6, 0.6),
        strips,
        (store,),
        tuple(props),
        zones,
        "hills",
    )


def alley(rng: Rng) -> Layout:
    """A loading bay between two blank walls."""
    half, far, s = between(rng, 3.6, 5.2), between(rng, 22, 34), sign(rng)
    walls = [
        wall(rng, (x, 1.8), (x, far), between(rng, 4.5, 7), ("blocks", "panels", "brick"), BLANK, SHEETS)
        for x in (-half, half)
    ]
    walls.append(
        wall(rng, (-half, far), (half, far), between(rng, 4, 7), ("ribs", "blocks"), ("garage",), SHEETS)
    )
    props = [
        prop("dumpster", s * (half - 1.2), between(rng, 8, 14), rng, heading=0.0, scale=0.9),
        prop("bin", -s * (half - 0.6), between(rng, 6, 8), rng),
        *(prop("crate", -s * (half - 0.7), between(rng, *ys), rng, WOODS) for ys in ((9, 12), (13.5, 17))),
        prop("lamp", s * (half - 0.3), between(rng, 10, 16), rng, scale=1.0),
        *(prop("bollard", x, far - 3, rng) for x in (-1.5, 1.5)),
    ]
    zones = (
        avenue(MOTORS, 0.0, half * 0.25, 7, far - 5, 1.6),
        avenue((*ON_FOOT, "bicycle"), 0.0, half * 0.6, 3, far - 2, 2.0),
        Zone(ON_FOOT, -half * 0.6, half * 0.6, 3, 12, None, 1.0),
    )
    return Layout(
        camera(rng, (2.9, 4.4), (0.85, 1.25), (0.0, 0.28)),
        "setts",
        between(rng, -0.6, 0.6),
        (Strip("along", 0.0, 0.25, "concrete", -0.2),),
        tuple(walls),
        tuple(props),
        zones,
        "roofs",
        between(rng, 0.2, 0.7),
    )


def park_path(rng: Rng) -> Layout:
    """A pale path winding over a meadow between trees."""
    path = Strip(
        "along",
        between(rng, -1.5, 1.5),
        between(rng, 1.3, 2.2),
        "fine_gravel",
        0.0,
        between(rng, -0.08, 0.08),
        between(rng, 0.8, 2.2),
        between(rng, 0.1, 0.2),
        between(rng, 0, 6),
    )
    service = Strip("across", between(rng, 17, 22), 2.2, "fine_gravel", -0.4, between(rng, -0.05, 0.05))
    near = [t for t in scattered(rng, ("tree", "bush"), 5, (-13, 13), (9, 15)) if abs(t.x) > 5]
    s = sign(rng)
    props = [
        *scattered(rng, ("tree", "tree", "conifer"), int(rng.integers(5, 10)), (-24, 24), (25, 42)),
        *near,
        prop("bin", s * 3.4, 12.5, rng),
        prop("bench", s * 3.6, between(rng, 8, 11), rng, WOODS, heading=math.pi if s > 0 else 0.0),
        prop("lamp", -s * 3.2, between(rng, 9, 13), rng, scale=0.9),
    ]
    zones = (
        avenue((*ON_FOOT, "bicycle"), path.centre, path.half, 3, 24, 2.0),
        Zone(ON_FOOT, -6, 6, 4, 15, None, 1.5),
        lane((*MOTORS, "bicycle"), service.centre, 0.8, 2.0),
        Zone(("bicycle",), -4, 4, 5, 12, None, 0.6),
    )
    return Layout(
        camera(rng, (2.5, 4.2), (0.85, 1.3), (0.05, 0.3)),
        "meadow",
        between(rng, -0.6, 0.6),
        (service, path),
        (),
        tuple(props),
        zones,
        "trees",
        between(rng, 0, 0.3),
    )


def _farm_props(rng: Rng, side: float, front: float) -> list[Actor]:
    """A rail fence, bales in a loose row, a trough, a lamp by the barn."""
    bales = [
        prop(
            "bale",
            side * (4.5 + 1.7 * i),
            between(rng, front - 3.5, front - 1.5),
            rng,
            scale=between(rng, 0.85, 1.1),
        )
        for i in range(int(rng.integers(2, 5)))
    ]
    return [
        *row_of("fence", (-side * 9, 6), (-side * 9, front), 2.5, rng, WOODS, "rail", (1, 1)),
        *bales,
        prop("trough", -side * between(rng, 3, 6), between(rng, 12, 15), rng, WOODS),
        prop("lamp", side * 3, front - 1, rng, scale=1.0),
        *scattered(rng, ("tree", "tuft", "bush"), 4, (-14, 14), (front - 1, front)),
    ]


def _farm_walls(rng: Rng, side: float, front: float) -> tuple[Wall, ...]:
    """The barn, and a long low stable behind it."""
    left = -side * 2 if side > 0 else -11.0
    barn = wall(
        rng,
        (left, front),
        (left + 13, front),
        between(rng, 4.0, 5.5),
        ("planks",),
        ("none", "garage", "window", "none"),
        BARNS,
        roof=between(rng, 2, 3),
    )
    stable = wall(
        rng,
        (-16, front + 3),
        (16, front + 3),
        2.8,
        ("planks", "blocks"),
        ("door", "none", "window", "door"),
        BARNS,
        roof=1.2,
    )
    return barn, stable


def farm_yard(rng: Rng) -> Layout:
    """Trodden earth before a timber barn, rails and straw."""
    front, side = between(rng, 16, 25), sign(rng)
    track = Strip("across", between(rng, 9, 12), 2.6, "dirt", 0.5, between(rng, -0.08, 0.08), 0.5, 0.2)
    zones = (
        lane((*MOTORS, "bicycle"), track.centre, 1.4, 2.0, 14.0),
        Zone((*ON_FOOT, "bicycle"), -6, 6, 3, front - 4, None, 2.0),
        Zone(MOTORS, -5, 5, 7, front - 5, None, 0.8),
    )
    return Layout(
        camera(rng, (2.7, 4.6), (0.85, 1.3), (0.02, 0.28)),
        "dirt",
        between(rng, -0.6, 0.6),
        (Strip("across", front + 1, 2.0, "meadow", 0.0), track),
        _farm_walls(rng, side, front),
        tuple(_farm_props(rng, side, front)),
        zones,
        one_of(rng, "hills", "trees"),
        between(rng, 0, 0.5),
    )
