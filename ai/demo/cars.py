"""Cars and the pickup: a body extruded from its side outline, with a glasshouse on top."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ai.demo.coachwork import DARK, GLASS, Span, end_panel, lamps, plate, side_panel, wheels
from ai.demo.paint import mix, toned
from ai.demo.plans import Actor, Colour
from ai.demo.shapes import Part, Point, blob, extruded, face, hull


@dataclass(frozen=True, slots=True)
class Shape:
    """A car's outline; lengths in metres, stations as shares of the length from the tail."""

    long: float
    wide: float
    tall: float
    belt: float  # height where the glass begins
    base: float  # windscreen's foot
    brow: float  # windscreen's top
    crown: float  # rear window's top
    shoulder: float  # rear window's foot
    nose: float  # height of the bonnet's front
    deck: float  # height of the tail
    wheel: float


CARS: dict[str, Shape] = {
    "hatch": Shape(4.0, 1.75, 1.48, 0.92, 0.7, 0.54, 0.16, 0.03, 0.72, 0.9, 0.31),
    "sedan": Shape(4.6, 1.8, 1.44, 0.91, 0.68, 0.53, 0.29, 0.16, 0.7, 0.9, 0.32),
    "estate": Shape(4.7, 1.82, 1.48, 0.93, 0.7, 0.56, 0.1, 0.03, 0.71, 0.92, 0.32),
    "suv": Shape(4.5, 1.88, 1.72, 1.08, 0.7, 0.57, 0.13, 0.03, 0.92, 1.05, 0.37),
    "city": Shape(3.5, 1.64, 1.52, 0.94, 0.76, 0.6, 0.14, 0.03, 0.78, 0.92, 0.29),
    # Held out.
    "coupe": Shape(4.5, 1.84, 1.3, 0.85, 0.64, 0.46, 0.32, 0.09, 0.64, 0.86, 0.33),
    "minivan": Shape(4.8, 1.9, 1.85, 1.05, 0.86, 0.68, 0.07, 0.02, 0.86, 1.02, 0.33),
    # A truck to the detector, but built like a car.
    "pickup": Shape(5.2, 1.9, 1.78, 1.08, 0.68, 0.57, 0.37, 0.35, 0.95, 1.06, 0.39),
}


def _grown(style: str, genes: tuple[float, ...]) -> Shape:
    s, g = CARS[style], genes
    return replace(
        s,
        long=s.long * (1 + 0.05 * g[0]),
        wide=s.wide * (1 + 0.03 * g[1]),
        tall=s.tall * (1 + 0.04 * g[2]),
        base=s.base + 0.02 * g[3],
        brow=s.brow + 0.02 * g[4],
        crown=s.crown + 0.015 * (1 + g[5]),
        nose=s.nose * (1 + 0.04 * g[6]),
        wheel=s.wheel * (1 + 0.06 * g[7]),
    )


def _stations(s: Shape) -> tuple[float, float, float, float]:
    """Along the length: windscreen's foot and top, rear window's top and foot."""
    tail = -s.long / 2
    return tail + s.base * s.long, tail + s.brow * s.long, tail + s.crown * s.long, tail + s.shoulder * s.long


def _ends(s: Shape, lit: bool, colour: Colour) -> list[Part]:
    """Grille, bumpers, lamps and plates."""
    front, rear, half = s.long / 2, -s.long / 2, s.wide / 2
    beam, tail = (1.0, 0.8) if lit else (0.0, 0.0)
    bumper, across = mix(colour, DARK, 0.6), (-half * 0.97, half * 0.97)
    return [
        end_panel(front + 0.01, 1, (-half * 0.52, half * 0.52), (0.42, s.nose - 0.12), DARK, layer=4),
        end_panel(front + 0.008, 1, across, (0.24, 0.4), bumper, layer=3),
        end_panel(rear - 0.008, -1, across, (0.24, 0.4), bumper, layer=3),
        *lamps(front + 0.02, s.nose - 0.2, half * 0.97, (half * 0.36, 0.15), (0.93, 0.93, 0.86), 1, beam),
        *lamps(rear - 0.02, s.deck - 0.26, half * 0.97, (half * 0.28, 0.2), (0.7, 0.08, 0.07), -1, tail),
        plate(front + 0.03, 0.34, 1),
        plate(rear - 0.03, 0.5, -1),
    ]


def _at(t: float, a: float, b: float) -> float:
    return a + (b - a) * t


def _side_windows(s: Shape, low: float, top: float, inside: Point) -> list[Part]:
    """Two panes to a side, parted by the middle pillar, leaning in with the glasshouse."""
    foot, brow, crown, back = _stations(s)
    middle = (brow + crown) / 2 - 0.05
    ahead = (_at(0.12, foot, brow) - 0.06, _at(0.86, foot, brow) - 0.06)
    behind = (_at(0.12, back, crown) + 0.09, _at(0.86, back, crown) + 0.09)
    panes: tuple[tuple[Span, Span], ...] = ((ahead, (middle + 0.05,) * 2), ((middle - 0.05,) * 2, behind))
    parts = []
    for side in (1.0, -1.0):
        for one, other in panes:
            corners = [
                (x, side * (_at(t, low, top) + 0.012), _at(t, s.belt, s.tall))
                for x, t in ((one[0], 0.1), (one[1], 0.86), (other[1], 0.86), (other[0], 0.1))
            ]
            parts.append(face(corners, GLASS, inside, layer=8))
    return parts


