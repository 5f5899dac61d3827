"""What a scene is before it is painted: plain frozen data, in metres and fractions of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Split = Literal["train", "heldout"]
Colour = tuple[float, float, float]  # RGB, 0..1
Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[Any]  # float32, or a mask; OpenCV's stubs lose the element type

CLASS_IDS: dict[str, int] = {
    "person": 0,
    "bicycle": 1,
    "car": 2,
    "truck": 7,
    "cat": 15,
    "dog": 16,
}
SPLIT_CODES: dict[Split, int] = {"train": 1, "heldout": 2}


def floats(values: npt.ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float32)


def stream(seed: int, split: Split, *keys: int) -> np.random.Generator:
    """One independent, reproducible source of randomness per (seed, split, purpose)."""
    return np.random.default_rng(np.random.SeedSequence([seed, SPLIT_CODES[split], *keys]))


@dataclass(frozen=True, slots=True)
class Actor:
    """One thing that stands on the ground: a labelled object, or a prop such as a bin."""

    kind: str
    style: str
    x: float  # metres to the right of the camera
    y: float  # metres in front of the camera
    heading: float  # radians; 0 faces right in the picture, -pi/2 faces the camera
    scale: float = 1.0
    pose: str = "stand"
    phase: float = 0.0  # where in its gait, 0..1
    colours: tuple[Colour, ...] = ()
    genes: tuple[float, ...] = ()  # continuous shape parameters in -1..1, read by the figure
    z: float = 0.0  # metres above the ground (things on steps, riders)
    lit: bool = False  # lamps, headlights: on at dusk and night


@dataclass(frozen=True, slots=True)
class Camera:
    height: float  # metres
    focal: float  # of the reference size of the image
    horizon: float  # of the image's height, from the top


@dataclass(frozen=True, slots=True)
class Strip:
    """A band of another material on the ground: a road, a path, a bed."""

    axis: Literal["along", "across"]  # runs away from the camera, or from left to right
    centre: float
    half: float
    material: str
    tint: float = 0.0
    slope: float = 0.0
    bend: float = 0.0
    wave: float = 0.1
    phase: float = 0.0
    kerb: float = 0.0  # width of the stone edge; 0 for none
    lines: str = ""  # painted marks: "dashes", "bays", "edges"


@dataclass(frozen=True, slots=True)
class Wall:
    """An upright textured rectangle from (x0, y0) to (x1, y1)."""

    x0: float
    y0: float
    x1: float
    y1: float
    height: float
    style: str
    colour: Colour
    trim: Colour
    openings: tuple[str, ...]
    seed: int
    roof: float = 0.0  # rise of the pitched roof above the wall; 0 for none
    roof_colour: Colour = (0.35, 0.25, 0.22)


@dataclass(frozen=True, slots=True)
class Zone:
    """Where objects of these kinds may be, and which way they tend to face there."""

    kinds: tuple[str, ...]
    x0: float
    x1: float
    y0: float
    y1: float
    heading: float | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything about a place that does not move."""

    camera: Camera
    ground: str
    ground_tint: float
    strips: tuple[Strip, ...]
    walls: tuple[Wall, ...]
    props: tuple[Actor, ...]
    zones: tuple[Zone, ...]
    ridge: str  # what closes the horizon: "trees", "roofs", "hills"
    puddles: float = 0.0


@dataclass(frozen=True, slots=True)
class Mood:
    """Light, air and camera quality, as numbers."""

    sun: tuple[float, float]  # metres of shadow, right and away, for each metre of height
    power: float  # 0 no cast shadow .. 1 hard sun
    exposure: float
    warmth: float
    haze: float
    noise: float
    blur: float
    motion: float
    jpeg: int  # 100: not recompressed
    amount: float  # of the weather: rain, snow, fog ...


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """Everything random is decided here; render adds nothing but noise from the seed."""

    seed: int
    split: Split
    place: str
    light: str
    weather: str
    width: int
    height: int
    actors: tuple[Actor, ...]
    layout: Layout
    mood: Mood
    caption: str
    clock: int  # seconds since the epoch shown on the picture
    frame: int = 0  # a live camera counts up: other sensor noise, other rain


@dataclass(frozen=True, slots=True)
class Scene:
    image: Image
    boxes: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    plan: ScenePlan  # its actors are those that have a box, in the boxes' order
