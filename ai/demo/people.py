"""People: a posed skeleton, then clothes over it. Local metres; x ahead, y left, z up."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ai.demo.paint import mix, toned
from ai.demo.plans import Actor, Colour
from ai.demo.shapes import Part, Point, blob, box, chain, hull

Leg = tuple[Point, Point, Point]
Angles = list[tuple[float, float]]  # of the two pieces of the left limb, then of the right


@dataclass(frozen=True, slots=True)
class Wear:
    """What a style puts on: hem heights are shares of the body's height."""

    hem: float = 0.5  # where the upper garment ends
    flare: float = 1.0  # how wide its hem is, against the hips
    sleeve: float = 1.0  # share of the arm that it covers
    trouser: float = 1.0  # share of the leg that is covered
    head: str = "hair"  # hair, cap, hood, helmet, hat, beanie
    bands: bool = False  # reflecting bands
    load: str = ""  # backpack, bag
    girth: float = 1.0


WEAR: dict[str, Wear] = {
    "casual": Wear(sleeve=0.45),
    "shirt": Wear(hem=0.47),
    "hoodie": Wear(hem=0.48, head="hood", girth=1.1),
    "shorts": Wear(sleeve=0.4, trouser=0.45, head="cap"),
    "worker": Wear(hem=0.48, head="helmet", bands=True, girth=1.08),
    "courier": Wear(hem=0.48, head="cap", load="bag", bands=True),
    "skirt": Wear(hem=0.33, flare=1.3, sleeve=0.5, trouser=0.0),
    "parka": Wear(hem=0.42, flare=1.1, head="hood", girth=1.18),
    "winter": Wear(hem=0.46, head="beanie", girth=1.16),
    # Held out: silhouettes that training never shows.
    "dress": Wear(hem=0.24, flare=1.7, sleeve=0.2, trouser=0.0, head="hat"),
    "long_coat": Wear(hem=0.22, flare=1.25, girth=1.1, head="hair"),
    "backpack": Wear(hem=0.47, load="backpack", head="beanie"),
    "raincape": Wear(hem=0.34, flare=1.75, head="hood", girth=1.2),
}


@dataclass(frozen=True, slots=True)
class Body:
    tall: float
    hips: Point
    chest: Point
    head: Point
    legs: tuple[Leg, Leg]
    arms: tuple[Leg, Leg]
    wide: float  # half the shoulders
    thick: float  # of limbs


def _bent(top: Point, length: float, first: float, second: float, out: float = 0.0) -> Leg:
    """A two-piece limb hanging from `top`; angles from straight down, positive ahead."""
    half = length / 2
    side = math.copysign(out, top[1]) if out else 0.0
    mid = (top[0] + half * math.sin(first), top[1] + side * half, top[2] - half * math.cos(first))
    end = (mid[0] + half * math.sin(second), mid[1] + side * half * 0.4, mid[2] - half * math.cos(second))
    return top, mid, end


def _swing(pose: str, phase: float) -> tuple[Angles, Angles, float]:
    """Angles of the legs, of the arms, and the body's lean ahead."""
    s, c = math.sin(phase * 2 * math.pi), math.cos(phase * 2 * math.pi)
    walk = [(0.5 * s, 0.5 * s - 0.5 * max(c, 0)), (-0.5 * s, -0.5 * s - 0.5 * max(-c, 0))]
    arms = [(-0.5 * s, -0.5 * s + 0.45), (0.5 * s, 0.5 * s + 0.45)]
    riding = [(0.95 + 0.32 * s, -0.05 + 0.3 * s), (0.95 - 0.32 * s, -0.05 - 0.3 * s)]
    poses: dict[str, tuple[Angles, Angles, float]] = {
        "walk": (walk, arms, 0.06),
        "carry": (walk, [(0.35, 1.35), (0.35, 1.35)], 0.03),
        "sit": ([(1.4, 0.05 + 0.2 * s), (1.45, 0.1)], [(0.5, 1.1), (0.45, 1.0 + 0.3 * c)], -0.05),
        "crouch": ([(1.9, -0.55), (1.2, -1.0)], [(0.9, 1.1), (0.6, 0.9 + 0.3 * s)], 0.4),
        "wave": ([(0.03, 0.0), (-0.03, -0.02)], [(-0.1, 0.2), (1.6, 2.8 + 0.2 * s)], 0.0),
        "ride": (riding, [(0.8, 1.05)] * 2, 0.42),
        "stand": ([(0.03, 0.0), (-0.04, -0.06)], [(0.05 + 0.1 * s, 0.2 + 0.2 * s), (0.0, 0.25)], 0.0),
    }
    return poses[pose]


