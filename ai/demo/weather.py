"""Weather between scene and lens, then the camera's own faults and its on-screen text."""

from __future__ import annotations

import time

import cv2
import numpy as np

from ai.demo.light import sky_colours
from ai.demo.paint import noise_patch
from ai.demo.plans import Floats, Image, ScenePlan, floats, stream

_NOISE, _DROPS, _FALL = 11, 12, 13  # streams of randomness


def _unit(plan: ScenePlan) -> float:
    """One pixel of a 640 x 360 picture, in pixels of this one."""
    return float(np.sqrt(plan.width * plan.height / (640 * 360)))


def air(picture: Floats, distance: Floats, plan: ScenePlan) -> Floats:
    """Distance pales everything a little; fog a lot."""
    density = plan.mood.haze
    if plan.weather == "fog":
        density = 0.022 + 0.03 * plan.mood.amount
    elif plan.weather == "snow":
        density = 0.012
    elif plan.light == "night":
        return picture
    colour = floats(sky_colours(plan)[1]) * (0.62 if plan.light == "dusk" else 0.94)
    if plan.light == "night":
        colour, density = floats([0.26, 0.26, 0.26]), density * 0.55
    veil = (1 - np.exp(-density * distance))[..., None]
    return floats(picture + veil * (colour - picture))


def _streaks(plan: ScenePlan) -> Floats:
    rng = stream(plan.seed, plan.split, _FALL, plan.frame)
    unit = _unit(plan)
    layer = np.zeros((plan.height, plan.width), dtype=np.uint8)
    slant = float(rng.uniform(-0.25, 0.25))
    for _ in range(int(170 * plan.mood.amount)):
        x, y = float(rng.uniform(0, plan.width)), float(rng.uniform(-10, plan.height))
        long = float(rng.uniform(8, 26)) * unit
        cv2.line(
            layer,
            (int(x), int(y)),
            (int(x + slant * long), int(y + long)),
            (int(rng.uniform(50, 130)),),
            max(int(unit * 0.7), 1),
            cv2.LINE_AA,
        )
    return cv2.GaussianBlur(layer, (0, 0), 0.6 * unit).astype(np.float32)[..., None] / 255


