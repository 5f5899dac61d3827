"""Synthetic camera scenes with exact boxes: plan_scene decides, render paints.

scene = draw_scene(7)                    # train split, 960 x 540
scene.image, scene.boxes, scene.class_ids
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ai.demo.figures import parts_of, sprite_for
from ai.demo.foliage import SIZES
from ai.demo.ground import paint_ground
from ai.demo.light import infrared, paint_ridge, paint_sky, shine, sky_colours
from ai.demo.paint import Placed, Sprite, fixed, outline, placed
from ai.demo.planning import plan_scene
from ai.demo.plans import CLASS_IDS, Actor, Floats, Scene, ScenePlan, Split
from ai.demo.view import View, view_of
from ai.demo.walls import wall_sprites
from ai.demo.weather import air, developed, weathered

__all__ = ["CLASS_IDS", "Actor", "Scene", "ScenePlan", "Split", "draw_scene", "plan_scene", "render"]

SEEN = 0.35  # an object of which less shows gets no box, and is left out of the picture
SMALLEST = 10.0  # pixels of a 640 x 360 picture, in the larger direction
SOLID = 0.35  # alpha from which a pixel counts as the object's
_SHADOW = 2  # shadows are drawn at half size: they are soft anyway


@dataclass(frozen=True, slots=True)
class Layer:
    """A sprite in the stack, and whose it is: an index into the actors, or -1."""

    sprite: Sprite
    owner: int


@dataclass(frozen=True, slots=True)
class Canvas:
    """The picture while it is painted: own colours, what shines, how far each pixel is."""

    colour: Floats
    glow: Floats
    distance: Floats


def _props(plan: ScenePlan, view: View) -> list[Layer]:
    lit = plan.light != "day"
    layers = [
        Layer(s, -1) for w in plan.layout.walls for s in wall_sprites(w, view, lit and plan.light == "dusk")
    ]
    for i, prop in enumerate(plan.layout.props):
        sprite = sprite_for(replace(prop, lit=lit and prop.kind == "lamp"), view, plan.seed % 8191 + 13 * i)
        if sprite is not None:
            layers.append(Layer(sprite, -1))
    return layers


def _actors(plan: ScenePlan, view: View) -> list[Layer]:
    layers = []
    for i, actor in enumerate(plan.actors):
        sprite = sprite_for(actor, view, plan.seed % 8191 + 101 * i)
        if sprite is not None:
            if actor.pose == "ride":  # in front of the bicycle that shares its place
                sprite = replace(sprite, distance=sprite.distance - 0.05)
            layers.append(Layer(sprite, i))
    return layers


def _stacked(layers: list[Layer]) -> list[Layer]:
    return sorted(layers, key=lambda layer: -layer.sprite.distance)


def _owners(stack: list[Layer], plan: ScenePlan) -> Floats:
    """For each pixel, the position in the stack of the solid thing seen there."""
    owners = np.full((plan.height, plan.width), -1, dtype=np.int16)
    for position, layer in enumerate(stack):
        rows, columns, own_rows, own_columns = layer.sprite.window(plan.width, plan.height)
        owners[rows, columns][layer.sprite.alpha[own_rows, own_columns] >= SOLID] = position
    return owners


def _box(seen: Floats, left: int, top: int) -> tuple[float, float, float, float]:
    ys, xs = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return (left + float(xs[0]), top + float(ys[0]), left + float(xs[-1]) + 1, top + float(ys[-1]) + 1)


def _seen(
    stack: list[Layer], plan: ScenePlan
) -> dict[int, tuple[float, tuple[float, float, float, float] | None]]:
    """By actor: the share of it that shows, and the box round that."""
    owners = _owners(stack, plan)
    result: dict[int, tuple[float, tuple[float, float, float, float] | None]] = {}
    for position, layer in enumerate(stack):
        if layer.owner < 0:
            continue
        rows, columns, _, _ = layer.sprite.window(plan.width, plan.height)
        mine = owners[rows, columns] == position
        whole, shown = int((layer.sprite.alpha >= SOLID).sum()), int(mine.sum())
        box = _box(mine, columns.start, rows.start) if shown else None
        result[layer.owner] = (shown / max(whole, 1), box)
    return result


def _too_little(share: float, box: tuple[float, float, float, float] | None, unit: float) -> bool:
    return share < SEEN or box is None or max(box[2] - box[0], box[3] - box[1]) < SMALLEST * unit


def _kept(
    layers: list[Layer], plan: ScenePlan
) -> tuple[list[Layer], dict[int, tuple[float, float, float, float]]]:
    """Drop the least visible object until every one left deserves its box."""
    unit = float(np.sqrt(plan.width * plan.height / (640 * 360)))
    stack = _stacked(layers)
    while True:
        seen = _seen(stack, plan)
        poor = {i: share for i, (share, box) in seen.items() if _too_little(share, box, unit)}
        if not poor:
            return stack, {i: box for i, (_, box) in seen.items() if box is not None}
        worst = min(poor, key=poor.__getitem__)
        stack = [layer for layer in stack if layer.owner != worst]


def _cast(mask: Floats, figure: Placed, view: View, lean: tuple[float, float], ceiling: float) -> None:
    """Flatten the figure onto the ground along the sun's rays and fill its outline."""
    world = figure.world.copy()
    high = np.clip(world[:, 2], 0, None)
    world[:, 0] += lean[0] * high
    world[:, 1] += lean[1] * high
    world[:, 2] = 0
    pixels, depth = view.project(world)
    radii = figure.radii * (figure.depth / depth)
    for i in range(len(figure.parts)):
        span = figure.span(i)
        if float(high[span].min()) <= ceiling and float(depth[span].min()) > 0.6:
            cv2.fillConvexPoly(
                mask, fixed(outline(pixels[span], radii[span]) / _SHADOW), (255,), cv2.LINE_AA, 4
            )