def _cabin(s: Shape, colour: Colour) -> list[Part]:
    """The glasshouse: pillars and roof in the body's colour, glass set into each side."""
    foot, brow, crown, back = _stations(s)
    low, top = s.wide / 2 * 0.95, s.wide / 2 * 0.76
    outline = [
        (foot, s.belt),
        (brow, s.tall - 0.02),
        ((brow + crown) / 2, s.tall),
        (crown, s.tall - 0.03),
        (back, s.belt),
    ]
    inside: Point = ((brow + crown) / 2, 0.0, s.belt)
    parts = extruded(outline, [low, top, top, top, low], colour, layer=7) + _side_windows(s, low, top, inside)
    for a, b, out, tone in ((foot, brow, 0.02, 1.25), (back, crown, -0.02, 1.0)):
        screen = [
            (_at(t, a, b) + out, side * _at(t, low, top) * 0.9, _at(t, s.belt, s.tall) + 0.01)
            for t, side in ((0.08, 1), (0.08, -1), (0.9, -1), (0.9, 1))
        ]
        parts.append(face(screen, toned(GLASS, tone), inside, layer=8))
    return parts


def _trim(s: Shape, colour: Colour) -> list[Part]:
    """Door seams, sill, a light line under the glass, and mirrors."""
    foot, brow, crown, _ = _stations(s)
    seams = (foot - 0.08, (brow + crown) / 2 - 0.05, crown + 0.12)
    parts: list[Part] = []
    for y in (s.wide / 2 + 0.006, -s.wide / 2 - 0.006):
        parts += [
            side_panel(y, (x, x + 0.025), (0.34, s.belt - 0.03), toned(colour, 0.55), layer=3) for x in seams
        ]
        parts += [
            side_panel(y, (-s.long * 0.46, s.long * 0.46), (0.22, 0.33), mix(colour, DARK, 0.55), layer=2),
            side_panel(
                y,
                (-s.long * 0.47, s.long * 0.44),
                (s.belt - 0.15, s.belt - 0.11),
                toned(colour, 1.22),
                layer=2,
            ),
            blob([(foot - 0.15, y * 1.1, s.belt + 0.06)], 0.085, toned(colour, 0.8), layer=9),
        ]
    return parts


def _underside(s: Shape) -> Part:
    corners = [(x, y, 0.2) for x in (-s.long * 0.44, s.long * 0.44) for y in (s.wide * 0.42, -s.wide * 0.42)]
    return hull([*corners, (0, 0, 0.3)], (0.05, 0.05, 0.055), layer=-1)


def _assembled(s: Shape, actor: Actor, body: list[Part], axles: Span) -> list[Part]:
    colour = actor.colours[0]
    stations = (s.long * (0.5 - axles[0]), -s.long * (0.5 - axles[1]))
    parts = [_underside(s), *body, *wheels(stations, s.wide * 0.495, s.wheel)]
    return parts + _cabin(s, colour) + _trim(s, colour) + _ends(s, actor.lit, colour)


def car(actor: Actor) -> list[Part]:
    s = _grown(actor.style, actor.genes)
    front, rear = s.long / 2, -s.long / 2
    foot, _, _, back = _stations(s)
    outline = [
        (front - 0.06, 0.22),
        (front, 0.45),
        (front - 0.05, s.nose - 0.05),
        (front - 0.22, s.nose + 0.03),
        (foot + 0.06, s.belt),
        (back - 0.02, s.belt),
        (rear + 0.06, s.deck),
        (rear, 0.6),
        (rear + 0.06, 0.24),
    ]
    taper = [s.wide / 2 * k for k in (0.93, 0.96, 0.93, 0.94, 1.0, 1.0, 0.95, 0.97, 0.95)]
    return _assembled(s, actor, extruded(outline, taper, actor.colours[0], layer=1), (0.19, 0.19))


def pickup(actor: Actor) -> list[Part]:
    """A cab like a tall car's, and an open bed behind it."""
    s = _grown("pickup", actor.genes)
    front, rear, half = s.long / 2, -s.long / 2, s.wide / 2
    foot, _, _, back = _stations(s)
    outline = [
        (front, 0.35),
        (front, s.nose - 0.05),
        (front - 0.15, s.nose + 0.04),
        (foot + 0.05, s.belt),
        (back - 0.03, s.belt),
        (rear, s.belt),
        (rear, 0.4),
    ]
    well = [
        (x, y, s.belt + 0.005)
        for x, y in (
            (rear + 0.08, half * 0.9),
            (back - 0.08, half * 0.9),
            (back - 0.08, -half * 0.9),
            (rear + 0.08, -half * 0.9),
        )
    ]
    body = [
        *extruded(outline, [half] * 7, actor.colours[0], layer=1),
        face(well, (0.12, 0.12, 0.13), (0, 0, 0), layer=2),
    ]
    return _assembled(s, actor, body, (0.18, 0.2))
