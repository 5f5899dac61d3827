"""A Triton's answer to one question, believed only after it was looked at from all sides.

Whatever is wrong ends as InvalidModelOutput: an answer that cannot be read must never become an empty scene.
"""

from __future__ import annotations

import math
import struct

import numpy as np
import numpy.typing as npt

from ai.core.detections import Detections
from ai.core.errors import InvalidDetections, InvalidModelOutput
from ai.core.geometry import Fit
from ai.core.header import MAX_SIDE_PIXELS
from ai.core.processing import finish
from ai.triton.asking.contract import Contract, Promise, fits
from ai.triton.asking.described import Dims
from ai.triton.asking.wire import Answer, Output

ROW = struct.Struct("<6f")
NO_DETECTION = ROW.pack(*(-1.0,) * 6)  # every row after the last detection
_SIZE = struct.Struct("<2i")
ITEM_BYTES = 4  # of FP32 and of INT32


def read(answer: Answer, contract: Contract, place: Fit | None) -> Detections:
    """`place` is where the picture lies in the pixels that were sent; None when it was sent encoded."""
    try:
        return _from_rows(answer, contract) if place is None else _from_raw(answer, contract, place)
    except InvalidDetections as error:
        raise InvalidModelOutput(f"{_who(answer, contract)} answers nonsense: {error}") from error


def _from_rows(answer: Answer, contract: Contract) -> Detections:
    rows, size = (_believed(answer, contract, promise) for promise in contract.promises)
    width, height = _SIZE.unpack(size.data)
    if max(width, height) > MAX_SIDE_PIXELS:
        raise InvalidDetections(f"a picture of {width} x {height} pixels does not exist")
    table = ROW.iter_unpack(_without_filling(rows.data))
    found = Detections.from_table(table, width, height, contract.spec.labels)
    if found.items and found.items[-1].score < contract.score_floor:
        raise InvalidDetections(f"a score of {found.items[-1].score} is under the floor")
    return found


def _without_filling(rows: bytes) -> bytes:
    """The rows before the first that fills; all behind it must fill too."""
    end = rows.find(NO_DETECTION)
    if end < 0:
        return rows
    if rows[end:] != NO_DETECTION * ((len(rows) - end) // ROW.size):
        raise InvalidDetections(f"something follows the first row of -1, at row {end // ROW.size}")
    return rows[:end]


def _from_raw(answer: Answer, contract: Contract, place: Fit) -> Detections:
    (promise,) = contract.promises
    output = _believed(answer, contract, promise)
    shape = output.shape[1:] if contract.batched else output.shape
    raw: npt.NDArray[np.float32] = np.frombuffer(output.data, "<f4").reshape(shape)
    with np.errstate(all="ignore"):  # a liar's numbers overflow; the check behind refuses them
        if not raw.any():
            raise InvalidDetections(
                "every number is zero: no network says that, a buffer that nobody filled does"
            )
        return finish(raw, place, contract.spec)


def _believed(answer: Answer, contract: Contract, promise: Promise) -> Output:
    """The output that was promised, if its type, shape and length are."""
    output = answer.outputs.get(promise.name)
    if output is None:
        raise InvalidModelOutput(f"{_who(answer, contract)} answers without {promise.name!r}.")
    shape, size = output.shape, len(output.data)
    if output.datatype != promise.datatype or not _fits(promise.shape, shape):
        raise InvalidModelOutput(
            f"{_who(answer, contract)} answers {promise.name} {output.datatype} {list(shape)[:9]};"
            f" promised was {promise}."
        )
    if size != math.prod(shape) * ITEM_BYTES:
        raise InvalidModelOutput(
            f"{_who(answer, contract)} answers {promise.name!r} of {list(shape)} in {size} bytes."
        )
    return output


def _fits(promised: Dims, shape: Dims) -> bool:
    return promised == shape or (fits(promised, shape) and all(size >= 0 for size in shape))


def _who(answer: Answer, contract: Contract) -> str:
    return f"Model {contract.model!r} version {answer.model_version!r}"
