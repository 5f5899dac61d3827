"""What a detector is, apart from its weights: how pictures go in, and what its answer means.

A spec is a small TOML file (see `ai/yolo26/detector.toml`). A new detector is such a file and weights. What has a
default may be left out: the defaults describe the form that our exporters give every network (`exported`).
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ai.core.errors import InvalidSpec
from ai.core.geometry import FitKind
from ai.core.labels import COCO_80, is_whole

InputType = Literal["uint8", "float32"]
"""RGB bytes as they are, or `(byte · pixel_scale − pixel_mean) / pixel_std`, which somebody has to compute."""

BoxFormat = Literal["xyxy-pixels", "cxcywh-pixels", "xyxy-unit", "cxcywh-unit"]
"""Corners, or centre and size; in pixels of the input, or in 0..1 of it."""

Layout = Literal["rows", "anchors", "queries"]
"""One image's answer: [n, 6], each a box, a score and a class; or box and all class scores, as [4 + classes, n]
(YOLOv8 and 11, and YOLO26's one-to-many head) or as [n, 4 + classes] (RT-DETR as some export it)."""

ROW = ("box", "score", "class")
MAX_DETECTIONS = 10_000  # of one picture; more than this and nobody counts them one by one
LABEL_SETS = {"coco-80": COCO_80}


@dataclass(frozen=True, slots=True)
class Serving:
    """How a Triton serves the detector; what is None is the engine's to choose."""

    instances: int | None = None
    max_batch: int | None = None
    queue_delay_ms: float | None = None

    def __post_init__(self) -> None:
        _require(self.instances is None or 1 <= self.instances <= 64, "serving.instances", self.instances,
                 "1 to 64")  # fmt: skip
        _require(self.max_batch is None or 1 <= self.max_batch <= 128, "serving.max_batch", self.max_batch,
                 "1 to 128")  # fmt: skip
        _require(self.queue_delay_ms is None or 0 <= self.queue_delay_ms <= 1000, "serving.queue_delay_ms",
                 self.queue_delay_ms, "0 to 1000")  # fmt: skip


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    name: str
    title: str
    input_name: str
    input_width: int
    input_height: int
    fit: FitKind
    output_name: str
    max_detections: int
    score_floor: float
    labels: tuple[str, ...]
    box_format: BoxFormat = "xyxy-pixels"
    input_type: InputType = "uint8"
    pixel_scale: float = 1.0
    pixel_mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layout: Layout = "rows"
    row: tuple[str, ...] = ROW
    nms_iou: float = 0.0  # 0: the answer holds each object once
    serving: Serving = field(default_factory=Serving)

    def __post_init__(self) -> None:
        _require(self.name.isidentifier(), "name", self.name, "letters, digits and _")
        for side in ("input_width", "input_height"):
            size = getattr(self, side)
            _require(16 <= size <= 4096, side, size, "from 16 to 4096")
        for choice, allowed in _CHOICES.items():
            _require(getattr(self, choice) in allowed, choice, getattr(self, choice), " or ".join(allowed))
        _require(self.pixel_scale > 0, "pixel_scale", self.pixel_scale, "more than 0")
        _require(len(self.pixel_mean) == 3, "pixel_mean", self.pixel_mean, "three numbers")
        _require(len(self.pixel_std) == 3 and all(s > 0 for s in self.pixel_std), "pixel_std", self.pixel_std,
                 "three numbers over 0")  # fmt: skip
        _require(0 < self.max_detections <= MAX_DETECTIONS, "max_detections", self.max_detections,
                 f"1 to {MAX_DETECTIONS:,}")  # fmt: skip
        _require(0 <= self.score_floor < 1, "score_floor", self.score_floor, "from 0 to under 1")
        _require(0 <= self.nms_iou < 1, "nms_iou", self.nms_iou, "from 0 (none) to under 1")
        _require(sorted(self.row) == sorted(ROW), "row", list(self.row), f"{', '.join(ROW)} in any order")
        _require(len(self.labels) > 0 and len(set(self.labels)) == len(self.labels), "labels",
                 f"{len(self.labels)} names", "at least one name, each once")  # fmt: skip
        _require(
            all(map(is_whole, self.labels)), "labels", f"{len(self.labels)} names", "whole signs, no halves"
        )

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
        _same_fields(values, cls, "")
        for field_, kind in _KINDS.items():
            if field_ in values:
                _require(_is(values[field_], kind), field_, values[field_], f"a {kind.__name__}")
        labels = values["labels"]
        if isinstance(labels, str):
            _require(labels in LABEL_SETS, "labels", labels, f"a list of names, or {' or '.join(LABEL_SETS)}")
            values["labels"] = LABEL_SETS[labels]
        for field_, kind in {"pixel_mean": float, "pixel_std": float, "row": str, "labels": str}.items():
            if field_ in values:
                _require(_is_list(values[field_], kind), field_, values[field_], f"a list of {_PLURAL[kind]}")
                values[field_] = tuple(kind(value) for value in values[field_])
        values["serving"] = _serving(values.get("serving", {}))
        return cls(**values)

    def to_table(self) -> dict[str, Any]:
        """What `from_table` reads; also what a served model carries in its configuration."""
        table = asdict(self)
        table["serving"] = {name: value for name, value in table["serving"].items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in table.items()}

    def with_bytes_in(self) -> DetectorSpec:
        """The same detector once its graph begins with the normalisation."""
        return replace(self, input_type="uint8", pixel_scale=1.0, pixel_mean=(0.0,) * 3, pixel_std=(1.0,) * 3)

    def exported(self) -> DetectorSpec:
        """What our torch module, and everything exported from it, takes and answers."""
        if self.layout != "rows":
            return self.with_bytes_in()
        return replace(self.with_bytes_in(), box_format="xyxy-pixels", row=ROW)


_CHOICES: dict[str, tuple[str, ...]] = {
    "fit": get_args(FitKind),
    "box_format": get_args(BoxFormat),
    "input_type": get_args(InputType),
    "layout": get_args(Layout),
}
_KINDS: dict[str, type] = {
    "name": str, "title": str, "input_name": str, "output_name": str, "fit": str, "box_format": str,
    "input_type": str, "layout": str, "input_width": int, "input_height": int, "max_detections": int,
    "pixel_scale": float, "score_floor": float, "nms_iou": float,
}  # fmt: skip
_PLURAL: dict[type, str] = {float: "numbers", str: "names"}
_NEEDED = ("name", "title", "input_name", "input_width", "input_height", "fit", "output_name", "max_detections",
           "score_floor", "labels")  # fmt: skip


def _serving(table: object) -> Serving:
    _require(isinstance(table, dict), "serving", table, "a table")
    values: dict[str, Any] = dict(table)  # type: ignore[call-overload]
    _same_fields(values, Serving, "serving.")
    kinds: dict[str, type] = {"instances": int, "max_batch": int, "queue_delay_ms": float}
    for name, value in values.items():
        _require(_is(value, kinds[name]), f"serving.{name}", value, f"a {kinds[name].__name__}")
    return Serving(**values)


def _is(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    if kind is float:  # JSON knows NaN, infinities, and whole numbers that are no float any more
        return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
    return isinstance(value, kind)


def _is_list(value: object, kind: type) -> bool:
    return isinstance(value, (list, tuple)) and all(_is(item, kind) for item in value)


def _same_fields(table: dict[str, Any], kind: type[DetectorSpec | Serving], prefix: str) -> None:
    known = set(kind.__dataclass_fields__)
    if kind is DetectorSpec and (missing := sorted(set(_NEEDED) - set(table))):
        raise InvalidSpec(f"missing: {', '.join(missing)}")
    if unknown := sorted(prefix + name for name in set(table) - known):
        raise InvalidSpec(f"unknown: {', '.join(unknown)}; the fields are {', '.join(sorted(known))}")


def _require(holds: bool, field: str, value: object, allowed: str) -> None:
    if not holds:
        raise InvalidSpec(f"{field} is {value!r}; it must be {allowed}")
