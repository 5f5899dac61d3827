"""The pictures that both sides are shown, and what is in them: drawn scenes, or a folder with COCO's labels."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg

from ai.core.detections import Detections
from ai.core.errors import CrossfadeError, InvalidImage
from ai.core.header import read_header
from ai.core.labels import COCO_80, canonical
from ai.demo.scenes import draw_scene
from ai.demo.scoring import Truth
from ai.terminal.progress import Bars, progress

# Landscape, portrait and square; wider and taller than a network's input, and smaller; odd numbers of pixels.
SIZES = ((640, 360), (960, 540), (1280, 720), (640, 480), (405, 720), (1001, 667), (500, 500), (333, 251))
# Of these a decoder may leave out pixels, down to half, a quarter and an odd number of them, for either kind of fit.
LARGE = ((1280, 720), (1920, 1080), (2560, 1440), (1500, 1500), (1440, 2560), (1701, 1333), (2592, 1944))
JPEG_QUALITY = 90
DRAWN_HERE = 100  # a tenth of a second each; a fresh process takes seconds to start
SURE = 0.25  # from here on a detection of the reference may stand for a label

Tell = Callable[[str], None]
Sizes = tuple[tuple[int, int], ...]


class BadLabels(CrossfadeError):
    pass


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    encoded: bytes
    truth: Truth


@dataclass(frozen=True, slots=True)
class LabelledSet:
    source: str
    pictures: tuple[Picture, ...]
    labels: tuple[str, ...]  # what the class ids of the truth mean

    @property
    def digest(self) -> str:
        """Of every picture and all that is said of it."""
        digest = hashlib.sha256(repr(self.labels).encode())
        for picture in self.pictures:
            digest.update(hashlib.sha256(picture.encoded).digest())
            digest.update(picture.truth.boxes.tobytes() + picture.truth.class_ids.tobytes())
        return digest.hexdigest()

    def truths_for(self, labels: tuple[str, ...]) -> list[Truth]:
        """In a detector's own classes; a label that it does not know is no object for it."""
        own = {canonical(label): index for index, label in enumerate(labels)}
        translate = np.array([own.get(canonical(label), -1) for label in self.labels], np.int64)
        return [_translated(picture.truth, translate) for picture in self.pictures]


def _translated(truth: Truth, translate: np.ndarray[Any, np.dtype[np.int64]]) -> Truth:
    class_ids = translate[truth.class_ids]
    known = class_ids >= 0
    crowds = truth.crowds[known] if len(truth.crowds) else truth.crowds
    return Truth(truth.boxes[known], class_ids[known], crowds)


def truth_of(detections: Detections) -> Truth:
    """What the reference is sure of, taken for the truth."""
    sure = [one for one in detections if one.score >= SURE]
    boxes = np.array([(one.x1, one.y1, one.x2, one.y2) for one in sure], np.float32).reshape(-1, 4)
    return Truth(boxes, np.array([one.class_id for one in sure], np.int64))


def drawn(count: int, bars: Bars = progress, sizes: Sizes = SIZES) -> LabelledSet:
    """Scenes that no training saw, of places, figures and weather that no training saw."""
    pictures = []
    with bars("drawing", count, "scenes") as bar:
        for picture in _all_drawn(count, sizes):
            pictures.append(picture)
            bar.advance()
    return LabelledSet("drawn scenes, held out from training", tuple(pictures), COCO_80)


def _all_drawn(count: int, sizes: Sizes) -> Iterator[Picture]:
    """By several processes where that pays. Fresh ones: what forks beside gRPC's or an engine's threads may hang."""
    draw = partial(_draw, sizes=sizes)
    if count <= DRAWN_HERE:
        yield from map(draw, range(count))
        return
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_processes(), fresh, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.map(draw, range(count), chunksize=4)


def _draw(seed: int, sizes: Sizes) -> Picture:
    width, height = sizes[seed % len(sizes)]
    scene = draw_scene(seed, "heldout", width, height)
    encoded = simplejpeg.encode_jpeg(scene.image, quality=JPEG_QUALITY)
    return Picture(f"scene {seed}", encoded, Truth(scene.boxes, scene.class_ids))


def _processes() -> int:
    return len(os.sched_getaffinity(0))


def folder(images: Path, annotations: Path, at_most: int | None = None) -> LabelledSet:
    """A folder of pictures with labels as COCO writes them; BadLabels says what is wrong with which."""
    try:
        table = json.loads(annotations.read_text(encoding="utf-8"))
        labels = {one["id"]: str(one["name"]) for one in table["categories"]}
        by_image: dict[Any, list[dict[str, Any]]] = {one["id"]: [] for one in table["images"]}
        for one in table["annotations"]:
            by_image[one["image_id"]].append(one)
        order = {category: index for index, category in enumerate(labels)}
        pictures = tuple(
            Picture(str(image["file_name"]), _read(images, image), _truth(by_image[image["id"]], order))
            for image in table["images"][:at_most]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise BadLabels(f"{annotations} cannot be read as COCO's labels: {what}") from error
    if not pictures:
        raise BadLabels(f"{annotations} names no picture")
    return LabelledSet(f"{images.name} with {annotations.name}", pictures, tuple(labels.values()))


def _read(images: Path, image: dict[str, Any]) -> bytes:
    """A picture whose size is another than its labels were made for would fail both sides, or worse, neither."""
    path = images / str(image["file_name"])
    if not path.resolve().is_relative_to(images.resolve()):
        raise BadLabels(f"{image['file_name']} lies outside {images}")
    try:
        encoded = path.read_bytes()
        header = read_header(encoded)
    except (OSError, InvalidImage) as error:
        raise BadLabels(f"{path}: {error}") from error
    told = image.get("width"), image.get("height")
    if None not in told and told not in {(header.width, header.height), header.stored_size}:
        raise BadLabels(f"{path} has {header.width} x {header.height} pixels; its labels are for {told}")
    return encoded


def _truth(annotations: Sequence[dict[str, Any]], order: dict[Any, int]) -> Truth:
    boxes = [(x, y, x + w, y + h) for x, y, w, h in (one["bbox"] for one in annotations)]
    return Truth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([order[one["category_id"]] for one in annotations], np.int64),
        np.array([bool(one.get("iscrowd", 0)) for one in annotations], np.bool_),
    )
