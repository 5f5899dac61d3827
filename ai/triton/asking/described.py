"""What a Triton says of its models, as it words it, apart from what we make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeVar

from pydantic import FailFast, TypeAdapter, ValidationError

from ai.core.errors import InvalidModelOutput

Item = TypeVar("Item")
Listed = Annotated[tuple[Item, ...], FailFast()]
"""The first fault is told; a list of nothing but faults would take a kilobyte for each."""
Dims = Listed[int]
"""-1 is any size."""


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    name: str
    datatype: str
    shape: Dims = ()


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    name: str
    versions: Listed[str] = ()
    platform: str = ""
    inputs: Listed[TensorMetadata] = ()
    outputs: Listed[TensorMetadata] = ()

    @property
    def newest(self) -> str:
        """The version that answers when none is named."""
        return max(self.versions, key=lambda version: (len(version), version), default="")


@dataclass(frozen=True, slots=True)
class TensorConfig:
    name: str
    data_type: str
    dims: Dims = ()
    optional: bool = False

    @property
    def datatype(self) -> str:
        return self.data_type.removeprefix("TYPE_")

    @property
    def of_one_picture(self) -> TensorConfig:
        return replace(self, dims=self.dims[1:])

    def __str__(self) -> str:
        return f"{self.name} {self.datatype} {list(self.dims)}"


@dataclass(frozen=True, slots=True)
class Parameter:
    string_value: str = ""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    name: str = ""
    max_batch_size: int = 0
    input: Listed[TensorConfig] = ()
    output: Listed[TensorConfig] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def needed_inputs(self) -> tuple[TensorConfig, ...]:
        return tuple(tensor for tensor in self.input if not tensor.optional)

    def output_named(self, name: str) -> TensorConfig | None:
        return next((tensor for tensor in self.output if tensor.name == name), None)


@dataclass(frozen=True, slots=True)
class Duration:
    """The sum over `count` requests or batches."""

    count: int = 0
    ns: int = 0


@dataclass(frozen=True, slots=True)
class Stages:
    success: Duration = Duration()
    fail: Duration = Duration()
    queue: Duration = Duration()
    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    batch_size: int
    compute_infer: Duration = Duration()


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    name: str
    version: str
    inference_count: int = 0  # pictures
    execution_count: int = 0  # batches
    inference_stats: Stages = Stages()
    batch_stats: Listed[BatchStatistics] = ()


@dataclass(frozen=True, slots=True)
class _AllStatistics:
    model_stats: Listed[ModelStatistics] = ()


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One version of one model in the repository; `state` is empty while it was never loaded."""

    name: str
    version: str = ""
    state: str = ""
    reason: str = ""


METADATA = TypeAdapter(ModelMetadata)
CONFIG = TypeAdapter(ModelConfig)
STATISTICS = TypeAdapter(_AllStatistics)
INDEX = TypeAdapter(Listed[IndexEntry])

Described = TypeVar("Described")


def described(kind: TypeAdapter[Described], table: object) -> Described:
    """Triton's JSON as `kind`; InvalidModelOutput names the first thing that is not as it should be."""
    try:
        return kind.validate_python(table)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise InvalidModelOutput(
            f"Triton describes {place or 'itself'} wrongly: {problem['msg']}."
        ) from error
