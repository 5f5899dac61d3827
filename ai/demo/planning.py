"""Decides everything about a scene: where, when, in what weather, and who stands where."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ai.demo import places, places_heldout, places_home
from ai.demo.figures import KINDS, dressed, rider_of
from ai.demo.plans import Actor, Layout, Mood, ScenePlan, Split, Zone, stream
from ai.demo.view import View, view_of

PLACES: dict[Split, dict[str, Callable[[np.random.Generator], Layout]]] = {
    "train": {
        "drive": places.drive,
        "porch": places_home.porch,
        "garden": places_home.garden,
        "street": places.street,
    },
    "heldout": {
        "parking_lot": places_heldout.parking_lot,
        "alley": places_heldout.alley,
        "park_path": places_heldout.park_path,
        "farm_yard": places_heldout.farm_yard,
    },
}
PLACE_ODDS: dict[Split, tuple[float, ...]] = {
    "train": (0.28, 0.2, 0.18, 0.34),
    "heldout": (0.28, 0.22, 0.26, 0.24),
}
LIGHTS = ("day", "dusk", "night")
LIGHT_ODDS = (0.56, 0.2, 0.24)
WEATHERS: dict[Split, tuple[str, ...]] = {
    "train": ("clear", "overcast", "rain", "noise", "blur", "jpeg"),
    "heldout": ("clear", "fog", "snow", "wet_lens", "glare"),
}
WEATHER_ODDS: dict[Split, tuple[float, ...]] = {
    "train": (0.36, 0.22, 0.14, 0.1, 0.09, 0.09),
    "heldout": (0.36, 0.16, 0.16, 0.16, 0.16),
}
CLASS_ODDS = {"person": 0.25, "car": 0.31, "truck": 0.16, "bicycle": 0.11, "dog": 0.14, "cat": 0.11}
CROWD = (
    (1, 0.1),
    (2, 0.16),
    (3, 0.2),
    (4, 0.2),
    (5, 0.14),
    (6, 0.1),
    (7, 0.06),
    (8, 0.04),
)  # objects wanted, odds
EMPTY = 0.05
_PLACE, _MOOD, _ACTORS = 1, 2, 3  # one stream of randomness each


def _choice(rng: np.random.Generator, names: tuple[str, ...], odds: tuple[float, ...]) -> str:
    weights = np.asarray(odds) / sum(odds)
    return names[int(rng.choice(len(names), p=weights))]


def _mood(rng: np.random.Generator, light: str, weather: str) -> Mood:
    angle, long = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0.4, 1.5))
    hard = {"overcast": 0.12, "rain": 0.08, "fog": 0.08, "snow": 0.2}.get(
        weather, float(rng.uniform(0.6, 1.0))
    )
    power = {"day": hard, "dusk": 0.12, "night": 0.0}[light]
    strong = float(rng.uniform(0.5, 1.0))
    return Mood(
        sun=(long * math.cos(angle), 0.6 * long * abs(math.sin(angle)) - 0.25),
        power=power,
        exposure=float(rng.uniform(0.88, 1.14)),
        warmth=float(rng.uniform(-1, 1)),
        haze=float(rng.uniform(0.002, 0.009)),
        noise=strong * (0.055 if weather == "noise" else 0.022 if light != "day" else 0.01),
        blur=strong * (1.5 if weather == "blur" else 0.4),
        motion=strong * 3.2 if weather == "blur" and rng.random() < 0.4 else 0.0,
        jpeg=int(rng.uniform(22, 42)) if weather == "jpeg" else int(rng.uniform(60, 95)),
        amount=strong,
    )


def _size(rng: np.random.Generator) -> float:
    """Share of the picture's reference height that the object should have: few tiny, few huge."""
    return float(math.exp(rng.uniform(math.log(0.06), math.log(0.58))))


def _spot(
    zone: Zone, kind: str, scale: float, view: View, rng: np.random.Generator
) -> tuple[float, float] | None:
    """A place in the zone at about the distance that gives the wished size, inside the picture."""
    reference = math.sqrt(view.width * view.height * 9 / 16)
    wish = view.focal * KINDS[kind].tall * scale / (_size(rng) * reference)
    nearest = max(view.nearest() * 0.97 + KINDS[kind].reach * 0.5, KINDS[kind].tall * scale * 1.45)
    low, high = max(zone.y0, nearest), zone.y1
    if low > high:
        return None
    y = min(max(wish, low), high) if low <= wish <= high else float(rng.uniform(low, min(high, low * 2.2)))
    reach = view.reach(y) * 0.97
    left, right = max(zone.x0, -reach), min(zone.x1, reach)
    if left > right:
        return None
    return float(rng.uniform(left, right)), y


