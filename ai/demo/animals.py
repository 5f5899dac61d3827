"""Dogs and cats: one four-legged frame, two very different sets of proportions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ai.demo.paint import mix, toned
from ai.demo.plans import Actor, Colour
from ai.demo.shapes import Part, Point, blob, chain, hull


@dataclass(frozen=True, slots=True)
class Breed:
    """Proportions in metres at scale 1."""

    long: float  # chest to rump
    tall: float  # to the shoulder
    deep: float  # chest radius
    waist: float  # against the chest
    neck: float
    skull: float  # radius
    muzzle: float  # length
    ears: str  # up, flop, bat (a cat's)
    tail: float
    bush: float  # radius of the tail's end
    fluff: float = 0.0


BREEDS: dict[str, Breed] = {
    "labrador": Breed(0.56, 0.56, 0.155, 0.85, 0.2, 0.105, 0.14, "flop", 0.34, 0.03),
    "shepherd": Breed(0.6, 0.6, 0.15, 0.8, 0.22, 0.1, 0.17, "up", 0.4, 0.06, 0.2),
    "terrier": Breed(0.38, 0.36, 0.115, 0.95, 0.13, 0.09, 0.11, "flop", 0.17, 0.025, 0.3),
    "hound": Breed(0.58, 0.62, 0.14, 0.62, 0.26, 0.085, 0.17, "flop", 0.36, 0.022),
    "husky": Breed(0.52, 0.54, 0.155, 0.9, 0.18, 0.105, 0.13, "up", 0.36, 0.075, 0.4),
    # Held out.
    "dachshund": Breed(0.62, 0.3, 0.105, 0.9, 0.16, 0.075, 0.15, "flop", 0.28, 0.02),
    "poodle": Breed(0.44, 0.5, 0.15, 0.8, 0.2, 0.12, 0.14, "flop", 0.22, 0.07, 1.0),
    "greyhound": Breed(0.66, 0.68, 0.14, 0.5, 0.3, 0.075, 0.2, "flop", 0.42, 0.018),
    # Cats.
    "shorthair": Breed(0.27, 0.25, 0.078, 0.98, 0.07, 0.075, 0.028, "bat", 0.25, 0.024),
    "tabby": Breed(0.28, 0.25, 0.082, 1.0, 0.07, 0.078, 0.028, "bat", 0.25, 0.026),
    "longhair": Breed(0.28, 0.25, 0.098, 1.08, 0.06, 0.088, 0.022, "bat", 0.25, 0.05, 0.6),
    "bicolour": Breed(0.26, 0.26, 0.074, 0.95, 0.08, 0.074, 0.028, "bat", 0.26, 0.022),
    # Held out.
    "siamese": Breed(0.32, 0.29, 0.064, 0.9, 0.1, 0.068, 0.04, "bat", 0.27, 0.02),
    "bobtail": Breed(0.27, 0.23, 0.1, 1.05, 0.06, 0.09, 0.025, "bat", 0.1, 0.04, 0.4),
}
CAT_STYLES = frozenset({"shorthair", "tabby", "longhair", "bicolour", "siamese", "bobtail"})


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the parts of the body are for one pose."""

    chest: Point
    rump: Point
    head: Point
    paws: tuple[tuple[Point, ...], ...]  # each leg from the body down
    nod: float  # how far the muzzle points down, radians


def _bred(actor: Actor) -> Breed:
    """The breed with this animal's own proportions."""
    b, g = BREEDS[actor.style], actor.genes
    return Breed(
        b.long * (1 + 0.1 * g[0]),
        b.tall * (1 + 0.1 * g[1]),
        b.deep * (1 + 0.12 * g[2]),
        b.waist * (1 + 0.06 * g[3]),
        b.neck * (1 + 0.12 * g[4]),
        b.skull * (1 + 0.08 * g[5]),
        b.muzzle * (1 + 0.15 * g[6]),
        b.ears,
        b.tail * (1 + 0.2 * g[7]),
        b.bush,
        b.fluff,
    )