def _body(actor: Actor) -> Body:
    g = actor.genes
    tall = 1.72 + 0.13 * g[0]
    leg_length = tall * (0.49 + 0.015 * g[1])
    wide, thick = tall * (0.112 + 0.014 * g[2]), 1.12 + 0.2 * g[3]
    legs_at, arms_at, lean = _swing(actor.pose, actor.phase)
    hip_z = {"sit": 0.47, "crouch": 0.42, "ride": 1.0}.get(actor.pose, leg_length + 0.04)
    hip_x = -0.22 if actor.pose == "ride" else 0.0
    spread, torso = 0.02 + 0.03 * abs(g[4]), tall * 0.31
    chest: Point = (hip_x + torso * math.sin(lean), 0.0, hip_z + torso * math.cos(lean))
    rise = tall * (0.115 + 0.004 * g[5])
    head: Point = (chest[0] + 0.12 * math.sin(lean * 0.5) + 0.02, 0.0, chest[2] + rise)
    legs = [
        _bent((hip_x, s * wide * 0.5, hip_z), leg_length - 0.04, *at, out=spread)
        for s, at in zip((1, -1), legs_at, strict=True)
    ]
    arms = [
        _bent((chest[0], s * wide, chest[2] - 0.02), tall * 0.33, *at, out=0.16)
        for s, at in zip((1, -1), arms_at, strict=True)
    ]
    return Body(tall, (hip_x, 0.0, hip_z), chest, head, (legs[0], legs[1]), (arms[0], arms[1]), wide, thick)


def _between(a: Point, b: Point, t: float) -> Point:
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def _covered(
    limb: Leg, radii: tuple[float, float, float], share: float, cloth: Colour, skin: Colour
) -> list[Part]:
    """A limb in skin, then cloth over its first share, a little wider."""
    bare = chain(limb, [r * 0.86 for r in radii], skin)
    if share <= 0.02:
        return bare
    knee = share >= 0.5
    end = _between(limb[1], limb[2], share * 2 - 1) if knee else _between(limb[0], limb[1], share * 2)
    points = [limb[0], limb[1], end] if knee else [limb[0], end]
    if share > 0.95:
        bare = []
    return bare + chain(points, [radii[0], radii[1], radii[2] * 1.08][: len(points)], cloth, nudge=-0.01)


def _legs(body: Body, wear: Wear, cloth: Colour, skin: Colour, shoe: Colour) -> list[Part]:
    t = body.thick
    parts: list[Part] = []
    for leg, shade in zip(body.legs, (1.0, 0.9), strict=True):
        parts += _covered(leg, (0.088 * t, 0.064 * t, 0.047 * t), wear.trouser, toned(cloth, shade), skin)
        x, y, z = leg[2]
        parts.append(blob([(x - 0.02, y, z), (x + 0.15, y, z - 0.015)], [0.05, 0.04], shoe, nudge=-0.02))
    return parts


def _arms(body: Body, wear: Wear, cloth: Colour, skin: Colour) -> list[Part]:
    t = body.thick * (0.85 + 0.15 * wear.girth)
    parts: list[Part] = []
    for arm, shade in zip(body.arms, (0.97, 0.92), strict=True):
        parts += _covered(arm, (0.058 * t, 0.046 * t, 0.036 * t), wear.sleeve, toned(cloth, shade), skin)
        parts.append(blob([arm[2], _between(arm[1], arm[2], 1.22)], [0.04, 0.03], skin))
    return parts


def _torso(body: Body, wear: Wear, cloth: Colour, fit: float) -> list[Part]:
    w, k = body.wide, wear.girth * fit
    hx, _, hz = body.hips
    cx, _, cz = body.chest
    trunk = blob(
        [
            (hx, w * 0.42, hz + 0.05),
            (hx, -w * 0.42, hz + 0.05),
            (cx, w * 0.8, cz - 0.03),
            (cx, -w * 0.8, cz - 0.03),
            (cx + 0.02, 0.0, cz - 0.12),
        ],
        [0.105 * k, 0.105 * k, 0.075 * k, 0.075 * k, 0.125 * k],
        cloth,
        nudge=-0.03,
    )
    drop = hz - wear.hem * body.tall
    if drop < 0.07 or body.hips[2] < 0.6:
        return [trunk]
    flare = w * 0.5 * wear.flare
    stride = 0.35 * (body.legs[0][1][0] + body.legs[1][1][0] - 2 * hx)
    hem_z = hz - drop
    hem = [
        (hx + stride + dx, dy, hem_z)
        for dx, dy in (
            (0.09 * wear.flare, flare),
            (0.09 * wear.flare, -flare),
            (-0.09 * wear.flare, flare),
            (-0.09 * wear.flare, -flare),
        )
    ]
    waist = [(hx, w * 0.45, hz + 0.06), (hx, -w * 0.45, hz + 0.06)]
    return [trunk, blob([*waist, *hem], [0.1 * k] * 2 + [0.03] * 4, toned(cloth, 0.96), nudge=-0.4)]


def _hair(head: Point, r: float, length: float, colour: Colour) -> list[Part]:
    x, y, z = head
    back = blob(
        [(x - 0.03, y, z + r * 0.35), (x - 0.05, y, z - r * 0.4 * length)],
        [r * 1.02, r * 0.85],
        colour,
        nudge=0.02,
    )
    return [back, blob([(x, y, z + r * 0.55)], r * 0.78, colour, nudge=-0.04)]


