"""What the metadata of an ONNX file, as ultralytics exports it, say of its network."""

from __future__ import annotations

import ast
from typing import Any

from onnx import ModelProto, ValueInfoProto

from ai.engines.onnx_graph import inputs_of, sizes
from ai.triton.building.facts import CannotDescribe, Facts, labels_of, size_of

NEEDED = ("names", "task")


def facts(model: ModelProto) -> Facts:
    said = {one.key: one.value for one in model.metadata_props}
    if missing := [key for key in NEEDED if key not in said]:
        raise CannotDescribe(
            f"the file says nothing of its {' and '.join(missing)}, as ultralytics' exports do"
        )
    picture = _picture(model)
    width, height = _size(picture, said)
    args = _value(said, "args", {})
    return Facts(
        task=said["task"],
        names=labels_of(_value(said, "names", None)),
        width=width,
        height=height,
        head=said.get("head"),
        channels=_value(said, "channels", 3),
        each_object_once=_value(said, "end2end", False) is True or _has_nms(args),
        input_name=picture.name,
        output_name=model.graph.output[0].name,
    )


def _has_nms(args: object) -> bool:
    return isinstance(args, dict) and args.get("nms") is True


def _picture(model: ModelProto) -> ValueInfoProto:
    inputs = inputs_of(model.graph)
    if len(inputs) != 1 or len(sizes(inputs[0])) != 4:
        raise CannotDescribe("the network does not take one input of four dimensions, pictures")
    return inputs[0]


def _size(picture: ValueInfoProto, said: dict[str, str]) -> tuple[int, int]:
    height, width = sizes(picture)[2:]
    if width is not None and height is not None:
        return width, height
    if "imgsz" not in said:
        raise CannotDescribe(
            "the network takes pictures of any size, and the file does not say which is its own"
        )
    return size_of(_value(said, "imgsz", None))


def _value(said: dict[str, str], key: str, default: Any) -> Any:
    """Metadata are Python literals."""
    if key not in said:
        return default
    try:
        return ast.literal_eval(said[key])
    except (ValueError, SyntaxError) as error:
        raise CannotDescribe(f"the file's {key} cannot be read: {said[key][:80]!r}") from error