def _standing(b: Breed, phase: float, stride: float, drop: float = 0.0) -> Frame:
    spine = b.tall - b.deep * 0.75 - drop
    chest, rump = (b.long / 2, 0.0, spine), (-b.long / 2, 0.0, spine + 0.1 * b.deep)
    head = (b.long / 2 + b.neck * 0.75, 0.0, spine + b.deep * 0.5 + b.neck * 0.85)
    paws = []
    for i, (at, lift) in enumerate(((chest, 0.0), (chest, 0.5), (rump, 0.5), (rump, 0.0))):
        s = math.sin(2 * math.pi * (phase + lift))
        y = b.deep * 0.52 * (1 if i % 2 == 0 else -1)
        swing = stride * b.tall * 0.32 * s
        raised = stride * max(math.cos(2 * math.pi * (phase + lift)), 0) * 0.08 * b.tall
        bend = -0.07 * b.tall if at is rump else 0.03 * b.tall
        foot = b.deep * 0.18
        hock = (at[0] + swing * 0.4 + bend, y, spine * 0.47 + raised)
        paws.append(((at[0], y, spine - b.deep * 0.25), hock, (at[0] + swing, y, foot + raised)))
    return Frame(chest, rump, head, tuple(paws), 0.25)


def _sitting(b: Breed) -> Frame:
    rump = (-b.long * 0.28, 0.0, b.deep * 1.05)
    chest = (b.long * 0.16, 0.0, b.tall * 0.78)
    head = (chest[0] + b.neck * 0.45, 0.0, chest[2] + b.deep * 0.4 + b.neck * 0.9)
    foot, y = b.deep * 0.18, b.deep * 0.5
    front = [
        (
            (chest[0], s * y, chest[2] - 0.3 * b.deep),
            (chest[0] + 0.02, s * y, b.tall * 0.36),
            (chest[0] + 0.03, s * y, foot),
        )
        for s in (1, -1)
    ]
    hind = [
        (
            (rump[0], s * y * 1.3, b.deep * 0.9),
            (rump[0] + b.long * 0.26, s * y * 1.7, b.deep * 0.8),
            (rump[0] + b.long * 0.3, s * y * 1.6, foot),
        )
        for s in (1, -1)
    ]
    return Frame(chest, rump, head, (*front, *hind), 0.2)


def _lying(b: Breed) -> Frame:
    low = b.deep * 1.02
    chest, rump = (b.long * 0.45, 0.0, low), (-b.long * 0.45, 0.0, low)
    head = (b.long * 0.45 + b.neck * 0.6, 0.0, low + b.deep * 0.4 + b.neck * 0.7)
    y, foot = b.deep * 0.75, b.deep * 0.22
    front = [
        (
            (chest[0], s * y, low * 0.6),
            (chest[0] + b.long * 0.18, s * y, foot),
            (chest[0] + b.long * 0.42, s * y, foot),
        )
        for s in (1, -1)
    ]
    hind = [
        (
            (rump[0], s * y, low * 0.7),
            (rump[0] + b.long * 0.22, s * y * 1.3, foot * 1.4),
            (rump[0] + b.long * 0.36, s * y * 1.3, foot),
        )
        for s in (1, -1)
    ]
    return Frame(chest, rump, head, (*front, *hind), 0.15)


def _curled(b: Breed) -> Frame:
    low = b.deep * 1.15
    head = (b.long * 0.52, b.deep * 0.9, low * 0.9)
    paw = (
        (b.long * 0.3, 0.9 * b.deep, low * 0.5),
        (b.long * 0.45, 1.2 * b.deep, b.deep * 0.3),
        (b.long * 0.2, 1.5 * b.deep, b.deep * 0.25),
    )
    return Frame((b.long * 0.3, 0, low), (-b.long * 0.3, 0, low * 1.05), head, (paw,), 0.45)