def _hood(head: Point, r: float, colour: Colour) -> list[Part]:
    x, y, z = head
    back = blob(
        [(x - 0.04, y, z + r * 0.25), (x - 0.07, y, z - r * 0.9)], [r * 1.22, r * 1.1], colour, nudge=0.02
    )
    return [back, blob([(x + 0.01, y, z + r * 0.7)], r * 0.72, toned(colour, 1.05), nudge=-0.04)]


def _hat(head: Point, r: float, kind: str, colour: Colour) -> list[Part]:
    """A dome, and for most a brim: ahead only, or all round."""
    x, y, z = head
    dome = blob([(x - 0.01, y, z + r * 0.45)], r * 1.04, colour, nudge=-0.05)
    reach, back = {"cap": (0.13, 0.0), "helmet": (0.06, 0.0), "hat": (0.2, 0.2), "beanie": (0.0, 0.0)}[kind]
    if not reach:
        return [dome]
    at, half = z + r * 0.42, r * (1.0 + back * 6)
    ahead, behind = x + r + reach, x - r * 0.4 - back
    rim = [
        (ahead, half * 0.55, at),
        (ahead, -half * 0.55, at),
        (behind, half, at),
        (behind, -half, at),
        (x, 0.0, at + 0.03),
    ]
    return [dome, hull(rim, toned(colour, 0.8), nudge=-0.08)]


def _head(body: Body, wear: Wear, actor: Actor, cover: Colour) -> list[Part]:
    skin, hair = actor.colours[0], actor.colours[1]
    x, y, z = body.head
    r = body.tall * (0.062 + 0.004 * actor.genes[6])
    neck = blob([(body.chest[0], 0, body.chest[2]), (x - 0.01, 0, z - 0.04)], [0.055, 0.05], toned(skin, 0.9))
    parts = [neck, blob([(x, y, z), (x + 0.015, y, z - r * 0.55)], [r, r * 0.78], skin)]
    if wear.head == "hood":
        return parts + _hood(body.head, r, cover)
    locks = _hair(body.head, r, 0.9 + 0.9 * max(actor.genes[7], 0.0), hair)
    if wear.head == "hair":
        return parts + locks
    return [*parts, locks[0], *_hat(body.head, r, wear.head, cover)]


def _load(body: Body, wear: Wear, actor: Actor, colour: Colour) -> list[Part]:
    """A box in the hands, a pack on the back, a bag at the side."""
    cx, _, cz = body.chest
    parts: list[Part] = []
    if actor.pose == "carry":
        size, (x, _, z) = 0.13 + 0.05 * actor.genes[4], body.arms[0][2]
        sides = box(x - 0.06, x + 2 * size - 0.06, -size * 1.4, size * 1.4, z - 0.06, z + size * 1.5, colour)
        parts += [side._replace(nudge=-0.05) for side in sides]
    if wear.load == "backpack":
        pack = [
            (cx - 0.17, 0.08, cz - 0.02),
            (cx - 0.17, -0.08, cz - 0.02),
            (cx - 0.2, 0.09, cz - 0.42),
            (cx - 0.2, -0.09, cz - 0.42),
        ]
        parts.append(blob(pack, [0.09, 0.09, 0.11, 0.11], colour))
    if wear.load == "bag" and actor.pose != "ride":
        y, z = -body.wide - 0.1, body.hips[2]
        parts.append(blob([(0.04, y, z - 0.05), (-0.12, y, z - 0.12)], 0.12, colour, nudge=-0.1))
    return parts


def _bands(body: Body, k: float) -> list[Part]:
    """Reflecting tape round the chest and the belly; it shines back at an infrared lamp."""
    w, (hx, _, hz), (cx, _, cz) = body.wide, body.hips, body.chest
    tape: Colour = (0.9, 0.92, 0.86)
    parts = []
    for t in (0.3, 0.62):
        x, z, half = hx + (cx - hx) * t, hz + (cz - hz) * t, w * (0.72 + 0.2 * t)
        parts.append(
            blob(
                [(x, half, z), (x, -half, z), (x + 0.1 * k, 0, z), (x - 0.1 * k, 0, z)],
                0.028,
                tape,
                emit=0.5,
                nudge=-0.14,
            )
        )
    return parts


def person(actor: Actor) -> list[Part]:
    skin, _, top, bottom, shoe, extra = actor.colours
    wear, body = WEAR[actor.style], _body(actor)
    fit = 1.1 + 0.16 * actor.genes[3]
    cover = top if wear.head == "hood" else extra
    parts = (
        _legs(body, wear, bottom, skin, shoe) + _torso(body, wear, top, fit) + _arms(body, wear, top, skin)
    )
    parts += _head(body, wear, actor, cover) + _load(body, wear, actor, mix(extra, (0.62, 0.47, 0.3), 0.5))
    return parts + (_bands(body, wear.girth) if wear.bands else [])