def _shadows(plan: ScenePlan, view: View, actors: list[Actor]) -> Floats:
    """How much light reaches each ground pixel: cast shadows, and the dark where things stand."""
    shape = (-(-plan.height // _SHADOW), -(-plan.width // _SHADOW))
    cast, contact = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint8)
    for actor in actors:
        if actor.kind in SIZES:
            _pad(contact, actor, view)
            continue
        figure = placed(parts_of(actor), actor, view)
        _cast(contact, figure, view, (0.0, 0.0), 0.35)
        if plan.mood.power > 0.05:
            _cast(cast, figure, view, plan.mood.sun, 99.0)
    soft = plan.height / 360
    near = cv2.GaussianBlur(contact, (0, 0), 2.2 * soft).astype(np.float32) / 255
    far = cv2.GaussianBlur(cast, (0, 0), 1.1 * soft).astype(np.float32) / 255
    light = (1 - 0.5 * near) * (1 - 0.42 * plan.mood.power * far)
    return cv2.resize(light, (plan.width, plan.height), interpolation=cv2.INTER_LINEAR)


def _pad(mask: Floats, actor: Actor, view: View) -> None:
    """The shade under a tree or a bush."""
    half = SIZES[actor.kind][0] * actor.scale * 0.42
    steps = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    rim = np.stack(
        [actor.x + half * np.cos(steps), np.maximum(actor.y + 0.5 * half * np.sin(steps), 0.8), 0 * steps],
        axis=1,
    )
    cv2.fillConvexPoly(mask, fixed(view.project(rim.astype(np.float32))[0] / _SHADOW), (170,), cv2.LINE_AA, 4)


def _backdrop(plan: ScenePlan, view: View, standing: list[Actor]) -> Canvas:
    """Sky, far ridge and shadowed ground."""
    horizon = int(np.clip(round(view.horizon) + 1, 0, plan.height - 2))
    picture = np.empty((plan.height, plan.width, 3), dtype=np.float32)
    distance = np.full((plan.height, plan.width), 90.0, dtype=np.float32)
    if horizon > 0:
        picture[:horizon] = paint_sky(plan, horizon)
    wet = plan.mood.amount if plan.weather == "rain" else 0.0
    snow = plan.mood.amount if plan.weather == "snow" else 0.0
    ground, away = paint_ground(plan.layout, view, horizon, sky_colours(plan)[1], wet, snow)
    picture[horizon:] = ground * _shadows(plan, view, standing)[horizon:, :, None]
    distance[horizon:] = np.minimum(away, 160)
    paint_ridge(picture, plan, horizon)
    return Canvas(picture, np.zeros_like(distance), distance)


def _composite(canvas: Canvas, sprite: Sprite, plan: ScenePlan) -> None:
    rows, columns, own_rows, own_columns = sprite.window(plan.width, plan.height)
    alpha = sprite.alpha[own_rows, own_columns]
    if not alpha.size:
        return
    clear = 1 - alpha
    area = canvas.colour[rows, columns]
    area *= clear[..., None]
    area += sprite.colour[own_rows, own_columns]
    canvas.glow[rows, columns] *= clear
    if sprite.glow is not None:
        canvas.glow[rows, columns] += sprite.glow[own_rows, own_columns]
    canvas.distance[rows, columns] += alpha * (sprite.distance - canvas.distance[rows, columns])


def render(plan: ScenePlan) -> Scene:
    """Paint the plan. Objects of which too little would show are left out, picture and boxes alike."""
    view = view_of(plan.layout.camera, plan.width, plan.height)
    stack, boxes = _kept([*_props(plan, view), *_actors(plan, view)], plan)
    order = sorted(boxes)
    kept = replace(plan, actors=tuple(plan.actors[i] for i in order))
    canvas = _backdrop(kept, view, [*plan.layout.props, *kept.actors])
    for layer in stack:
        _composite(canvas, layer.sprite, plan)
    if plan.light == "night":
        lit = infrared(canvas.colour, canvas.glow, canvas.distance, kept)
    else:
        lit = shine(canvas.colour, canvas.glow, kept, view)
    image = developed(weathered(air(lit, canvas.distance, kept), kept), kept)
    ids = [CLASS_IDS[actor.kind] for actor in kept.actors]
    return Scene(
        image, np.array([boxes[i] for i in order], np.float32).reshape(-1, 4), np.array(ids, np.int64), kept
    )


def draw_scene(seed: int, split: Split = "train", width: int = 960, height: int = 540) -> Scene:
    return render(plan_scene(seed, split, width, height))
