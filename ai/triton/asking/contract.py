"""What a model of a Triton takes and answers, and whether that is something we can ask.

Two forms are known (design 4.3): encoded pictures in and detections out, or pixels in and the network's own
answer out, which its spec describes. The spec travels in the model's configuration; for a Triton that was not
built here its user brings it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ai.core.errors import InvalidSpec, ModelNotFound
from ai.core.spec import MAX_DETECTIONS, DetectorSpec
from ai.triton.asking.described import Dims, ModelConfig, TensorConfig

DETECTOR = "detector"  # the configuration's parameter that carries the spec
IMAGE, DETECTIONS, IMAGE_SIZE = "image", "detections", "image_size"
DATATYPES = MappingProxyType({"uint8": "UINT8", "float32": "FP32"})


@dataclass(frozen=True, slots=True)
class Promise:
    """An output as it must come."""

    name: str
    datatype: str
    shape: Dims

    def __str__(self) -> str:
        return f"{self.name} {self.datatype} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Contract:
    model: str
    version: str
    spec: DetectorSpec
    encoded: bool  # else pixels
    input_name: str
    datatype: str
    batched: bool  # every shape begins with the number of pictures, which is one
    promises: tuple[Promise, ...]  # the detections and the picture's size, or the network's own answer
    outputs: tuple[str, ...]  # to be asked for by name; none where the model has no others
    score_floor: float  # as the nearest number that 32 bits can say

    def shaped(self, *dims: int) -> Dims:
        return (1, *dims) if self.batched else dims

    def asks_the_same(self, other: Contract) -> bool:
        """A question made for one is right for the other: then an answer of the one can be read as the other's."""
        if self.encoded and other.encoded:
            return (self.input_name, self.batched) == (other.input_name, other.batched)
        return replace(self, version=other.version) == other


def contract_of(model: str, version: str, config: ModelConfig, specs: Mapping[str, DetectorSpec]) -> Contract:
    """ModelNotFound, in words, for a model that is not a detector of a form we know."""
    spec = specs.get(model) or _carried_spec(model, config)
    needed = config.needed_inputs
    if len(needed) == 1 and spec is not None:
        found = _encoded(model, version, config, spec) or _pixels(model, version, config, spec)
        if found is not None:
            return found
    raise ModelNotFound(_in_words(model, config, spec))


def _encoded(model: str, version: str, config: ModelConfig, spec: DetectorSpec) -> Contract | None:
    image = config.needed_inputs[0]
    rows, size = config.output_named(DETECTIONS), config.output_named(IMAGE_SIZE)
    if (image.name, image.datatype, image.dims) != (IMAGE, "UINT8", (-1,)) or rows is None or size is None:
        return None
    if (rows.datatype, rows.dims[1:], size.datatype, size.dims) != ("FP32", (6,), "INT32", (2,)):
        return None
    # Without a fixed number of rows, no bytes at all would read as an empty scene.
    if not 0 < rows.dims[0] <= MAX_DETECTIONS:
        return None
    return _contract(model, version, spec, image, config, config.max_batch_size > 0, (rows, size))


def _pixels(model: str, version: str, config: ModelConfig, spec: DetectorSpec) -> Contract | None:
    images, answer = config.needed_inputs[0], config.output_named(spec.output_name)
    if answer is None or answer.datatype != "FP32":
        return None
    if (images.name, images.datatype) != (spec.input_name, DATATYPES[spec.input_type]):
        return None
    batched = config.max_batch_size > 0
    if not batched and len(images.dims) == 4 and images.dims[0] in (1, -1):
        # An export that keeps the batch to itself.
        batched, images, answer = True, images.of_one_picture, answer.of_one_picture
    if not fits(images.dims, (3, spec.input_height, spec.input_width)):
        return None
    return _contract(model, version, spec, images, config, batched, (answer,))


def _contract(
    model: str,
    version: str,
    spec: DetectorSpec,
    takes: TensorConfig,
    config: ModelConfig,
    batched: bool,
    answers: tuple[TensorConfig, ...],
) -> Contract:
    one = (1,) if batched else ()
    return Contract(
        model=model,
        version=version,
        spec=spec,
        encoded=takes.name == IMAGE and takes.dims == (-1,),
        input_name=takes.name,
        datatype=takes.datatype,
        batched=batched,
        promises=tuple(Promise(tensor.name, tensor.datatype, one + tensor.dims) for tensor in answers),
        outputs=tuple(tensor.name for tensor in answers) if len(config.output) > len(answers) else (),
        score_floor=float(np.float32(spec.score_floor)),
    )


def fits(declared: Dims, actual: Dims) -> bool:
    """-1 is any size."""
    return len(declared) == len(actual) and all(d in (-1, a) for d, a in zip(declared, actual, strict=True))


def _carried_spec(model: str, config: ModelConfig) -> DetectorSpec | None:
    carried = config.parameters.get(DETECTOR)
    if carried is None:
        return None
    try:
        table: Any = json.loads(carried.string_value)
        if not isinstance(table, dict):
            raise InvalidSpec("it is not a table")
        return DetectorSpec.from_table(table)
    except (ValueError, RecursionError, InvalidSpec) as error:
        raise ModelNotFound(
            f"The configuration of model {model!r} has a parameter {DETECTOR!r} that is no detector's spec: {error}"
        ) from error


def _in_words(model: str, config: ModelConfig, spec: DetectorSpec | None) -> str:
    inputs = ", ".join(map(str, config.input)) or "nothing"
    outputs = ", ".join(map(str, config.output)) or "nothing"
    found = f"Model {model!r} takes {inputs} and answers {outputs}"
    if spec is None:
        return (
            f"{found}, but nothing says what its answer means: its configuration has no parameter {DETECTOR!r},"
            f" and no spec was given for it."
        )
    pixels = f"{spec.input_name} {DATATYPES[spec.input_type]} {[3, spec.input_height, spec.input_width]}"
    return (
        f"{found}; wanted is {IMAGE} UINT8 [-1] in, {DETECTIONS} FP32 [n, 6] and {IMAGE_SIZE} INT32 [2] out,"
        f" or {pixels} in, {spec.output_name} FP32 out."
    )