def _heading(zone: Zone, rng: np.random.Generator) -> float:
    if zone.heading is None:
        return float(rng.uniform(-math.pi, math.pi))
    back = math.pi if rng.random() < 0.5 else 0.0
    return zone.heading + back + float(rng.normal(0, 0.16))


def _free(actor: Actor, others: list[Actor]) -> bool:
    """Neither standing in another nor hiding right behind one."""
    for other in others:
        apart = math.hypot(actor.x - other.x, actor.y - other.y)
        if apart < 0.8 * (_room(actor) + _room(other)):
            return False
    return True


def _room(actor: Actor) -> float:
    return (KINDS[actor.kind].reach if actor.kind in KINDS else 0.35) * actor.scale


def _placed(
    kind: str,
    plan_zones: tuple[Zone, ...],
    split: Split,
    lit: bool,
    others: list[Actor],
    view: View,
    rng: np.random.Generator,
) -> list[Actor]:
    zones = [z for z in plan_zones if kind in z.kinds]
    weights = tuple(z.weight for z in zones)
    for _ in range(14):
        actor = dressed(kind, split, rng, lit)
        zone = zones[int(rng.choice(len(zones), p=np.asarray(weights) / sum(weights)))]
        spot = _spot(zone, kind, actor.scale, view, rng)
        if spot is None:
            continue
        actor = replace(actor, x=spot[0], y=spot[1], heading=_heading(zone, rng))
        if not _free(actor, others):
            continue
        ridden = kind == "bicycle" and (zone.heading is not None and rng.random() < 0.6)
        return [actor, rider_of(actor, split, rng)] if ridden else [actor]
    return []


def _actors(
    layout: Layout, split: Split, light: str, view: View, rng: np.random.Generator
) -> tuple[Actor, ...]:
    if rng.random() < EMPTY:
        return ()
    wanted = int(rng.choice([n for n, _ in CROWD], p=[p for _, p in CROWD]))
    allowed = {k for z in layout.zones for k in z.kinds}
    kinds = [k for k in CLASS_ODDS if k in allowed]
    odds = np.asarray([CLASS_ODDS[k] for k in kinds])
    lit = light != "day"
    chosen: list[Actor] = []
    near_props = [p for p in layout.props if p.kind not in ("railing", "tuft")]
    for _ in range(wanted):
        kind = kinds[int(rng.choice(len(kinds), p=odds / odds.sum()))]
        chosen += _placed(kind, layout.zones, split, lit, [*chosen, *near_props], view, rng)
    return tuple(chosen)


def plan_scene(seed: int, split: Split = "train", width: int = 960, height: int = 540) -> ScenePlan:
    """Everything random about one scene, the same for the same arguments on every machine."""
    mood_rng, place_rng, actor_rng = (stream(seed, split, key) for key in (_MOOD, _PLACE, _ACTORS))
    names = tuple(PLACES[split])
    place = _choice(mood_rng, names, PLACE_ODDS[split])
    light = _choice(mood_rng, LIGHTS, LIGHT_ODDS)
    weather = _choice(mood_rng, WEATHERS[split], WEATHER_ODDS[split])
    if weather == "glare" and light == "night":
        light = "dusk"  # the sun has to be there to blind
    layout = PLACES[split][place](place_rng)
    view = view_of(layout.camera, width, height)
    actors = _actors(layout, split, light, view, actor_rng)
    hour = {"day": (8, 17), "dusk": (18, 20), "night": (22, 28)}[light]
    clock = 1_741_046_400 + int(mood_rng.integers(0, 200)) * 86_400 + int(mood_rng.uniform(*hour) * 3600)
    caption = f"CAM {int(mood_rng.integers(1, 9)):02d}  {place.replace('_', ' ').upper()}"
    return ScenePlan(
        seed,
        split,
        place,
        light,
        weather,
        width,
        height,
        actors,
        layout,
        _mood(mood_rng, light, weather),
        caption,
        clock,
    )
