"""Scenes drawn once, by every core, into flat arrays that a GPU can hold whole."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ai.demo.scenes import Scene, Split, draw_scene

WIDTH, HEIGHT = 640, 360
MAX_OBJECTS = 16
NO_OBJECT = -1


@dataclass(frozen=True, slots=True)
class SceneArrays:
    images: npt.NDArray[np.uint8]  # [n, HEIGHT, WIDTH, 3]
    boxes: npt.NDArray[np.float32]  # [n, MAX_OBJECTS, 4], xyxy pixels
    class_ids: npt.NDArray[np.int64]  # [n, MAX_OBJECTS], NO_OBJECT where there is none


def draw_arrays(count: int, first_seed: int, split: Split, folder: Path, processes: int) -> SceneArrays:
    """`count` scenes of consecutive seeds, drawn once; their pictures live in a memory-mapped file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{split}-{first_seed}-{count}.npy"
    labels = file.with_suffix(".npz")  # written last: where it is, the drawing was finished
    if labels.exists():
        known = np.load(labels)
        return SceneArrays(np.load(file, mmap_mode="r+"), known["boxes"], known["class_ids"])
    images = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        file, mode="w+", dtype=np.uint8, shape=(count, HEIGHT, WIDTH, 3)
    )
    boxes = np.zeros((count, MAX_OBJECTS, 4), dtype=np.float32)
    class_ids = np.full((count, MAX_OBJECTS), NO_OBJECT, dtype=np.int64)
    draw = partial(_draw, split=split)
    with ProcessPoolExecutor(processes, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        scenes = pool.map(draw, range(first_seed, first_seed + count), chunksize=16)
        for index, (image, scene_boxes, scene_classes) in enumerate(scenes):
            kept = min(len(scene_boxes), MAX_OBJECTS)
            images[index] = image
            boxes[index, :kept], class_ids[index, :kept] = scene_boxes[:kept], scene_classes[:kept]
    np.savez(labels, boxes=boxes, class_ids=class_ids)
    return SceneArrays(images, boxes, class_ids)


def _draw(
    seed: int, split: Split
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    scene: Scene = draw_scene(seed, split, WIDTH, HEIGHT)
    return scene.image, scene.boxes, scene.class_ids
