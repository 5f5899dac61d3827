"""Where training scenes play, close to the house: a porch and a garden."""

from __future__ import annotations

import math

from ai.demo.layout_kit import (
    FRONT,
    HOUSES,
    MOTORS,
    ON_FOOT,
    PAVINGS,
    PEOPLE,
    PETS,
    WOODS,
    Rng,
    avenue,
    between,
    camera,
    clutter,
    lane,
    one_of,
    prop,
    road_across,
    row_of,
    scattered,
    sign,
    strip,
    terrace,
    wall,
)
from ai.demo.plans import Actor, Layout, Wall, Zone


def _porch_props(rng: Rng, side: float, x: float, edge: float, far: float) -> list[Actor]:
    """Rail and column at the deck's edge, planting beyond it."""
    props: list[Actor] = []
    if rng.random() < 0.66:
        props += row_of(
            "railing", (-side * 1.4 + x, edge), (-side * 5.4 + x, edge), 2.0, rng, WOODS, scale=(0.9, 0.9)
        )
    if rng.random() < 0.6:
        props.append(
            prop("column", -side * between(rng, 1.2, 2.2), edge - 0.1, rng, WOODS, heading=0.0, scale=1.0)
        )
    beds = (edge + 2, far - 1)
    return [
        *props,
        *scattered(rng, ("bush", "bush", "tree", "tuft"), int(rng.integers(2, 6)), (-9, -2.5), beds),
        *scattered(rng, ("bush", "conifer", "tuft"), int(rng.integers(1, 4)), (2.5, 9), beds),
        prop("planter", side * 1.5, edge - 0.5, rng, scale=0.9),
        *clutter(rng, -side * 2.2, (edge + 0.5, far - 1), 2),
        prop("lamp", side * 4, far - 0.3, rng),
    ]


def porch(rng: Rng) -> Layout:
    """From under the eaves over a deck and a front lawn to the road."""
    side, edge, x, far = sign(rng), between(rng, 3.0, 4.2), between(rng, -1.2, 1.2), between(rng, 10, 15)
    walk, half = between(rng, 1.4, 2.2), between(rng, 2.8, 3.6)
    road = far + walk + half
    house = wall(
        rng, (side * between(rng, 1.9, 2.8), 1.6), (side * 2.6, edge + 0.3), 3.0, HOUSES, ("door", "window")
    )
    zones = (
        Zone(("person", "dog", "cat"), -1.4, 1.4, 2.4, edge + 1, -math.pi / 2, 1.2),
        avenue((*ON_FOOT, "bicycle"), x, 0.9, edge + 1, far, 1.2),
        Zone(ON_FOOT, -6, 6, edge + 0.8, far - 0.5),
        lane(("person", "bicycle", "dog"), far + walk / 2, walk / 2, 1.0),
        lane((*MOTORS, "bicycle"), road, half * 0.55, 2.2),
    )
    path = strip(rng, "along", x, between(rng, 0.7, 1.2), *PAVINGS, slope=0.15, bend=0.8)
    deck = strip(rng, "across", edge / 2 - 1, edge / 2 + 1, "planks", "slabs", "bricks")
    opposite = terrace(rng, road + half + walk + between(rng, 2, 6), 36, HOUSES, FRONT)
    return Layout(
        camera(rng, (2.4, 3.1), (0.8, 1.15), (0.05, 0.32)),
        "grass",
        between(rng, -1, 1),
        (path, *road_across(rng, road, half, walk), deck),
        (house, *opposite),
        tuple(_porch_props(rng, side, x, edge, far)),
        zones,
        one_of(rng, "trees", "roofs"),
    )


def _garden_walls(rng: Rng, side: float, back: float) -> tuple[Wall, ...]:
    shed = between(rng, 3.5, 8)
    return (
        wall(rng, (-14, back), (14, back), between(rng, 1.5, 2.1), ("planks", "brick", "blocks"), (), WOODS),
        wall(
            rng,
            (side * shed, back - 2.5),
            (side * (shed + 4), back - 2.5),
            2.4,
            ("planks", "siding"),
            ("door", "window"),
            WOODS,
            roof=0.9,
        ),
    )


def _garden_props(rng: Rng, side: float, back: float) -> list[Actor]:
    props = [
        *row_of("bush", (-11, back - 0.7), (11, back - 0.7), 2.4, rng, scale=(0.5, 1.1)),
        *scattered(
            rng, ("tree", "conifer", "bush"), int(rng.integers(2, 5)), (-11, 11), (back - 5, back - 1)
        ),
        *scattered(rng, ("bush", "tuft", "tuft"), int(rng.integers(2, 6)), (-8, 8), (5, back - 3)),
        *clutter(rng, side * 3.5, (4, 9), 2),
        prop("bench", -side * between(rng, 3, 5), back - 3, rng, WOODS, heading=-math.pi / 2),
        prop("lamp", -side * 5, back - 4, rng, scale=0.6),
    ]
    edge = ((-side * 7.5, 4.0), (-side * 7.5, back - 1))
    if rng.random() < 0.3:
        props += row_of("hedge", *edge, 2.0, rng)
    elif rng.random() < 0.4:
        props += row_of("fence", *edge, 2.5, rng, WOODS, "picket", (1, 1))
    return props


def garden(rng: Rng) -> Layout:
    """From the terrace over the lawn to the back fence and a shed."""
    back, side, x = between(rng, 12, 22), sign(rng), between(rng, -2, 2)
    strips = (
        strip(rng, "across", 0.5, between(rng, 2.5, 4.5), "slabs", "planks", "bricks", "concrete"),
        strip(rng, "along", x, between(rng, 0.5, 1.1), "slabs", "gravel", "bricks", slope=0.1, bend=1.8),
        strip(rng, "across", back - 0.7, 0.8, "soil"),
    )
    zones = (
        Zone((*PEOPLE, *PETS), -6.5, 6.5, 2.5, back - 3.2, None, 2.0),
        avenue((*ON_FOOT, "bicycle"), x, 1.0, 3, back - 3, 0.8),
        Zone(("bicycle",), -5, 5, 3.5, 10, None, 0.7),
    )
    return Layout(
        camera(rng, (2.3, 3.9), (0.8, 1.25), (-0.02, 0.28)),
        "grass",
        between(rng, -1, 1),
        strips,
        _garden_walls(rng, side, back),
        tuple(_garden_props(rng, side, back)),
        zones,
        one_of(rng, "trees", "trees", "roofs"),
        between(rng, 0, 0.4),
    )
