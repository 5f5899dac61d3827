"""Does a graph answer what the network that it was made from answers? Candidate by candidate, before any NMS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ai.core import heads
from ai.core.detections import Table
from ai.core.errors import CrossfadeError
from ai.core.geometry import iou
from ai.core.image import decode
from ai.core.processing import prepare
from ai.core.sample import sample_jpeg
from ai.core.spec import DetectorSpec

MIN_IOU = 0.99
MAX_SCORE_DIFFERENCE = 0.005
BLOCKS = 12
CANDIDATES = 100  # the best ones, looked at where nothing scores enough to count
# What must have its partner. The last of many near-equals fall in or out of a ranking by rounding alone, so of 50
# boxes one may lack it, of fewer none.
MIN_SHARE = 0.98
MIN_SHARE_OF_CANDIDATES = 0.9


class ExportDiffers(CrossfadeError):
    """The graph does not answer what the network answers."""


@dataclass(frozen=True, slots=True)
class Agreement:
    boxes: int
    least_iou: float
    greatest_score_difference: float

    def __str__(self) -> str:
        return (
            f"{self.boxes} boxes compared, least IoU {self.least_iou:.5f}, "
            f"greatest score difference {self.greatest_score_difference:.6f}"
        )


def agreement(wanted: npt.NDArray[Any], got: npt.NDArray[Any], spec: DetectorSpec) -> Agreement:
    """Of two raw answers to one picture; ExportDiffers when they are not the same."""
    same_shape = wanted.shape == got.shape or (spec.layout != "anchors" and wanted.shape[1:] == got.shape[1:])
    if not same_shape or not (np.isfinite(wanted).all() and np.isfinite(got).all()):
        raise ExportDiffers(f"the answers are {list(wanted.shape)} and {list(got.shape)}, or not all finite")
    every = replace(spec, score_floor=0.0, nms_iou=0.0)
    here, there = heads.read(wanted, every), heads.read(got, every)
    if spec.layout == "anchors":
        found = _place_by_place(here, there, float(np.abs(wanted[4:] - got[4:]).max()))
    else:
        found = _in_any_order(_with_area(here), _with_area(there), spec.score_floor)
    if found.least_iou < MIN_IOU or found.greatest_score_difference > MAX_SCORE_DIFFERENCE:
        raise ExportDiffers(f"the exported model answers something else: {found}")
    return found


def pictures(spec: DetectorSpec) -> npt.NDArray[np.uint8]:
    """A street, mirrored, and upside down: different, so that a batch whose pictures change places is found out."""
    street = prepare(decode(sample_jpeg()), spec).pixels
    return np.stack((street, street[:, :, ::-1], street[:, ::-1]))


def bold_picture(spec: DetectorSpec) -> npt.NDArray[np.uint8]:
    """Blocks of all colours, for detectors that see nothing in a street. It drives a network so far out that two
    runtimes may differ by rounding alone; within one it is fair."""
    blocks = np.random.default_rng(1).integers(0, 256, (BLOCKS, BLOCKS, 3), dtype=np.uint8)
    size = (spec.input_width, spec.input_height)
    return np.asarray(cv2.resize(blocks, size, interpolation=cv2.INTER_NEAREST).transpose(2, 0, 1), np.uint8)


def _place_by_place(here: Table, there: Table, greatest_difference: float) -> Agreement:
    """Each anchor has its place, so the scores of every class were compared, and now the boxes of the best."""
    upright = np.flatnonzero((here[:, 2:4] > here[:, :2]).all(axis=1))
    best = upright[np.argsort(-here[upright, 4])[:CANDIDATES]]
    overlap = np.diag(iou(here[best, :4], there[best, :4]))
    return Agreement(len(best), float(overlap.min(initial=1.0)), greatest_difference)


def _in_any_order(here: Table, there: Table, floor: float) -> Agreement:
    """What counts on either side has its partner on the other."""
    if (here[:, 4] >= floor).any() or (there[:, 4] >= floor).any():
        ways = [_partners(_over(here, floor), there), _partners(_over(there, floor), here)]
        share = MIN_SHARE
    else:
        ways = [_partners(_best(here), there), _partners(_best(there), here)]
        share = MIN_SHARE_OF_CANDIDATES
    overlap, difference = (np.concatenate(values) for values in zip(*ways, strict=True))
    kept = np.argsort(-overlap)[: int(np.ceil(len(overlap) * share))]
    return Agreement(
        len(ways[0][0]), float(overlap[kept].min(initial=1.0)), float(difference[kept].max(initial=0.0))
    )


def _partners(rows: Table, others: Table) -> tuple[Table, Table]:
    """For each row the IoU with its nearest of the same class, and the difference of their scores."""
    if len(others) == 0:
        return np.zeros(len(rows)), np.zeros(len(rows))
    overlap = iou(rows[:, :4], others[:, :4])
    overlap[rows[:, None, 5] != others[None, :, 5]] = 0.0
    partner = overlap.argmax(axis=1)
    return overlap.max(axis=1), np.abs(rows[:, 4] - others[partner, 4])


def _with_area(table: Table) -> Table:
    kept: Table = table[(table[:, 2:4] > table[:, :2]).all(axis=1)]
    return kept


def _over(table: Table, floor: float) -> Table:
    kept: Table = table[table[:, 4] >= floor]
    return kept


def _best(table: Table) -> Table:
    best: Table = table[np.argsort(-table[:, 4])[:CANDIDATES]]
    return best
