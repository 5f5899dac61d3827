"""Wrong answers of a model in Triton, by kind and name: of a broken export, a wrong postprocessing, bad memory.

`PLAUSIBLE` ones cannot be told from the truth by looking at one answer: they are the shadow comparison's to find.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Arrays = dict[str, Any]
Lie = Callable[[Arrays], Arrays]

PLACES = {"x1": 0, "y1": 1, "x2": 2, "y2": 3, "score": 4, "class_id": 5}
MOVED_PX = 60.0  # boxes of the tests' scenes are over 160 pixels wide: little is left of the overlap


def _rows(change: Callable[[Any], Any]) -> Lie:
    """Of the detections, as a copy: Triton's own memory stays what it is."""
    return lambda outputs: {**outputs, "detections": change(outputs["detections"].copy())}


def _cell(row: int, column: str, value: float) -> Lie:
    def change(rows: Any) -> Any:
        rows[0, row, PLACES[column]] = value
        return rows

    return _rows(change)


def _filled(first: int, value: float) -> Lie:
    def change(rows: Any) -> Any:
        rows[0, first:] = value
        return rows

    return _rows(change)


def _size(*values: int, kind: Any = np.int32) -> Lie:
    return lambda outputs: {**outputs, "image_size": np.array([values], kind)}


def _moved(rows: Any) -> Any:
    rows[0, 0, [0, 2]] -= min(MOVED_PX, rows[0, 0, 0])
    rows[0, 0, [1, 3]] -= min(MOVED_PX, rows[0, 0, 1])
    return rows


_NUMBERS: dict[str, Lie] = {
    "nan box": _cell(0, "x1", math.nan),
    "nan score": _cell(0, "score", math.nan),
    "infinite": _cell(0, "x2", math.inf),
    "score over 1": _cell(0, "score", 1.5),
    "negative score": _cell(0, "score", -0.5),
    "score under the floor": _cell(0, "score", 0.01),
    "no such class": _cell(0, "class_id", 77),
    "negative class": _cell(0, "class_id", -1),
    "class and a half": _cell(0, "class_id", 0.5),
}
_BOXES: dict[str, Lie] = {
    "inverted": _cell(0, "x2", 0.5),
    "left of the picture": _cell(0, "x1", -50),
    "below the picture": _cell(0, "y2", 5000),
    "all zeros": _rows(np.zeros_like),
    "filled with zeros": _filled(1, 0),
    "nan instead of filling": _cell(1, "x1", math.nan),
    "half a filling": _cell(4, "class_id", 0),
    "a row behind the filling": _rows(lambda rows: np.roll(rows, 2, axis=1)),
}
_SHAPES: dict[str, Lie] = {
    "no detections": lambda outputs: {"image_size": outputs["image_size"]},
    "no size": lambda outputs: {"detections": outputs["detections"]},
    "renamed": lambda outputs: {"others": outputs["detections"], "image_size": outputs["image_size"]},
    "short": _rows(lambda rows: rows[:, :3]),
    "long": _rows(lambda rows: np.concatenate([rows, rows], axis=1)),
    "zero bytes": _rows(lambda rows: rows[:, :0]),
    "two pictures": _rows(lambda rows: np.concatenate([rows, rows])),
    "another layout": _rows(lambda rows: rows.transpose(0, 2, 1)),
    "no batch": _rows(lambda rows: rows[0]),
}
_TYPES: dict[str, Lie] = {
    "doubles": _rows(lambda rows: rows.astype(np.float64)),
    "whole numbers": _rows(lambda rows: rows.astype(np.int32)),
    "halves": _rows(lambda rows: rows.astype(np.float16)),
    "size as floats": _size(640, 360, kind=np.float32),
    "size too short": _size(640),
    "no picture": _size(0, 360),
    "negative picture": _size(-640, 360),
    "impossible picture": _size(2**31 - 1, 360),
    "a picture smaller than its box": _size(20, 20),
}
KINDS: Mapping[str, Mapping[str, Lie]] = {
    "numbers": _NUMBERS, "boxes": _BOXES, "shapes": _SHAPES, "types and sizes": _TYPES,
}  # fmt: skip
PLAUSIBLE: Mapping[str, Lie] = {
    "a box moved": _rows(_moved),
    "another class": _cell(0, "class_id", 0),
    "an empty scene": _filled(0, -1),
}
LIES: Mapping[str, Lie] = {name: lie for kind in KINDS.values() for name, lie in kind.items()} | PLAUSIBLE


def of_triton(name: str, response: Any) -> Any:
    import triton_python_backend_utils as pb  # noqa: PLC0415 - it exists inside Triton only

    outputs = {one.name(): one.as_numpy().copy() for one in response.output_tensors()}
    told = LIES[name](outputs)
    return pb.InferenceResponse([pb.Tensor(output, np.ascontiguousarray(told[output])) for output in told])
