"""A network's graph as others exported it → the same behind the normalisation: uint8 pictures in, float32 out.

What is inside stays as it is, opset included. Nothing is run here; `foreign_onnx` runs it before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from ai.core.errors import CrossfadeError
from ai.core.spec import DetectorSpec

NORMALISED = "crossfade_normalised"
TYPES_OF = {"uint8": {TensorProto.UINT8}, "float32": {TensorProto.FLOAT, TensorProto.FLOAT16}}


class CannotServe(CrossfadeError):
    """The file is no network that takes pictures and answers boxes as its spec says."""


def picture_input(model: ModelProto, spec: DetectorSpec) -> ValueInfoProto:
    """The one input, if it takes pictures as the spec says; CannotServe tells what was found instead."""
    inputs = inputs_of(model.graph)
    if len(inputs) != 1:
        raise CannotServe(
            f"the network has {len(inputs)} inputs ({_names(inputs)}); one is allowed, a picture"
        )
    _require_name(spec.input_name, inputs, "input")
    _require_name(spec.output_name, model.graph.output, "output")
    (picture,) = inputs
    _require_shape(picture, spec)
    _require_type(picture, spec)
    return picture


def sizes(value: ValueInfoProto) -> list[int | None]:
    """None where any size is taken."""
    shape = value.type.tensor_type.shape
    return [one.dim_value if one.HasField("dim_value") else None for one in shape.dim]


def bytes_in(
    model: ModelProto, spec: DetectorSpec, answer: Sequence[int | None], any_batch: bool
) -> ModelProto:
    """The same network behind the normalisation; `answer` is the shape of one picture's."""
    picture = picture_input(model, spec)
    kind = picture.type.tensor_type.elem_type
    changed = ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    if any_batch and sizes(picture)[0] is not None:
        _free_batch(graph)
    if kind != TensorProto.UINT8:
        _rename(graph, spec.input_name, NORMALISED)
        _replace(graph.node, [*_normalisation(spec, kind), *graph.node])
    batch: str | int = "batch" if any_batch else 1
    _take_bytes(graph, spec, [batch, 3, spec.input_height, spec.input_width])
    _answer_in_float(graph, spec, [batch, *answer])
    graph.ClearField("value_info")  # it tells the sizes inside, for the batch that was
    return changed


def _normalisation(spec: DetectorSpec, kind: int) -> list[NodeProto]:
    std = np.array(spec.pixel_std)
    scale, shift = spec.pixel_scale / std, -np.array(spec.pixel_mean) / std
    return [
        helper.make_node("Cast", [spec.input_name], ["crossfade_float"], to=TensorProto.FLOAT),
        _constant("crossfade_scale", scale),
        _constant("crossfade_shift", shift),
        helper.make_node("Mul", ["crossfade_float", "crossfade_scale"], ["crossfade_scaled"]),
        helper.make_node("Add", ["crossfade_scaled", "crossfade_shift"], ["crossfade_shifted"]),
        helper.make_node("Cast", ["crossfade_shifted"], [NORMALISED], to=kind),
    ]


def _constant(name: str, per_colour: npt.NDArray[np.float64]) -> NodeProto:
    value = per_colour.astype(np.float32).reshape(1, 3, 1, 1)
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))


def _take_bytes(graph: GraphProto, spec: DetectorSpec, shape: list[str | int]) -> None:
    pixels = helper.make_tensor_value_info(spec.input_name, TensorProto.UINT8, shape)
    pictures = {one.name for one in inputs_of(graph)}
    _replace(graph.input, [pixels, *(one for one in graph.input if one.name not in pictures)])


def _answer_in_float(graph: GraphProto, spec: DetectorSpec, shape: list[Any]) -> None:
    """One output; what else the network answers is cut off."""
    (output,) = (one for one in graph.output if one.name == spec.output_name)
    if output.type.tensor_type.elem_type != TensorProto.FLOAT:
        _rename(graph, spec.output_name, "crossfade_answer")
        cast = helper.make_node("Cast", ["crossfade_answer"], [spec.output_name], to=TensorProto.FLOAT)
        graph.node.append(cast)
    _replace(graph.output, [helper.make_tensor_value_info(spec.output_name, TensorProto.FLOAT, shape)])


def _free_batch(graph: GraphProto) -> None:
    """A reshape to [1, …] most often means "of this one picture": let it say so of each. A run must decide."""
    known = {one.name: one for one in graph.initializer}
    known |= {node.output[0]: node.attribute[0].t for node in graph.node if _holds_tensor(node)}
    for index, node in enumerate(graph.node):
        if node.op_type == "Reshape" and node.input[1] in known:
            shape = numpy_helper.to_array(known[node.input[1]]).copy()
            if len(shape) > 1 and shape[0] == 1:
                shape[0] = 0 if -1 in shape else -1  # 0: as many as come in
                node.input[1] = f"crossfade_shape_{index}"
                graph.initializer.append(numpy_helper.from_array(shape, node.input[1]))


def _holds_tensor(node: NodeProto) -> bool:
    return node.op_type == "Constant" and [one.name for one in node.attribute] == ["value"]


def _rename(graph: GraphProto, old: str, new: str) -> None:
    """Everywhere, branches and loop bodies included."""
    for node in graph.node:
        for names in (node.input, node.output):
            _replace(names, [new if name == old else name for name in names])
        for inner in _bodies(node):
            _rename(inner, old, new)


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _replace(field: Any, values: Iterable[Any]) -> None:
    """protobuf lets no repeated field be assigned."""
    kept = list(values)
    del field[:]
    field.extend(kept)


def inputs_of(graph: GraphProto) -> list[ValueInfoProto]:
    """Older files list their weights among the inputs."""
    weights = {one.name for one in graph.initializer}
    return [one for one in graph.input if one.name not in weights]


def _require_name(name: str, values: Iterable[ValueInfoProto], what: str) -> None:
    values = list(values)
    if name not in {one.name for one in values}:
        raise CannotServe(f"the network has no {what} {name!r}, as its spec says, but {_names(values)}")


def _names(values: Sequence[ValueInfoProto]) -> str:
    return ", ".join(repr(one.name) for one in values) or "none"


def _require_shape(picture: ValueInfoProto, spec: DetectorSpec) -> None:
    found, wanted = sizes(picture), [None, 3, spec.input_height, spec.input_width]
    if len(found) != 4 or any(
        one not in (None, size) for one, size in zip(found[1:], wanted[1:], strict=True)
    ):
        shape = ", ".join("any" if size is None else str(size) for size in found)
        raise CannotServe(
            f"input {picture.name!r} is [{shape}]; by its spec it must be [n, 3, {spec.input_height}, "
            f"{spec.input_width}]: pictures, colours, height, width"
        )


def _require_type(picture: ValueInfoProto, spec: DetectorSpec) -> None:
    kind = picture.type.tensor_type.elem_type
    if kind not in TYPES_OF[spec.input_type]:
        raise CannotServe(
            f"input {picture.name!r} takes {TensorProto.DataType.Name(kind).lower()}, and input_type is "
            f"{spec.input_type!r}; allowed are uint8 for 'uint8', float and float16 for 'float32'"
        )
