"""A model's `config.pbtxt`, made as a ModelConfig message: what cannot be said there cannot be written here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ai.core.image import decode
from ai.core.processing import prepare
from ai.core.sample import sample_jpeg
from ai.core.spec import DetectorSpec

Kind = Literal["jpeg", "tensor"]
"""Encoded pictures and the whole way to detections, or pixels and the network's own answer."""

DETECTOR = "detector"  # the parameter that carries the served spec, for clients to read
PRIORITIES = 2  # 1: a caller waits; 2: shadow, which takes what is left
QUEUE_TIMEOUT_US = 5_000_000  # the deadline of a request; a caller may ask for less


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests become batches.

    A bounded queue refuses by name what does not fit, drops what is late and knows priorities. It is not the
    rule: with any of the three, tritonserver 2.51 lets a request lie for up to half a second when it arrives
    while its model's instance is not quite free (docs/decisions.md).
    """

    max_batch: int
    preferred: tuple[int, ...]
    delay_us: int
    queue_size: int
    bounded: bool = False
    ordered: bool = False

    def within(self, spec: DetectorSpec) -> Batching:
        """As it is, but for a network that cannot take so many at once."""
        largest = min(self.max_batch, spec.serving.max_batch or self.max_batch)
        preferred = tuple(size for size in self.preferred if size <= largest) or (largest,)
        return replace(self, max_batch=largest, preferred=preferred)

    def for_spec(self, spec: DetectorSpec) -> Batching:
        """What the detector's own spec asks for goes before the engine's habits."""
        serving = spec.serving
        max_batch = serving.max_batch or self.max_batch
        preferred = tuple(size for size in self.preferred if size <= max_batch) or (max_batch,)
        delay_us = self.delay_us if serving.queue_delay_ms is None else round(serving.queue_delay_ms * 1000)
        return replace(self, max_batch=max_batch, preferred=preferred, delay_us=delay_us)


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model of a repository."""

    name: str
    kind: Kind
    spec: DetectorSpec
    batching: Batching
    on_gpu: bool = False
    is_front: bool = False  # hands its pixels to another model of the same server
    platform: str | None = None  # a backend of Triton's own, such as tensorrt_plan, not our Python model
    usual_instances: int = 1  # where the spec asks for none

    @property
    def warm_up_sizes(self) -> tuple[int, ...]:
        """None for a model in front of another: Triton may load it first, and the other warms up itself."""
        return () if self.is_front else tuple(sorted({1, *self.batching.preferred}))

    @property
    def warm_up(self) -> bytes:
        """A real picture, as the model takes it. `zero_data` would not decode."""
        if self.kind == "jpeg":
            return sample_jpeg()
        return prepare(decode(sample_jpeg()), self.spec).pixels.tobytes()

    @property
    def warm_up_file(self) -> str:
        """Another picture is another file: an older version's configuration still finds its own."""
        return f"picture-{hashlib.sha256(self.warm_up).hexdigest()[:12]}"


def config_text(plan: ModelPlan, output_shape: Sequence[int]) -> str:
    """`output_shape` is the network's own, for one picture; a `jpeg` model answers [max_detections, 6]."""
    return str(text_format.MessageToString(_config(plan, output_shape)))


def _config(plan: ModelPlan, output_shape: Sequence[int]) -> pb.ModelConfig:
    config = pb.ModelConfig(name=plan.name, max_batch_size=plan.batching.max_batch)
    if plan.platform:
        config.platform = plan.platform
    else:
        config.backend = "python"
    _add_tensors(config, plan, output_shape)
    kind = pb.ModelInstanceGroup.KIND_GPU if plan.on_gpu else pb.ModelInstanceGroup.KIND_CPU
    config.instance_group.add(count=plan.spec.serving.instances or plan.usual_instances, kind=kind)
    _add_batching(config, plan.batching)
    for size in plan.warm_up_sizes:
        _add_warm_up(config, plan, size)
    config.parameters[DETECTOR].string_value = json.dumps(plan.spec.to_table())
    return config


def _add_tensors(config: pb.ModelConfig, plan: ModelPlan, output_shape: Sequence[int]) -> None:
    spec = plan.spec
    if plan.kind == "jpeg":
        config.input.add(name="image", data_type=pb.TYPE_UINT8, dims=[-1], allow_ragged_batch=True)
        config.output.add(name="detections", data_type=pb.TYPE_FP32, dims=[spec.max_detections, 6])
        config.output.add(name="image_size", data_type=pb.TYPE_INT32, dims=[2])
    else:
        pixels = [3, spec.input_height, spec.input_width]
        config.input.add(name=spec.input_name, data_type=pb.TYPE_UINT8, dims=pixels)
        config.output.add(name=spec.output_name, data_type=pb.TYPE_FP32, dims=list(output_shape))


def _add_batching(config: pb.ModelConfig, batching: Batching) -> None:
    dynamic = config.dynamic_batching
    dynamic.preferred_batch_size.extend(batching.preferred)
    dynamic.max_queue_delay_microseconds = batching.delay_us
    dynamic.preserve_ordering = batching.ordered
    if not batching.bounded:
        return
    if not batching.ordered:  # Triton allows one of the two
        dynamic.priority_levels = PRIORITIES
        dynamic.default_priority_level = 1
    queue = dynamic.default_queue_policy
    queue.timeout_action = pb.ModelQueuePolicy.REJECT
    queue.default_timeout_microseconds = QUEUE_TIMEOUT_US
    queue.allow_timeout_override = True
    queue.max_queue_size = batching.queue_size


def _add_warm_up(config: pb.ModelConfig, plan: ModelPlan, batch_size: int) -> None:
    warm_up = config.model_warmup.add(name=f"a real picture, batch of {batch_size}", batch_size=batch_size)
    spec = plan.spec
    encoded = plan.kind == "jpeg"
    tensor = warm_up.inputs["image" if encoded else spec.input_name]
    tensor.data_type = pb.TYPE_UINT8
    tensor.dims.extend([len(plan.warm_up)] if encoded else [3, spec.input_height, spec.input_width])
    tensor.input_data_file = plan.warm_up_file


def read_config(path: Path) -> pb.ModelConfig:
    """Raises google.protobuf.text_format.ParseError, with line and column, for what is no ModelConfig."""
    return text_format.Parse(path.read_text(), pb.ModelConfig())
