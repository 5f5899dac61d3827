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
from ai.triton.contract import DETECTIONS, IMAGE_SIZE, Contract, fits
from ai.triton.wire import Answer, Output

ROW = struct.Struct("<6f")
NO_DETECTION = ROW.pack(*(-1.0,) * 6)  # every row after the last detection
_SIZE = struct.Struct("<2i")
_ITEM_BYTES = {"FP32": 4, "INT32": 4}


def read(answer: Answer, contract: Contract, place: Fit | None) -> Detections:
    """`place` is where the picture lies in the pixels that were sent; None when it was sent encoded."""
    try:
        return _from_rows(answer, contract) if place is None else _from_raw(answer, contract, place)
    except InvalidDetections as error:
        raise InvalidModelOutput(f"{_who(answer, contract)} answers nonsense: {error}") from error


def _from_rows(answer: Answer, contract: Contract) -> Detections:
    rows = _believed(answer, contract, DETECTIONS, "FP32", contract.answer_dims)
    size = _believed(answer, contract, IMAGE_SIZE, "INT32", (2,))
    width, height = _SIZE.unpack(size.data)
    if max(width, height) > MAX_SIDE_PIXELS:
        raise InvalidDetections(f"a picture of {width} x {height} pixels does not exist")
    found = np.frombuffer(_without_filling(rows.data), "<f4").reshape(-1, 6)
    if (found[:, 4] < np.float32(contract.spec.score_floor)).any():
        raise InvalidDetections(f"a score is under the floor of {contract.spec.score_floor}")
    return Detections.from_rows(found, width, height, contract.spec.labels)


def _without_filling(rows: bytes) -> bytes:
    """The rows before the first that fills; all behind it must fill too."""
    end = rows.find(NO_DETECTION)
    if end < 0:
        return rows
    if rows[end:] != NO_DETECTION * ((len(rows) - end) // ROW.size):
        raise InvalidDetections(f"something follows the first row of -1, at row {end // ROW.size}")
    return rows[:end]


def _from_raw(answer: Answer, contract: Contract, place: Fit) -> Detections:
    output = _believed(answer, contract, contract.spec.output_name, "FP32", contract.answer_dims)
    shape = output.shape[1:] if contract.batched else output.shape
    raw: npt.NDArray[np.float32] = np.frombuffer(output.data, "<f4").reshape(shape)
    if not raw.any():
        raise InvalidDetections(
            "every number is zero: no network says that, a buffer that nobody filled does"
        )
    with np.errstate(all="ignore"):  # a liar's numbers overflow; the check behind refuses them
        return finish(raw, place, contract.spec)


def _believed(answer: Answer, contract: Contract, name: str, datatype: str, dims: tuple[int, ...]) -> Output:
    """The output of this name, if its type, shape and length are what was promised."""
    output = answer.outputs.get(name)
    if output is None:
        raise InvalidModelOutput(f"{_who(answer, contract)} answers without {name!r}.")
    promised = contract.shaped(*dims)
    if output.datatype != datatype or not fits(promised, output.shape) or any(n < 0 for n in output.shape):
        raise InvalidModelOutput(
            f"{_who(answer, contract)} answers {name!r} as {output.datatype} {list(output.shape)};"
            f" promised was {datatype} {list(promised)}."
        )
    if len(output.data) != math.prod(output.shape) * _ITEM_BYTES[datatype]:
        raise InvalidModelOutput(
            f"{_who(answer, contract)} answers {name!r} of {list(output.shape)} in {len(output.data)} bytes."
        )
    return output


def _who(answer: Answer, contract: Contract) -> str:
    return f"Model {contract.model!r} version {answer.model_version!r}"
