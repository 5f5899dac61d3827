"""Lorries: a flat-fronted cab, and behind it a box, a tipper, a flat bed or a tank."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ai.demo.cars import pickup
from ai.demo.coachwork import DARK, GLASS, end_panel, lamps, plate, side_panel, wheels
from ai.demo.paint import mix, toned
from ai.demo.plans import Actor, Colour
from ai.demo.shapes import Part, Point, box, extruded, face, hull

BODIES: dict[str, float] = {
    "van": 3.6,
    "lorry": 5.2,
    "tipper": 3.8,
    "flatbed": 5.0,
    "tanker": 5.2,
}  # metres long
WHEEL = 0.46


@dataclass(frozen=True, slots=True)
class Frame:
    """A lorry's measures, in metres: from `rear` to `gap` the body, from there to `front` the cab."""

    half: float
    rear: float
    gap: float
    front: float
    cab_tall: float
    slope: float  # how far the windscreen leans back
    tall: float


def _frame(actor: Actor) -> Frame:
    g = actor.genes
    body, cab = BODIES[actor.style] * (1 + 0.12 * g[1]), 1.75 + 0.12 * g[2]
    front = (body + cab) / 2 + 0.05
    gap = front - cab - 0.1
    tall = (3.0 if actor.style == "lorry" else 2.75) + 0.25 * g[4]
    return Frame(1.1 + 0.08 * g[0], gap - body, gap, front, 2.25 + 0.2 * g[3], 0.14 + 0.1 * (1 + g[5]), tall)


def _cab_glass(f: Frame, half: float, inside: Point) -> list[Part]:
    low, high, rear = f.cab_tall * 0.53, f.cab_tall * 0.93, f.gap + 0.1
    x0, x1, long = f.front + 0.035, f.front - f.slope * 0.86 + 0.02, f.front - f.gap - 0.1
    screen = [
        (x0, half * 0.9, low),
        (x0, -half * 0.9, low),
        (x1, -half * 0.86, high),
        (x1, half * 0.86, high),
    ]
    parts = [face(screen, toned(GLASS, 1.2), inside, group=1, layer=2)]
    for y in (half + 0.01, -half - 0.01):
        pane = [
            (f.front - 0.12, y, low),
            (f.front - f.slope - 0.1, y, high),
            (rear + long * 0.32, y, high),
            (rear + long * 0.25, y, low),
        ]
        parts.append(face(pane, GLASS, inside, group=1, layer=2))
        parts.append(side_panel(y, (rear + 0.02, f.front), (0.45, 0.62), DARK, group=1, layer=2))
    return parts


def _cab(f: Frame, colour: Colour, lit: bool) -> list[Part]:
    """Its own solid (group 1), sorted as a whole against the body."""
    half, rear, front = f.half * 0.96, f.gap + 0.1, f.front
    outline = [
        (front, 0.45),
        (front + 0.03, f.cab_tall * 0.5),
        (front - f.slope, f.cab_tall),
        (rear, f.cab_tall + 0.04),
        (rear, 0.45),
    ]
    inside: Point = ((front + rear) / 2, 0.0, f.cab_tall * 0.6)
    grille = end_panel(
        front + 0.04,
        1,
        (-half * 0.6, half * 0.6),
        (0.7, f.cab_tall * 0.46),
        toned(DARK, 1.3),
        group=1,
        layer=2,
    )
    return [
        *extruded(outline, [half] * 5, colour, group=1, layer=1),
        *_cab_glass(f, half, inside),
        grille,
        *lamps(
            front + 0.05, 0.55, half * 0.97, (0.34, 0.17), (0.93, 0.92, 0.85), 1, 1.0 if lit else 0.0, group=1
        ),
        plate(front + 0.06, 0.46, 1, group=1),
        *wheels((front - (front - rear) * 0.55,), half * 0.99, WHEEL, 1),
    ]


