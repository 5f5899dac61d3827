"""Sky, light and shine: what turns painted colours into a picture taken at some hour."""

from __future__ import annotations

import cv2
import numpy as np

from ai.demo.paint import mix, noise_patch, toned
from ai.demo.plans import Colour, Floats, ScenePlan, floats
from ai.demo.view import View

# Zenith and horizon by light; grey weather pulls both to GREY.
SKIES: dict[str, tuple[Colour, Colour]] = {
    "day": ((0.36, 0.56, 0.8), (0.78, 0.86, 0.92)),
    "dusk": ((0.36, 0.36, 0.56), (0.98, 0.66, 0.46)),
    "night": ((0.04, 0.04, 0.05), (0.1, 0.1, 0.1)),
}
GREY: Colour = (0.7, 0.72, 0.75)
GREYNESS = {"overcast": 0.85, "rain": 0.9, "fog": 0.9, "snow": 0.85}
AMBIENT: dict[str, Colour] = {"day": (1.0, 1.0, 1.0), "dusk": (0.72, 0.68, 0.79), "night": (1.0, 1.0, 1.0)}
LAMP: Colour = (1.0, 0.74, 0.42)
SMALL = 8  # light changes slowly: it is computed on every eighth pixel


def sky_colours(plan: ScenePlan) -> tuple[Colour, Colour]:
    grey = GREYNESS.get(plan.weather, 0.0)
    top, low = SKIES[plan.light]
    shade = {"day": 1.0, "dusk": 0.62, "night": 0.1}[plan.light]
    return mix(top, toned(GREY, shade * 0.88), grey), mix(low, toned(GREY, shade), grey)


def paint_sky(plan: ScenePlan, rows: int) -> Floats:
    """The sky down to the horizon, with soft clouds that flatten towards it."""
    w = plan.width
    top, low = sky_colours(plan)
    fall = np.linspace(0, 1, rows, dtype=np.float32)[:, None] ** 0.8
    cloud = noise_patch(rows, w, plan.seed % 5000 + 3, w / 260)
    cloud = np.clip(0.35 * cloud + 0.1, 0, 0.75) * (1 - 0.5 * fall)
    planes = []
    for a, b in zip(top, low, strict=True):
        base = a + (b - a) * fall
        white = min(max(a, b) * 1.12 + 0.03, 1.0)
        planes.append((base + cloud * (white - base)).astype(np.float32))
    return floats(cv2.merge(planes))


