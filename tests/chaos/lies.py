"""Wrong answers of a model in Triton, by name: whatever a broken export, a wrong postprocessing or bad memory sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = dict[str, Any]


def _changed(name: str, change: Callable[[Any], Any]) -> Callable[[Arrays], Arrays]:
    return lambda outputs: {**outputs, name: change(outputs[name])}


def _first_box(**values: float) -> Callable[[Any], Any]:
    places = {"x1": 0, "y1": 1, "x2": 2, "y2": 3, "score": 4, "class_id": 5}

    def change(rows: Any) -> Any:
        rows = rows.copy()
        for name, value in values.items():
            rows[0, 0, places[name]] = value
        return rows

    return change


LIES: dict[str, Callable[[Arrays], Arrays]] = {
    "nan": _changed("detections", _first_box(x1=float("nan"))),
    "infinite": _changed("detections", _first_box(x2=float("inf"))),
    "score over 1": _changed("detections", _first_box(score=1.5)),
    "no such class": _changed("detections", _first_box(class_id=77)),
    "inverted": _changed("detections", _first_box(x1=50, x2=10)),
    "outside": _changed("detections", _first_box(x2=1e6, y2=1e6)),
    "zeros": _changed("detections", np.zeros_like),
    "wrong size": _changed("image_size", lambda size: size[..., ::-1] + 1),
    "one output missing": lambda outputs: {"detections": outputs["detections"]},
    "short": _changed("detections", lambda rows: rows[:, :3]),
    "another type": _changed("detections", lambda rows: rows.astype(np.float64)),
}


def of_triton(name: str, response: Any) -> Any:
    import triton_python_backend_utils as pb  # noqa: PLC0415 - it exists inside Triton only

    outputs = {one.name(): one.as_numpy() for one in response.output_tensors()}
    told = LIES[name](outputs)
    return pb.InferenceResponse([pb.Tensor(output, np.ascontiguousarray(told[output])) for output in told])