def _stretching(b: Breed) -> Frame:
    f = _standing(b, 0.0, 0.0)
    chest = (b.long * 0.55, 0.0, b.deep * 1.1)
    foot = b.deep * 0.2
    front = [
        (
            (chest[0], s * b.deep * 0.5, chest[2]),
            (chest[0] + b.long * 0.3, s * b.deep * 0.6, foot * 1.5),
            (chest[0] + b.long * 0.62, s * b.deep * 0.6, foot),
        )
        for s in (1, -1)
    ]
    head = (chest[0] + b.neck, 0.0, chest[2] + b.deep + b.neck * 0.3)
    return Frame(chest, (f.rump[0], 0.0, f.rump[2] + b.deep * 0.2), head, (*front, *f.paws[2:]), 0.1)


def _frame(b: Breed, actor: Actor) -> Frame:
    if actor.pose == "sit":
        return _sitting(b)
    if actor.pose == "lie":
        return _lying(b)
    if actor.pose == "curl":
        return _curled(b)
    if actor.pose == "stretch":
        return _stretching(b)
    return _standing(b, actor.phase, 1.0 if actor.pose == "walk" else 0.25, 0.0)


def _trunk(b: Breed, f: Frame, coat: Colour, belly: Colour) -> list[Part]:
    (cx, _, cz), (rx, _, rz) = f.chest, f.rump
    k, w = b.deep * (1 + 0.14 * b.fluff), b.deep * b.waist * (1 + 0.14 * b.fluff)
    middle = ((cx + rx) / 2, 0.0, (cz + rz) / 2 + (0.1 if b.waist < 0.8 else -0.02) * k)
    return [
        blob([f.chest, middle], [k, w * 0.94], coat, nudge=-0.02),
        blob([middle, f.rump], [w * 0.94, w * 1.02], coat),
        blob([(cx + k * 0.25, 0, cz - k * 0.3)], k * 0.72, belly, nudge=0.02),
    ]


def _limbs(b: Breed, f: Frame, coat: Colour, sock: Colour) -> list[Part]:
    parts: list[Part] = []
    fluffy = 1 + 0.5 * b.fluff
    for i, leg in enumerate(f.paws):
        hind = i >= 2
        shade = 0.94 if i % 2 == 0 else 0.86
        radii = [b.deep * (0.52 if hind else 0.42), b.deep * 0.26 * fluffy, b.deep * 0.2 * fluffy]
        parts += chain(leg, radii, toned(coat, shade))
        x, y, z = leg[-1]
        parts.append(
            blob(
                [(x, y, z), (x + b.deep * 0.22, y, z - 0.01)], b.deep * 0.2, toned(sock, shade), nudge=-0.005
            )
        )
    return parts


def _tail(b: Breed, f: Frame, actor: Actor, coat: Colour) -> list[Part]:
    x, _, z = f.rump
    cat, up = actor.style in CAT_STYLES, 0.5 + 0.5 * actor.genes[7]
    t, sway = b.tail, 0.25 * actor.genes[6] * b.tail
    thick = b.deep * (0.24 if cat else 0.22)
    root = (x - b.deep * b.waist * 0.85, 0.0, z + b.deep * 0.3)
    if actor.pose in ("curl", "lie") or (actor.pose == "sit" and up < 0.6):
        bend = [
            (root[0] - 0.1 * t, 0.3 * t, b.deep * 0.35),
            (root[0] + 0.4 * t, 0.5 * t + b.deep, b.deep * 0.25),
        ]
    elif cat and actor.pose != "sit":
        bend = [
            (root[0] - 0.3 * t, sway * 0.4, root[2] + t * (0.15 + 0.35 * up)),
            (root[0] - t * (0.5 - 0.45 * up), sway, root[2] + t * (0.3 + 0.7 * up)),
        ]
    else:
        bend = [
            (root[0] - 0.45 * t, sway * 0.5, root[2] + t * (-0.2 + 0.55 * up)),
            (root[0] - t * (0.75 - 0.4 * up), sway, root[2] + t * (-0.45 + 1.3 * up)),
        ]
    bend = [(p[0], p[1], max(p[2], 0.03)) for p in bend]
    return chain([root, *bend], [thick, (thick + b.bush) / 2 + b.fluff * 0.01, b.bush], coat)