def _flakes(plan: ScenePlan) -> Floats:
    rng = stream(plan.seed, plan.split, _FALL, plan.frame)
    unit = _unit(plan)
    layer = np.zeros((plan.height, plan.width), dtype=np.uint8)
    for _ in range(int(230 * plan.mood.amount)):
        centre = (int(rng.uniform(0, plan.width) * 16), int(rng.uniform(0, plan.height) * 16))
        radius = float(rng.uniform(0.5, 1.7) if rng.random() < 0.96 else rng.uniform(2, 3.4)) * unit
        cv2.circle(layer, centre, int(radius * 16), (int(rng.uniform(110, 235)),), -1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(layer, (0, 0), 0.6 * unit).astype(np.float32)[..., None] / 255


def _glare(picture: Floats, plan: ScenePlan) -> Floats:
    """A low sun at the picture's edge: a burning corner, a veil, a few ghosts."""
    rng = stream(plan.seed, plan.split, _DROPS)
    h, w = picture.shape[:2]
    sx, sy = float(rng.choice([0.06, 0.94])) * w, float(rng.uniform(-0.05, 0.18)) * h
    small_h, small_w = max(h // 4, 1), max(w // 4, 1)
    y = ((np.arange(small_h, dtype=np.float32) * 4 - sy) / h)[:, None]
    x = ((np.arange(small_w, dtype=np.float32) * 4 - sx) / h)[None]
    r2 = x * x + y * y
    ray = 1 + 0.35 * np.cos(np.arctan2(y, x) * 14) * np.exp(-r2 * 3)
    burn = (0.95 * np.exp(-r2 * 22) + 0.42 * np.exp(-r2 * 2.6)) * ray + 0.1
    for t in (0.55, 0.85, 1.3):
        gx, gy = sx + (w / 2 - sx) * t * 1.4, sy + (h / 2 - sy) * t * 1.4
        g2 = (
            (
                ((np.arange(small_h) * 4 - gy) / h)[:, None] ** 2
                + ((np.arange(small_w) * 4 - gx) / h)[None] ** 2
            )
            * 900
            / t
        )
        burn = burn + 0.06 * np.clip(1.2 - g2, 0, 1)
    full = (
        cv2.resize(burn.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)[..., None]
        * plan.mood.amount
    )
    return floats(picture * (1 - 0.22 * np.minimum(full, 1)) + full * floats([1.0, 0.84, 0.58]))


def _drops(picture: Floats, plan: ScenePlan) -> Floats:
    """Drops on the glass: each a small, bright, upside-down picture of what is behind it."""
    rng = stream(plan.seed, plan.split, _DROPS)
    h, w = picture.shape[:2]
    out = picture.copy()
    for _ in range(int(16 + 26 * plan.mood.amount)):
        r = int(max(rng.uniform(0.008, 0.032) * h, 2))
        cx, cy = int(rng.uniform(r, w - r)), int(rng.uniform(r, h - r))
        y0, y1, x0, x1 = max(cy - r, 0), min(cy + r, h), max(cx - r, 0), min(cx + r, w)
        ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        d2 = ((xs - cx) ** 2 + (ys - cy) ** 2) / (r * r)
        mask = np.clip((1 - d2) * r * 0.4, 0, 1)[..., None] * 0.85
        behind = cv2.blur(np.ascontiguousarray(picture[y0:y1, x0:x1][::-1, ::-1]), (3, 3))
        rim = (0.86 + 0.3 * np.clip((cy - ys) / r + 0.2, -0.6, 1) * d2)[..., None]
        out[y0:y1, x0:x1] += mask * (behind * rim + 0.04 - out[y0:y1, x0:x1])
    return out


def weathered(picture: Floats, plan: ScenePlan) -> Floats:
    if plan.weather == "rain":
        return floats(picture + 0.42 * _streaks(plan) * (0.85 if plan.light == "day" else 0.55))
    if plan.weather == "snow":
        return floats(picture + _flakes(plan) * (0.92 - np.minimum(picture, 0.92)))
    if plan.weather == "glare":
        return _glare(picture, plan)
    if plan.weather == "wet_lens":
        return _drops(picture, plan)
    return picture


def _smeared(picture: Floats, plan: ScenePlan) -> Floats:
    unit = _unit(plan)
    sigma = plan.mood.blur * unit
    if plan.mood.motion:
        size = max(int(plan.mood.motion * unit), 2)
        picture = cv2.blur(picture, (size, 1))
    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.35 else picture


def _grain(plan: ScenePlan) -> Floats:
    """Sensor noise: fine, with a coarser blotch on top, as after a camera's own denoiser."""
    rng = stream(plan.seed, plan.split, _NOISE, plan.frame)
    fine = rng.standard_normal((plan.height, plan.width), dtype=np.float32)
    fine = 0.8 * fine + 0.4 * noise_patch(plan.height, plan.width, int(rng.integers(4000)), 1.0, 1)
    if plan.light == "night":
        return fine[..., None]
    return cv2.merge([fine, np.roll(fine, 7919), np.roll(fine, -5477)])  # far shifts look independent


def developed(picture: Floats, plan: ScenePlan) -> Image:
    """Vignette, a soft shoulder for the highlights, blur, noise, text, JPEG."""
    h, w = picture.shape[:2]
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) ** 2 for n in (h, w))
    picture = _smeared(picture, plan) * (1.03 - 0.13 * (y[:, None] + x[None]))[..., None]
    picture = picture - 0.45 * np.maximum(picture - 0.75, 0)
    picture = picture + plan.mood.noise * _grain(plan)
    image = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    _text(image, plan)
    if plan.mood.jpeg >= 96:
        return image
    _, code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, plan.mood.jpeg])
    return np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])


def _text(image: Image, plan: ScenePlan) -> None:
    """The camera's on-screen display: its name below, the time above."""
    stamp = time.strftime("%Y-%m-%d  %H:%M:%S", time.gmtime(plan.clock + plan.frame // 10))
    size = 0.36 * _unit(plan)
    thick = max(round(_unit(plan)), 1)
    margin = int(9 * _unit(plan))
    width = cv2.getTextSize(plan.caption, cv2.FONT_HERSHEY_SIMPLEX, size, thick)[0][0]
    for text, at in (
        (stamp, (margin, margin + int(8 * _unit(plan)))),
        (plan.caption, (plan.width - width - margin, plan.height - margin)),
    ):
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (25, 25, 25), thick + 2, cv2.LINE_AA)
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (238, 238, 232), thick, cv2.LINE_AA)
