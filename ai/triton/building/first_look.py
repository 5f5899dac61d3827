"""Does a network answer what its spec says? Asked of a street and its mirror image, before anything is built of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ai.core import heads
from ai.core.errors import InvalidDetections
from ai.core.geometry import letterbox
from ai.core.processing import finish
from ai.core.spec import DetectorSpec
from ai.engines.comparison import pictures
from ai.engines.engine import Engine
from ai.engines.onnx_graph import CannotServe

FAR_OUTSIDE = 10  # times the input: no detector guesses so wide as a rule


def first_look(engine: Engine, spec: DetectorSpec) -> None:
    """`spec` is of what the engine answers; CannotServe says which of its fields cannot be right."""
    answers = [engine.infer(picture[None])[0] for picture in pictures(spec)[:2]]
    place = letterbox(spec.input_width, spec.input_height, spec.input_width, spec.input_height)
    for answer in answers:
        try:
            finish(answer, place, spec)
        except InvalidDetections as error:
            raise CannotServe(f"the network does not answer what its spec says: {error}") from error
    _require_count({len(answer) for answer in answers}, spec)
    _require_unit(np.concatenate([heads.read(answer, spec)[:, :4] for answer in answers]), spec)


def _require_count(counts: set[int], spec: DetectorSpec) -> None:
    """A served model's configuration names the size of its answer."""
    if spec.layout == "rows" and len(counts) == 1 and counts not in ({spec.max_detections}, {0}):
        (count,) = counts
        raise CannotServe(
            f"the network answers {count} rows; max_detections is {spec.max_detections}, not {count}"
        )


def _require_unit(boxes: npt.NDArray[np.float64], spec: DetectorSpec) -> None:
    """Boxes in the wrong unit are valid ones, all in one corner or none in the picture."""
    if len(boxes) == 0:
        return
    reach, side = np.abs(boxes).max(axis=1), max(spec.input_width, spec.input_height)
    if reach.max() <= 2 or np.median(reach) > FAR_OUTSIDE * side:
        raise CannotServe(
            f"box_format is {spec.box_format}, and by that the boxes end at {np.median(reach):.1f} pixels of an "
            f"input of {spec.input_width} x {spec.input_height}; the other unit may be meant"
        )