def _ears(b: Breed, head: Point, colour: Colour, inner: Colour) -> list[Part]:
    x, y0, z = head
    r, parts = b.skull, []
    for s in (1, -1):
        if b.ears == "flop":
            parts.append(
                blob(
                    [
                        (x - r * 0.2, y0 + s * r * 0.8, z + r * 0.55),
                        (x - r * 0.1, y0 + s * r * 1.15, z - r * 0.55),
                    ],
                    [r * 0.3, r * 0.36 * (1 + 0.5 * b.fluff)],
                    colour,
                    nudge=-0.03,
                )
            )
            continue
        high = r * (1.75 if b.ears == "up" else 1.62)
        base = [
            (x - r * 0.35, y0 + s * r * 0.12, z + r * 0.75),
            (x + r * 0.1, y0 + s * r * 0.95, z + r * 0.4),
            (x - r * 0.35, y0 + s * r * 0.95, z + r * 0.45),
        ]
        tip = (x - r * 0.15, y0 + s * r * (0.85 if b.ears == "bat" else 0.62), z + high)
        parts.append(blob([*base, tip], [r * 0.08] * 3 + [r * 0.05], colour, nudge=-0.02))
        inside = [(p[0] + r * 0.15, y0 + (p[1] - y0) * 0.95, z + (p[2] - z) * 0.92) for p in (*base[:2], tip)]
        parts.append(hull(inside, inner, nudge=-0.02))
    return parts


def _head(b: Breed, f: Frame, coat: Colour, mask: Colour, ear: Colour) -> list[Part]:
    x, y, z = f.head
    r, m = b.skull * (1 + 0.12 * b.fluff), b.muzzle
    c, s = math.cos(f.nod), math.sin(f.nod)
    cat = b.ears == "bat"
    nose: Point = (x + (r * 0.55 + m) * c, y, z - r * 0.12 - (m + r * 0.4) * s)
    bridge: Point = (x + r * 0.5 * c, y, z - r * (0.3 if cat else 0.15))
    neck = chain([f.chest, (x - r * 0.2, y, z - r * 0.2)], [b.deep * 0.82, r * (0.95 if cat else 0.82)], coat)
    parts = [
        *neck,
        blob([f.head], r, coat, nudge=-0.02),
        blob([bridge, nose], [r * (0.6 if cat else 0.58), r * (0.34 if cat else 0.33)], mask, nudge=-0.03),
        blob(
            [(nose[0] + r * 0.24 * c, y, nose[2] + r * 0.06)],
            r * (0.13 if cat else 0.18),
            (0.12, 0.09, 0.09),
            nudge=-0.05,
        ),
    ]
    for side in (1, -1):
        eye = (x + r * 0.84 * c, y + side * r * 0.42, z + r * 0.16)
        parts.append(
            blob(
                [eye],
                r * (0.17 if cat else 0.12),
                (0.74, 0.7, 0.3) if cat else (0.1, 0.07, 0.05),
                emit=1.0,
                nudge=0.0,
            )
        )
    return parts + _ears(b, (x, y, z), ear, mix(ear, (0.8, 0.55, 0.5), 0.55))


def _stripes(b: Breed, f: Frame, colour: Colour) -> list[Part]:
    """A tabby's bands over its back."""
    parts = []
    for t in (0.05, 0.28, 0.5, 0.72, 0.95):
        x, z = f.rump[0] + (f.chest[0] - f.rump[0]) * t, f.rump[2] + (f.chest[2] - f.rump[2]) * t
        k = b.deep * 1.0
        arc = [(x, k * math.sin(a), z + k * math.cos(a)) for a in (-1.1, -0.55, 0.0, 0.55, 1.1)]
        parts += [blob(arc[i : i + 2], b.deep * 0.09, colour, nudge=-b.deep * 0.9) for i in range(4)]
    return parts


def animal(actor: Actor) -> list[Part]:
    """Colours: coat, second coat (belly, socks, muzzle), ears and tail."""
    coat, second, points = actor.colours
    b = _bred(actor)
    f = _frame(b, actor)
    parts = _trunk(b, f, coat, second) + _limbs(b, f, coat, second) + _tail(b, f, actor, points)
    parts += _head(b, f, coat, mix(coat, second, 0.6), points)
    return parts + (_stripes(b, f, points) if actor.style == "tabby" else [])