def paint_ridge(picture: Floats, plan: ScenePlan, horizon: int) -> None:
    """Far trees, roofs or hills along the horizon, paled by the air."""
    tall = int(plan.height * (0.05 if plan.layout.ridge == "hills" else 0.07))
    if horizon <= 0 or tall < 3:
        return
    w = plan.width
    noise = noise_patch(2, w, plan.seed % 900, w / 330)[0]
    if plan.layout.ridge == "roofs":
        step = max(w // 26, 4)
        noise = np.repeat(noise[::step], step)[:w]
    elif plan.layout.ridge == "trees":
        noise = noise + 0.5 * noise_patch(2, w, plan.seed % 700, w / 1400, 1)[0]
    high = horizon - tall * (0.55 + 0.22 * noise[None])
    top = max(horizon - 2 * tall, 0)
    rows = np.arange(top, min(horizon + 2, plan.height), dtype=np.float32)[:, None]
    mask = np.clip(rows - high + 0.5, 0, 1)[..., None].astype(np.float32)
    _, low = sky_colours(plan)
    hue: Colour = (0.3, 0.36, 0.26) if plan.layout.ridge == "trees" else (0.42, 0.42, 0.46)
    area = picture[top : top + len(rows)]
    area += mask * (floats(mix(hue, low, 0.42)) - area)


def _pool(light: Floats, view: View, x: float, y: float, reach: float, colour: Colour, gain: float) -> None:
    """A soft ellipse of lamplight on the ground, and the glow round it."""
    u, v = view.pixel(x, y)
    depth = max(y * view.cos + view.eye * view.sin, 1.0)
    wide = view.focal * reach / depth
    flat = wide * np.clip(view.eye / max(y, 1.0), 0.22, 0.9)
    ys = ((np.arange(light.shape[0], dtype=np.float32) + 0.5) * SMALL - v + flat * 0.25)[:, None] / flat
    xs = ((np.arange(light.shape[1], dtype=np.float32) + 0.5) * SMALL - u)[None] / wide
    spot = np.exp(-(ys * ys + xs * xs)) * gain
    light += spot[..., None] * floats(colour)


def light_map(plan: ScenePlan, view: View) -> Floats:
    """What each pixel's own colour is multiplied by, before the infrared lamp's fall-off."""
    h, w = -(-plan.height // SMALL), -(-plan.width // SMALL)
    mood = plan.mood
    warm = (1 + 0.05 * mood.warmth, 1.0, 1 - 0.06 * mood.warmth)
    light = np.empty((h, w, 3), dtype=np.float32)
    light[:] = [a * b * mood.exposure for a, b in zip(AMBIENT[plan.light], warm, strict=True)]
    light *= np.linspace(1.05, 0.93, h, dtype=np.float32)[:, None, None]
    if plan.light == "day":
        clouds = noise_patch(h, w, plan.seed % 3000, w / 30)[..., None]
        light *= 1 + 0.05 * mood.power * clouds
    if plan.light == "dusk":
        for prop in plan.layout.props:
            if prop.kind == "lamp":
                _pool(light, view, prop.x, prop.y, 4.2 * prop.scale, LAMP, 0.8)
        for car in plan.actors:
            if car.lit and car.kind in ("car", "truck"):
                ahead = 4.5
                _pool(
                    light,
                    view,
                    car.x + ahead * np.cos(car.heading),
                    max(car.y + ahead * np.sin(car.heading), 2.0),
                    2.6,
                    (1.0, 0.93, 0.78),
                    0.5,
                )
    return light


def shine(picture: Floats, glow: Floats, plan: ScenePlan, view: View) -> Floats:
    """Multiply by the light, keep what shines by itself, and let it bloom."""
    size = (plan.width, plan.height)
    light = cv2.resize(light_map(plan, view), size, interpolation=cv2.INTER_LINEAR)
    if plan.light == "day":
        return picture * light
    lit = picture * np.maximum(light, 1.35 * glow[..., None])
    small = cv2.resize(
        picture * glow[..., None], (max(size[0] // 8, 1), max(size[1] // 8, 1)), interpolation=cv2.INTER_AREA
    )
    bloom = cv2.GaussianBlur(small, (0, 0), max(size[0] / 420, 0.6)) + 0.7 * cv2.GaussianBlur(
        small, (0, 0), max(size[0] / 130, 1.0)
    )
    return floats(lit + 0.75 * cv2.resize(bloom, size, interpolation=cv2.INTER_LINEAR))


def infrared(picture: Floats, glow: Floats, distance: Floats, plan: ScenePlan) -> Floats:
    """Grey, lit by the camera's own lamp: near is bright, far fades, reflectors flare."""
    h, w = distance.shape
    weights = floats([0.45, 0.35, 0.2])
    grey = cv2.transform(picture, weights[None]) * 0.7 + 0.2
    reach = 12 + 9 * plan.mood.exposure
    gain = 0.26 + 0.92 / (1 + (distance / reach) ** 2)
    y = (np.linspace(-1, 1, h, dtype=np.float32)[:, None] - 0.1) ** 2
    x = (np.linspace(-1, 1, w, dtype=np.float32)[None] + 0.12 * plan.mood.warmth) ** 2
    spot = np.exp(-0.62 * (x + y))
    lit = grey * gain * spot * plan.mood.exposure
    lit = lit + glow * (0.25 + 0.75 * gain)
    small = cv2.resize(glow, (max(w // 4, 1), max(h // 4, 1)), interpolation=cv2.INTER_AREA)
    bloom = cv2.resize(
        cv2.GaussianBlur(small, (0, 0), max(w / 400, 0.6)), (w, h), interpolation=cv2.INTER_LINEAR
    )
    return floats(cv2.merge([lit + 0.8 * bloom] * 3))
