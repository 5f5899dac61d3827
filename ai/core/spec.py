"""What a detector is, apart from its weights: how pictures go in, and what its rows mean.

A spec is a small TOML file (see `ai/yolo26/detector.toml`). A new detector is such a file and weights.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ai.core.errors import InvalidSpec
from ai.core.geometry import FitKind
from ai.core.labels import COCO_80

BoxFormat = Literal["xyxy-pixels", "cxcywh-unit"]
"""What the model's own head answers: corners in input pixels, or centre and size in 0..1 of the input."""

LABEL_SETS = {"coco-80": COCO_80}


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    name: str
    title: str
    input_name: str
    input_width: int
    input_height: int
    fit: FitKind
    pixel_scale: float
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]
    output_name: str
    box_format: BoxFormat
    max_detections: int
    score_floor: float
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        _require(self.name.isidentifier(), "name", self.name, "letters, digits and _")
        for field in ("input_width", "input_height"):
            size = getattr(self, field)
            _require(32 <= size <= 4096 and size % 32 == 0, field, size, "a multiple of 32 from 32 to 4096")
        _require(self.fit in get_args(FitKind), "fit", self.fit, " or ".join(get_args(FitKind)))
        _require(self.box_format in get_args(BoxFormat), "box_format", self.box_format,
                 " or ".join(get_args(BoxFormat)))  # fmt: skip
        _require(self.pixel_scale > 0, "pixel_scale", self.pixel_scale, "more than 0")
        _require(len(self.pixel_mean) == 3, "pixel_mean", self.pixel_mean, "three numbers")
        _require(len(self.pixel_std) == 3 and all(s > 0 for s in self.pixel_std), "pixel_std", self.pixel_std,
                 "three numbers over 0")  # fmt: skip
        _require(0 < self.max_detections <= 10_000, "max_detections", self.max_detections, "1 to 10,000")
        _require(0 <= self.score_floor < 1, "score_floor", self.score_floor, "from 0 to under 1")
        _require(len(self.labels) > 0 and len(set(self.labels)) == len(self.labels), "labels",
                 f"{len(self.labels)} names", "at least one name, each once")  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> DetectorSpec:
        """Read a spec file; InvalidSpec says which field is wrong and what it may be."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidSpec(f"{path}: cannot be read as a detector spec: {error}") from error
        try:
            return cls.from_table(table)
        except InvalidSpec as error:
            raise InvalidSpec(f"{path}: {error}") from error

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> DetectorSpec:
        values = {**table}
        _same_fields(values)
        for field, kind in _KINDS.items():
            _require(_is(values[field], kind), field, values[field], f"a {kind.__name__}")
        labels = values["labels"]
        if isinstance(labels, str):
            _require(labels in LABEL_SETS, "labels", labels, f"a list of names, or {' or '.join(LABEL_SETS)}")
            labels = LABEL_SETS[labels]
        for field in ("pixel_mean", "pixel_std"):
            _require(_is_list(values[field], float), field, values[field], "a list of three numbers")
            values[field] = tuple(float(value) for value in values[field])
        _require(_is_list(labels, str), "labels", labels, "a list of names")
        return cls(**{**values, "labels": tuple(labels)})


_KINDS: dict[str, type] = {
    "name": str, "title": str, "input_name": str, "output_name": str, "fit": str, "box_format": str,
    "input_width": int, "input_height": int, "max_detections": int,
    "pixel_scale": float, "score_floor": float,
}  # fmt: skip


def _is(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def _is_list(value: object, kind: type) -> bool:
    return isinstance(value, (list, tuple)) and all(_is(item, kind) for item in value)


def _same_fields(table: dict[str, Any]) -> None:
    wanted = set(DetectorSpec.__dataclass_fields__)
    if missing := sorted(wanted - set(table)):
        raise InvalidSpec(f"missing: {', '.join(missing)}")
    if unknown := sorted(set(table) - wanted):
        raise InvalidSpec(f"unknown: {', '.join(unknown)}; the fields are {', '.join(sorted(wanted))}")


def _require(holds: bool, field: str, value: object, allowed: str) -> None:
    if not holds:
        raise InvalidSpec(f"{field} is {value!r}; it must be {allowed}")
