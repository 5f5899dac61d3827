"""What a network answers for one image, whatever its layout → rows: corners in input pixels, score, class.

The layouts are those of `DetectorSpec`. A NaN is never dropped on the way: it is for the check behind to refuse.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ai.core.detections import Table
from ai.core.errors import InvalidDetections
from ai.core.spec import MAX_DETECTIONS, ROW, DetectorSpec

MAX_CANDIDATES = 4096  # boxes that one class-aware suppression looks at; a street scene has some hundreds


def read(raw: npt.NDArray[Any], spec: DetectorSpec) -> Table:
    """[n, 6] in float64, every candidate at or over the score floor."""
    table = _READERS[spec.layout](raw, spec)
    table = table[~(table[:, 4] < spec.score_floor)]
    if not spec.nms_iou and len(table) > MAX_DETECTIONS:
        raise InvalidDetections(
            f"{len(table):,} objects are in one picture; at most {MAX_DETECTIONS:,} may be"
        )
    table[:, :4] = _corners(table[:, :4], spec)
    return _each_object_once(table, spec) if spec.nms_iou else table


def _from_rows(raw: npt.NDArray[Any], spec: DetectorSpec) -> Table:
    if raw.ndim != 2 or raw.shape[1] != 6:
        raise InvalidDetections(f"a model answers rows of shape [n, 6], not {list(raw.shape)}")
    if spec.row == ROW:
        return raw.astype(np.float64)
    width = {"box": 4, "score": 1, "class": 1}
    starts = {part: sum(width[before] for before in spec.row[:i]) for i, part in enumerate(spec.row)}
    order = [starts[part] + offset for part in ROW for offset in range(width[part])]
    return raw[:, order].astype(np.float64)


def _from_anchors(raw: npt.NDArray[Any], spec: DetectorSpec) -> Table:
    wanted = 4 + len(spec.labels)
    if raw.ndim != 2 or raw.shape[0] != wanted:
        raise InvalidDetections(f"a model of these classes answers [{wanted}, n], not {list(raw.shape)}")
    scores = raw[4:].max(axis=0)
    maybe = np.flatnonzero(~(scores < spec.score_floor))
    table = np.empty((len(maybe), 6))
    table[:, :4] = raw[:4, maybe].T
    table[:, 4] = scores[maybe]
    table[:, 5] = raw[4:, maybe].argmax(axis=0)
    return table


def _from_queries(raw: npt.NDArray[Any], spec: DetectorSpec) -> Table:
    if raw.ndim != 2:
        raise InvalidDetections(f"a model answers rows of shape [n, 4 + classes], not {list(raw.shape)}")
    return _from_anchors(raw.T, spec)


_READERS = {"rows": _from_rows, "anchors": _from_anchors, "queries": _from_queries}


def _corners(boxes: Table, spec: DetectorSpec) -> Table:
    shape, unit = spec.box_format.split("-")
    if shape == "cxcywh":
        centre, half = boxes[:, :2], boxes[:, 2:] / 2
        boxes = np.concatenate((centre - half, centre + half), axis=1)
    if unit == "unit":
        in_pixels: Table = boxes * np.array((spec.input_width, spec.input_height) * 2, np.float64)
        return in_pixels
    return boxes


def _each_object_once(table: Table, spec: DetectorSpec) -> Table:
    """Of boxes of one class that overlap by more than `nms_iou` the best stays."""
    known = (table[:, 5] >= 0) & (table[:, 5] < len(spec.labels))
    if not (np.isfinite(table).all() and known.all()):
        return table  # to be refused: suppression would hide it, or break on it
    table = table[np.argsort(-table[:, 4], kind="stable")[:MAX_CANDIDATES]]
    sizes = table[:, 2:4] - table[:, :2]
    boxes = np.concatenate((table[:, :2], sizes), axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        boxes.tolist(), table[:, 4].tolist(), table[:, 5].astype(int).tolist(), 0.0, spec.nms_iou
    )
    best: Table = table[np.sort(np.asarray(kept, dtype=np.intp))[: spec.max_detections]]
    return best
