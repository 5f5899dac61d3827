"""Where training scenes play, out in front: a drive and a street."""

from __future__ import annotations

from ai.demo.layout_kit import (
    FRONT,
    HOUSES,
    MOTORS,
    ON_FOOT,
    PAVINGS,
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
from ai.demo.plans import Actor, Layout, Strip, Wall, Zone

SHOPS = ("window", "shop", "door", "shop", "window")


def _border(rng: Rng, x: float, y0: float, y1: float) -> list[Actor]:
    """What ends a plot at its side: a hedge or a fence."""
    if rng.random() < 0.5:
        return row_of("hedge", (x, y0), (x, y1), 1.6, rng)
    return row_of("fence", (x, y0), (x, y1), 2.5, rng, WOODS, one_of(rng, "picket", "rail"), (1, 1))


def _drive_to_street(rng: Rng) -> Layout:
    """Out over the drive to the road and the houses beyond it."""
    side, x, half, far = sign(rng), between(rng, -1.8, 1.8), between(rng, 1.7, 2.9), between(rng, 11, 17)
    road_half, walk = between(rng, 2.8, 3.8), between(rng, 1.4, 2.4)
    road = far + walk + road_half
    edge = side * (half + between(rng, 1.8, 4.0)) + x
    border = -side * (half + between(rng, 2.5, 5.0)) + x
    openings = ("window", "door", "window")
    house = wall(rng, (edge, 2.2), (edge, far - 4), between(rng, 2.8, 5.2), HOUSES, openings)
    beyond = (border - 6, border - 1) if border < 0 else (border + 1, border + 6)
    props = [
        *_border(rng, border, 4, far - 0.6),
        *clutter(rng, x + side * (half + 0.7), (5, far - 1), 3),
        *scattered(rng, ("tree", "bush", "conifer"), int(rng.integers(0, 3)), beyond, (6, far - 1)),
        prop("lamp", x - side * (half + 1.2), far - 0.4, rng),
    ]
    zones = (
        avenue(("car", "truck"), x, half * 0.35, 5, far - 2, 1.3),
        avenue((*ON_FOOT, "bicycle"), x, half, 2, far, 1.5),
        Zone(ON_FOOT, min(border, edge) + 0.8, max(border, edge) - 0.8, 3, far - 0.5),
        lane(("person", "bicycle", "dog"), far + walk / 2, walk / 2, 0.8),
        lane((*MOTORS, "bicycle"), road, road_half * 0.55, 1.6),
    )
    drive_strip = strip(rng, "along", x, half, *PAVINGS, slope=0.06, bend=0.3)
    opposite = terrace(rng, road + road_half + walk + between(rng, 2, 7), 38, HOUSES, FRONT)
    return Layout(
        camera(rng, (2.6, 4.2), (0.85, 1.4), (0.02, 0.3)),
        one_of(rng, "grass", "grass", "gravel"),
        between(rng, -1, 1),
        (drive_strip, *road_across(rng, road, road_half, walk)),
        (house, *opposite),
        tuple(props),
        zones,
        one_of(rng, "trees", "roofs", "hills"),
    )


def _house_zones(x: float, half: float, front: float) -> tuple[Zone, ...]:
    return (
        avenue(MOTORS, x, half * 0.5, 5, front - 3, 2.4),
        avenue((*ON_FOOT, "bicycle"), x, half, 2, front - 1, 1.2),
        Zone(ON_FOOT, x - 5.5, x + 5.5, 3, front - 1.3),
        lane(("person", "bicycle", "dog"), front - 2.2, 0.6, 0.6, 5.5),
    )


def _drive_to_house(rng: Rng) -> Layout:
    """Back towards the house and its garage."""
    front, x, half = between(rng, 13, 20), between(rng, -2.5, 2.5), between(rng, 2.2, 3.6)
    names = tuple(str(n) for n in rng.permutation(["garage", "door", "window", "window"]))
    house = wall(
        rng,
        (x - 7.5, front),
        (x + 7.5, front),
        between(rng, 3, 6),
        HOUSES,
        names,
        roof=between(rng, 1.5, 2.6),
    )
    borders = [p for s in (-1, 1) for p in _border(rng, x + s * between(rng, 6, 9), 4, front - 0.8)]
    props = [
        *borders,
        *clutter(rng, x + sign(rng) * (half + 0.8), (5, front - 1), 3),
        *row_of("bush", (x - 7, front - 0.6), (x + 7, front - 0.6), 2.2, rng, scale=(0.5, 0.9)),
        *scattered(rng, ("tree", "conifer"), 2, (x + 9, x + 16), (8, front)),
        prop("lamp", x + half + 0.6, front - 4, rng),
    ]
    strips = (
        strip(rng, "across", front - 2.2, 0.7, "slabs", "gravel", "bricks"),
        strip(rng, "along", x, half, *PAVINGS),
    )
    return Layout(
        camera(rng, (2.8, 4.5), (0.85, 1.3), (0.0, 0.28)),
        "grass",
        between(rng, -1, 1),
        strips,
        (house,),
        tuple(props),
        _house_zones(x, half, front),
        one_of(rng, "trees", "hills"),
    )


def drive(rng: Rng) -> Layout:
    return _drive_to_street(rng) if rng.random() < 0.6 else _drive_to_house(rng)


def _street_across(rng: Rng) -> Layout:
    """A road from left to right before a row of shops and houses."""
    y, half, walk = between(rng, 8, 13), between(rng, 3.0, 4.4), between(rng, 1.6, 3.2)
    front, kerb = y + half + walk + between(rng, 0.3, 3), y + half + 0.6
    along = ((-15.0, kerb + 0.3), (15.0, kerb + 0.3))
    props = [
        *row_of("lamp", (-16, kerb), (16, kerb), between(rng, 9, 14), rng, scale=(1, 1.2)),
        *clutter(rng, between(rng, -6, 6), (kerb, front - 0.5), 4),
        *row_of(one_of(rng, "bollard", "tree", "bush"), *along, between(rng, 4, 8), rng, scale=(0.8, 1.1)),
        prop("sign", between(rng, -6, 6), y - half - 0.5, rng),
        prop("post", between(rng, -3, 3), y - half - 1, rng, scale=1.2),
    ]
    zones = (
        lane((*MOTORS, "bicycle"), y - half / 2, half * 0.3, 1.6),
        lane((*MOTORS, "bicycle"), y + half / 2, half * 0.3, 1.6),
        lane(ON_FOOT, y + half + walk / 2, walk / 2, 1.2),
        lane((*ON_FOOT, "bicycle"), y - half - walk / 2, walk / 2, 1.4),
        Zone(ON_FOOT, -8, 8, y - half, y + half, None, 0.4),
    )
    walls = terrace(rng, front, 26, HOUSES, SHOPS, roofs=rng.random() < 0.6)
    return Layout(
        camera(rng, (3.0, 5.5), (0.85, 1.4), (0.0, 0.28)),
        one_of(rng, "slabs", "concrete", "grass"),
        between(rng, -1, 1),
        road_across(rng, y, half, walk),
        tuple(walls),
        tuple(props),
        zones,
        one_of(rng, "roofs", "trees"),
    )


def _side_walls(rng: Rng, x: float) -> list[Wall]:
    """House after house along one side of a street that runs away from the camera."""
    walls, at = [], between(rng, 2, 5)
    while at < 50:
        long = between(rng, 6, 13)
        names = tuple(one_of(rng, "window", "door", "shop", "window") for _ in range(max(int(long / 2.6), 2)))
        walls.append(wall(rng, (x, at), (x, at + long), between(rng, 3, 6.5), HOUSES, names))
        at += long + (between(rng, 1, 4) if rng.random() < 0.4 else 0.0)
    return walls


def _side_props(rng: Rng, kerb: float, front: float) -> list[Actor]:
    inner = front + (kerb - front) * 0.2
    row = one_of(rng, "tree", "bush", "bollard")
    return [
        *row_of("lamp", (kerb, 7), (kerb, 46), between(rng, 11, 16), rng, scale=(1, 1.15)),
        *row_of(row, (inner, 6), (inner, 50), between(rng, 6, 11), rng, scale=(0.6, 0.9)),
        *clutter(rng, inner, (6, 25), 3),
    ]


def _street_along(rng: Rng) -> Layout:
    """A road that runs away from the camera between two rows of houses."""
    x, half, walk = between(rng, -2.5, 2.5), between(rng, 2.8, 4.0), between(rng, 1.6, 2.8)
    road = Strip(
        "along",
        x,
        half,
        "asphalt",
        between(rng, -0.5, 0.5),
        kerb=0.16,
        lines=one_of(rng, "dashes", "both", "edges"),
    )
    props: list[Actor] = []
    walls: list[Wall] = []
    for s in (-1, 1):
        front = x + s * (half + walk + between(rng, 0.4, 3))
        props += _side_props(rng, x + s * (half + 0.5), front)
        walls += _side_walls(rng, front)
    zones = (
        *(avenue((*MOTORS, "bicycle"), x + s * half / 2, half * 0.25, 5, 50, 2.0) for s in (-1, 1)),
        *(avenue((*ON_FOOT, "bicycle"), x + s * (half + walk / 2), walk * 0.45, 3, 45, 1.0) for s in (-1, 1)),
        Zone(ON_FOOT, x - half, x + half, 4, 18, None, 0.6),
    )
    return Layout(
        camera(rng, (3.0, 5.2), (0.9, 1.5), (0.05, 0.33)),
        one_of(rng, "slabs", "concrete"),
        between(rng, -1, 1),
        (road,),
        tuple(walls),
        tuple(props),
        zones,
        one_of(rng, "roofs", "trees", "hills"),
    )


def street(rng: Rng) -> Layout:
    return _street_across(rng) if rng.random() < 0.55 else _street_along(rng)
