"""An ONNX file that others exported: run as it came, and made into a graph that takes bytes and answers the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import DecodeError, EncodeError
from onnx import ModelProto, TensorProto

from ai.core.errors import InvalidDetections
from ai.core.spec import DetectorSpec
from ai.engines.comparison import ExportDiffers, agreement, bold_picture, pictures
from ai.engines.onnx_graph import CannotServe, bytes_in, picture_input, sizes

ELEMENT: dict[int, Any] = {
    TensorProto.UINT8: np.uint8,
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
}
Answers = npt.NDArray[np.float32]
TOGETHER = 3  # of four pictures, so that two batches of different sizes are tried


class DoesNotRun(CannotServe):
    """ONNX Runtime gave up, in its own words."""


class ForeignNetwork:
    """The file as it came, in ONNX Runtime on the CPU, its normalisation computed here: the honest other side."""

    device = "cpu"

    def __init__(self, file: Path, spec: DetectorSpec) -> None:
        picture = picture_input(read(file), spec)
        self._spec = spec
        self._element = ELEMENT[picture.type.tensor_type.elem_type]
        self.fixed_batch = sizes(picture)[0]
        self._session = _session(file)

    def infer(self, pixels: npt.NDArray[np.uint8]) -> Answers:
        """uint8 [n, 3, height, width] → what the network answers to each, asked alone: batches may be broken."""
        batch = self.fixed_batch or 1
        return np.concatenate([self._run(np.repeat(one[None], batch, axis=0))[:1] for one in pixels])

    def _run(self, pixels: npt.NDArray[np.uint8]) -> Answers:
        ready = self._normalised(pixels).astype(self._element)
        answers = _run(self._session, self._spec.output_name, self._spec.input_name, ready)
        if answers.ndim != 3 or len(answers) != len(pixels):
            raise CannotServe(
                f"output {self._spec.output_name!r} answers {list(answers.shape)} to a batch of {len(pixels)}; "
                "allowed is a table of boxes for each picture"
            )
        return answers.astype(np.float32)

    def _normalised(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        if self._element is np.uint8:
            return pixels
        spec = self._spec
        mean, std = (np.reshape(value, (3, 1, 1)) for value in (spec.pixel_mean, spec.pixel_std))
        normalised: npt.NDArray[Any] = (pixels * spec.pixel_scale - mean) / std
        return normalised


def read(file: Path) -> ModelProto:
    try:
        return onnx.load(str(file))
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise CannotServe(f"{file.name} cannot be read as an ONNX file: {error}") from error


def save(model: ModelProto, file: Path) -> None:
    """As one file, whatever it was before."""
    try:
        onnx.save(model, str(file))
    except (ValueError, EncodeError) as error:
        raise CannotServe(f"the network does not fit in one ONNX file, which holds 2 GB: {error}") from error


def convert(file: Path, spec: DetectorSpec, output: Path) -> bool:
    """Write `output`, aside first; the answer is whether it takes any number of pictures, or one at a time."""
    model, network = read(file), ForeignNetwork(file, spec)
    wanted = network.infer(_questions(spec))
    shape = _shape_of_one(network, spec, wanted)
    aside = output.with_suffix(".part.onnx")

    def write(any_batch: bool) -> None:
        save(bytes_in(model, spec, shape, any_batch), aside)
        _compare(aside, spec, wanted, at_once=TOGETHER if any_batch else 1)

    try:
        any_batch = _is_done(lambda: write(any_batch=True))
        if not any_batch:
            _require_one_at_a_time(network, spec)
            write(any_batch=False)
        aside.replace(output)
    except ExportDiffers as error:
        raise CannotServe(f"behind the normalisation the network answers something else: {error}") from error
    except InvalidDetections as error:
        raise CannotServe(f"the network does not answer what its spec says: {error}") from error
    finally:
        aside.unlink(missing_ok=True)
    return any_batch


def _questions(spec: DetectorSpec) -> npt.NDArray[np.uint8]:
    return np.concatenate((pictures(spec), bold_picture(spec)[None]))


def _is_done(write: Callable[[], None]) -> bool:
    try:
        write()
    except (ExportDiffers, DoesNotRun):
        return False
    return True


def _shape_of_one(network: ForeignNetwork, spec: DetectorSpec, wanted: Answers) -> list[int | None]:
    """Open where it depends on what is in the picture."""
    blank = network.infer(np.zeros_like(_questions(spec)[:1]))
    return [
        size if size == other else None for size, other in zip(wanted.shape[1:], blank.shape[1:], strict=True)
    ]


def _require_one_at_a_time(network: ForeignNetwork, spec: DetectorSpec) -> None:
    fixed = network.fixed_batch or 1
    if fixed > 1 or (spec.serving.max_batch or 1) > 1:
        raise CannotServe(
            f"the network's batch is fixed at {fixed} inside and cannot be freed; export it with a dynamic batch, "
            "or with a batch of 1 and serving.max_batch = 1"
        )


def _compare(file: Path, spec: DetectorSpec, wanted: Answers, at_once: int) -> None:
    session, pixels = _session(file), _questions(spec)
    got: list[npt.NDArray[Any]] = []
    for first in range(0, len(pixels), at_once):
        got += [*_run(session, spec.output_name, spec.input_name, pixels[first : first + at_once])]
    if len(got) != len(wanted):
        raise ExportDiffers(f"{len(wanted)} pictures gave {len(got)} answers")
    for one, other in zip(wanted, got, strict=True):
        agreement(one, other, spec.with_bytes_in())


def _session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what does not run is told by the exception
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a check need not race
    with _in_our_words(f"ONNX Runtime cannot load {file.name}"):
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _run(
    session: onnxruntime.InferenceSession, output: str, name: str, value: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    with _in_our_words("ONNX Runtime cannot run the network"):
        return np.asarray(session.run([output], {name: value})[0])


@contextmanager
def _in_our_words(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # its exceptions have no root of their own
        raise DoesNotRun(f"{what}: {error}") from error
