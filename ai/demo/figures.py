"""Which styles each split may use, their palettes, and one door to every figure's parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ai.demo.animals import animal
from ai.demo.cars import car
from ai.demo.cycles import bicycle
from ai.demo.foliage import SIZES, foliage_sprite
from ai.demo.paint import Sprite, mix, sprite_of, toned
from ai.demo.people import person
from ai.demo.plans import Actor, Colour, Split
from ai.demo.props import PROPS
from ai.demo.shapes import Part
from ai.demo.trucks import truck
from ai.demo.view import View

STYLES: dict[Split, dict[str, tuple[str, ...]]] = {
    "train": {
        "person": ("casual", "shirt", "hoodie", "shorts", "worker", "courier", "skirt", "parka", "winter"),
        "bicycle": ("city", "road", "mountain", "child"),
        "car": ("hatch", "sedan", "estate", "suv", "city"),
        "truck": ("van", "lorry", "tipper", "pickup"),
        "dog": ("labrador", "shepherd", "terrier", "hound", "husky"),
        "cat": ("shorthair", "tabby", "longhair", "bicolour"),
    },
    "heldout": {
        "person": ("dress", "long_coat", "backpack", "raincape"),
        "bicycle": ("step_through", "cargo"),
        "car": ("coupe", "minivan"),
        "truck": ("flatbed", "tanker"),
        "dog": ("dachshund", "poodle", "greyhound"),
        "cat": ("siamese", "bobtail"),
    },
}
POSES: dict[Split, dict[str, tuple[str, ...]]] = {
    "train": {
        "person": ("walk", "walk", "walk", "stand", "stand", "carry", "sit", "crouch", "wave"),
        "dog": ("walk", "walk", "stand", "sit", "lie"),
        "cat": ("walk", "walk", "stand", "sit", "sit", "lie"),
    },
    "heldout": {
        "person": ("walk", "walk", "stand", "carry", "wave"),
        "dog": ("walk", "stand", "sit"),
        "cat": ("walk", "sit", "curl", "stretch"),
    },
}


@dataclass(frozen=True, slots=True)
class Kind:
    """How big a kind is: height and half its footprint in metres, and how far it may be enlarged."""

    tall: float
    reach: float
    scale: tuple[float, float]


KINDS: dict[str, Kind] = {
    "person": Kind(1.72, 0.4, (0.82, 1.08)),
    "bicycle": Kind(1.05, 0.75, (0.95, 1.12)),
    "car": Kind(1.5, 2.2, (0.94, 1.06)),
    "truck": Kind(2.7, 3.2, (0.85, 1.0)),
    "dog": Kind(0.7, 0.5, (0.85, 1.35)),
    "cat": Kind(0.42, 0.35, (1.1, 1.6)),
}
BUILDERS = {
    "person": person,
    "bicycle": bicycle,
    "car": car,
    "truck": truck,
    "dog": animal,
    "cat": animal,
    **PROPS,
}

SKINS: tuple[Colour, ...] = (
    (0.95, 0.78, 0.66),
    (0.87, 0.68, 0.54),
    (0.74, 0.54, 0.4),
    (0.56, 0.38, 0.27),
    (0.38, 0.26, 0.19),
)
HAIRS: tuple[Colour, ...] = (
    (0.1, 0.08, 0.07),
    (0.24, 0.15, 0.1),
    (0.45, 0.3, 0.17),
    (0.75, 0.6, 0.36),
    (0.6, 0.6, 0.6),
    (0.5, 0.22, 0.12),
)
COATS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((0.12, 0.11, 0.11), (0.3, 0.28, 0.27), (0.09, 0.08, 0.08)),
    ((0.62, 0.46, 0.28), (0.85, 0.75, 0.6), (0.5, 0.35, 0.2)),
    ((0.42, 0.27, 0.16), (0.6, 0.45, 0.3), (0.27, 0.17, 0.1)),
    ((0.86, 0.82, 0.75), (0.93, 0.91, 0.87), (0.75, 0.66, 0.54)),
    ((0.5, 0.49, 0.48), (0.85, 0.84, 0.82), (0.3, 0.3, 0.3)),
    ((0.14, 0.12, 0.12), (0.9, 0.88, 0.85), (0.12, 0.1, 0.1)),
    ((0.8, 0.5, 0.24), (0.93, 0.84, 0.7), (0.66, 0.36, 0.15)),
)
PAINTS: tuple[Colour, ...] = (
    (0.9, 0.9, 0.89),
    (0.7, 0.72, 0.74),
    (0.42, 0.44, 0.47),
    (0.13, 0.13, 0.15),
    (0.62, 0.12, 0.12),
    (0.13, 0.25, 0.5),
    (0.16, 0.36, 0.3),
    (0.78, 0.68, 0.5),
    (0.34, 0.2, 0.14),
    (0.8, 0.45, 0.14),
    (0.36, 0.55, 0.68),
)
CLOTHS: tuple[Colour, ...] = (
    *PAINTS,
    (0.2, 0.22, 0.3),
    (0.3, 0.36, 0.5),
    (0.5, 0.5, 0.34),
    (0.72, 0.5, 0.5),
    (0.85, 0.75, 0.3),
    (0.4, 0.28, 0.42),
    (0.25, 0.42, 0.28),
)
HI_VIS: tuple[Colour, ...] = ((0.86, 0.9, 0.2), (0.98, 0.5, 0.14))


def pick(rng: np.random.Generator, options: tuple[Colour, ...]) -> Colour:
    """One of the palette, then some way of its own from it."""
    base = options[int(rng.integers(len(options)))]
    other: Colour = (
        float(rng.uniform(0.05, 0.95)),
        float(rng.uniform(0.05, 0.95)),
        float(rng.uniform(0.05, 0.95)),
    )
    return toned(mix(base, other, float(rng.uniform(0, 0.22))), float(rng.uniform(0.85, 1.12)))


def _colours(kind: str, style: str, rng: np.random.Generator) -> tuple[Colour, ...]:
    if kind == "person":
        top = pick(rng, HI_VIS if style in ("worker", "courier") and rng.random() < 0.8 else CLOTHS)
        skin = toned(SKINS[int(rng.integers(len(SKINS)))], float(rng.uniform(0.9, 1.05)))
        return (
            skin,
            pick(rng, HAIRS),
            top,
            toned(pick(rng, CLOTHS), 0.8),
            pick(rng, ((0.12, 0.11, 0.11), (0.8, 0.8, 0.8), (0.35, 0.22, 0.14))),
            pick(rng, CLOTHS),
        )
    if kind in ("dog", "cat"):
        coat = COATS[int(rng.integers(len(COATS)))]
        if style == "siamese":
            coat = ((0.85, 0.78, 0.68), (0.75, 0.64, 0.52), (0.24, 0.18, 0.15))
        k = float(rng.uniform(0.8, 1.15))
        return tuple(toned(c, k) for c in coat)
    if kind == "truck":
        return (
            pick(rng, PAINTS),
            pick(rng, ((0.9, 0.9, 0.88), (0.75, 0.76, 0.78), *PAINTS)),
            pick(rng, PAINTS),
        )
    if kind == "bicycle":
        return pick(rng, CLOTHS), pick(rng, ((0.1, 0.1, 0.1), (0.4, 0.25, 0.15)))
    return (pick(rng, PAINTS),)


def dressed(kind: str, split: Split, rng: np.random.Generator, lit: bool) -> Actor:
    """An actor with everything but its place."""
    styles = STYLES[split][kind]
    style = styles[int(rng.integers(len(styles)))]
    poses = POSES[split].get(kind, ("stand",))
    genes = tuple(float(g) for g in rng.uniform(-1, 1, 8))
    return Actor(
        kind,
        style,
        0.0,
        0.0,
        0.0,
        float(rng.uniform(*KINDS[kind].scale)),
        poses[int(rng.integers(len(poses)))],
        float(rng.uniform()),
        _colours(kind, style, rng),
        genes,
        0.0,
        lit,
    )


def rider_of(cycle: Actor, split: Split, rng: np.random.Generator) -> Actor:
    """Somebody to ride this bicycle: a person of their own, who moves with it."""
    return replace(
        dressed("person", split, rng, False),
        pose="ride",
        heading=cycle.heading,
        x=cycle.x,
        y=cycle.y,
        scale=cycle.scale * 0.97,
        phase=cycle.phase,
    )


def parts_of(actor: Actor) -> list[Part]:
    return BUILDERS[actor.kind](actor)


def sprite_for(actor: Actor, view: View, seed: int) -> Sprite | None:
    if actor.kind in SIZES:
        return foliage_sprite(actor, view, seed)
    return sprite_of(parts_of(actor), actor, view, seed)