def _chassis(f: Frame, lit: bool) -> list[Part]:
    """Rear wheels, the beam over them, and the bar with the tail lamps."""
    body = f.gap - f.rear
    first = f.rear + body * 0.22
    stations = (first, first + 1.0) if body > 4.6 else (first,)
    beam = [
        (x, y, z) for x in (f.rear + 0.1, f.gap) for y in (f.half * 0.8, -f.half * 0.8) for z in (0.45, 0.72)
    ]
    return [
        hull(beam, (0.06, 0.06, 0.065), layer=-1),
        *wheels(stations, f.half * 0.98, WHEEL),
        end_panel(f.rear - 0.01, -1, (-f.half * 0.95, f.half * 0.95), (0.6, 0.82), DARK, layer=3),
        *lamps(f.rear - 0.03, 0.62, f.half * 0.92, (0.3, 0.17), (0.7, 0.1, 0.08), -1, 0.8 if lit else 0.0),
        plate(f.rear - 0.02, 0.64, -1),
    ]


def _box_body(f: Frame, colour: Colour, stripe: Colour) -> list[Part]:
    """A closed box with a stripe along its sides and two doors behind."""
    parts = box(f.rear, f.gap, -f.half, f.half, 0.72, f.tall, colour, layer=1)
    band = (0.72 + (f.tall - 0.72) * 0.3, 0.72 + (f.tall - 0.72) * 0.5)
    for y in (f.half + 0.01, -f.half - 0.01):
        parts.append(side_panel(y, (f.rear + 0.1, f.gap - 0.1), band, stripe, layer=2))
        parts.append(side_panel(y, (f.rear, f.gap), (f.tall - 0.1, f.tall), toned(colour, 0.8), layer=2))
    seams = (-f.half * 0.96, -0.02, f.half * 0.93)
    return parts + [
        end_panel(f.rear - 0.01, -1, (y, y + 0.05), (0.8, f.tall - 0.08), toned(colour, 0.6), layer=2)
        for y in seams
    ]


def _tank(f: Frame, colour: Colour) -> list[Part]:
    """A lying barrel with a gleam along its top."""
    centre, r = 1.75, min(f.half, 1.0)
    angles = [2 * math.pi * i / 16 for i in range(16)]
    rims = [
        [(x, r * math.cos(a), centre + r * 0.92 * math.sin(a)) for a in angles]
        for x in (f.rear, f.gap - 0.05)
    ]
    gleam = [(x, y * r, centre + r * 0.75) for x in (f.rear + 0.1, f.gap - 0.15) for y in (-0.5, 0.3)]
    return [
        *box(f.rear, f.gap, -f.half * 0.5, f.half * 0.5, 0.6, 0.85, DARK),
        hull([*rims[0], *rims[1]], colour, layer=1),
        hull(gleam, toned(colour, 1.25), layer=2),
        face(rims[0], toned(colour, 0.85), (f.gap, 0, centre), layer=3),
    ]


def _flatbed(f: Frame, colour: Colour, stripe: Colour, load: float) -> list[Part]:
    wood = mix(stripe, (0.55, 0.42, 0.28), 0.7)
    start = f.rear + (f.gap - f.rear) * 0.3
    return [
        *box(f.rear, f.gap, -f.half, f.half, 0.8, 1.0, colour, layer=4),
        *box(f.gap - 0.1, f.gap, -f.half, f.half, 1.0, 1.9, DARK, layer=6),
        *box(start, f.gap - 0.5, -f.half * 0.7, f.half * 0.7, 1.0, 1.5 + 0.2 * load, wood, layer=5),
    ]


def _tipper(f: Frame, colour: Colour, load: float) -> list[Part]:
    rim = 1.75 + 0.2 * load
    outline = [(f.rear - 0.1, 0.9), (f.gap, 0.9), (f.gap, rim + 0.1), (f.rear - 0.25, rim - 0.05)]
    return extruded(outline, [f.half * 0.9, f.half * 0.9, f.half, f.half], colour, layer=1)


def truck(actor: Actor) -> list[Part]:
    """Colours: cab, body, stripe."""
    if actor.style == "pickup":
        return pickup(actor)
    cab, body, stripe = actor.colours
    f, load = _frame(actor), actor.genes[6]
    parts = _cab(f, cab, actor.lit) + _chassis(f, actor.lit)
    if actor.style == "tanker":
        return parts + _tank(f, body)
    if actor.style == "flatbed":
        return parts + _flatbed(f, body, stripe, load)
    if actor.style == "tipper":
        return parts + _tipper(f, body, load)
    return parts + _box_body(f, body, stripe)
