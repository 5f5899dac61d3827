"""What a detector's own file says of it, and the spec that follows. For YOLOv8, v10, 11, 26 and RT-DETR as
ultralytics writes them: names, size and task stand in the file, the layout is seen from an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ai.core.errors import CrossfadeError
from ai.core.labels import canonical
from ai.core.spec import DetectorSpec

SCORE_FLOOR = 0.05  # both sides of the switch answer from here on
NMS_IOU = 0.7  # what ultralytics suppresses with
MAX_DETECTIONS = 300
RTDETR_HEAD = "RTDETRDecoder"
HEADS = ("Detect", "v10Detect", RTDETR_HEAD)


class CannotDescribe(CrossfadeError):
    """No spec can be read out of the file."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem}; for any other detector a spec can be written by hand (docs/own-detector.md)"
        )


@dataclass(frozen=True, slots=True)
class Facts:
    task: str
    names: tuple[str, ...]
    width: int
    height: int
    head: str | None = None  # as ultralytics calls it; older files do not say
    channels: int = 3
    each_object_once: bool = False  # an NMS-free head, or NMS inside the graph: rows with corners
    input_name: str = "images"
    output_name: str = "detections"

    def __post_init__(self) -> None:
        if self.task != "detect":
            raise CannotDescribe(f"the network's task is {self.task!r}; allowed is 'detect'")
        if self.head not in (None, *HEADS):
            raise CannotDescribe(f"the network's head is {self.head}; allowed are {', '.join(HEADS)}")
        if self.channels != 3:
            raise CannotDescribe(
                f"the network takes pictures of {self.channels} channels; allowed are 3, RGB"
            )


def labels_of(names: object) -> tuple[str, ...]:
    """ultralytics keeps them by class number; two names that mean the same class are no set of labels."""
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, (list, tuple)) or not names:
        raise CannotDescribe(
            f"the class names are {str(names)[:80]!r}; allowed is a name for each of 0 to n - 1"
        )
    labels = [canonical(str(name)) for name in names]
    for number, label in enumerate(labels):
        if labels.index(label) != number:
            first, second = names[labels.index(label)], names[number]
            raise CannotDescribe(
                f"classes {first!r} and {second!r} are both {label!r}; each name is allowed once"
            )
    return tuple(labels)


def unanswered(facts: Facts, name: str, title: str) -> DetectorSpec:
    """Everything but the layout."""
    return DetectorSpec(
        name=name,
        title=title,
        input_name=facts.input_name,
        input_width=facts.width,
        input_height=facts.height,
        fit="letterbox",
        input_type="float32",
        pixel_scale=1 / 255,
        output_name=facts.output_name,
        max_detections=MAX_DETECTIONS,
        score_floor=SCORE_FLOOR,
        labels=facts.names,
        layout="anchors",
    )


def answered(spec: DetectorSpec, facts: Facts, answer: npt.NDArray[np.float32]) -> DetectorSpec:
    """`spec` with the layout that the answer to one picture shows."""
    first, second = answer.shape
    wide = 4 + len(spec.labels)
    if second == 6 and not _scores_of_two_classes(answer, facts, wide):
        return _rows(spec, facts, answer)
    if first == wide and facts.head != RTDETR_HEAD:
        return replace(spec, layout="anchors", box_format="cxcywh-pixels", nms_iou=NMS_IOU)
    if second == wide and facts.head in (None, RTDETR_HEAD):
        return replace(spec, fit="stretch", layout="queries", box_format="cxcywh-unit", max_detections=first)
    raise CannotDescribe(
        f"the network answers [{first}, {second}] for a picture; allowed for its {len(spec.labels)} classes are "
        f"[n, 6], [{wide}, n] of a YOLO and [n, {wide}] of an RT-DETR"
    )


def _scores_of_two_classes(answer: npt.NDArray[np.float32], facts: Facts, wide: int) -> bool:
    """With two classes a query's scores take as many columns as a row's score and class; a class is a whole number."""
    return wide == 6 and not facts.each_object_once and bool((answer[:, 5] % 1 != 0).any())


def _rows(spec: DetectorSpec, facts: Facts, answer: npt.NDArray[np.float32]) -> DetectorSpec:
    spec = replace(spec, layout="rows", max_detections=len(answer))
    if _is_rtdetr(facts, answer):
        return replace(spec, fit="stretch", box_format="cxcywh-unit")
    return replace(spec, box_format="xyxy-pixels")


def _is_rtdetr(facts: Facts, answer: npt.NDArray[np.float32]) -> bool:
    """Older files do not name the head, but no YOLO has 300 boxes within the first pixel."""
    if facts.head is not None or facts.each_object_once:
        return facts.head == RTDETR_HEAD
    return bool(answer[:, :4].max() <= 1.0)


def size_of(imgsz: object) -> tuple[int, int]:
    """Width and height; ultralytics writes one side of a square, or height and width."""
    sides: Sequence[object] = imgsz if isinstance(imgsz, (list, tuple)) else (imgsz, imgsz)
    match sides:
        case [int(height), int(width)]:
            return width, height
        case [int(side)]:
            return side, side
    raise CannotDescribe(
        f"the size of the network's input is {imgsz!r}; allowed are pixels, or [height, width]"
    )
