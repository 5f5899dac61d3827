"""How what a store keeps is written as text and read again: one way for all stores that keep text.

Reading raises ValueError, KeyError or TypeError for what is not what it should be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from backend.rollout.checked import number, text, whole
from backend.rollout.quota import Quota, Seen
from backend.rollout.store import Beat, Change, Sample, Turn


def change_text(change: Change) -> str:
    return json.dumps(change.to_table())


def change_from(text: str | bytes) -> Change:
    return Change.from_table(json.loads(text))


def beat_text(beat: Beat) -> str:
    return json.dumps({"at": beat.at, "version": beat.version, "traffic": traffic_table(beat)})


def beat_from(worker: str, text: str | bytes) -> Beat:
    table = json.loads(text)
    return Beat(worker, float(table["at"]), int(table["version"]), traffic_of(table["traffic"]))


def traffic_table(beat: Beat) -> dict[str, Any]:
    return {name: seen.to_table() for name, seen in beat.traffic.items()}


def traffic_of(table: Mapping[str, Any]) -> dict[str, Seen]:
    return {name: Seen.from_table(seen) for name, seen in table.items()}


def quota_text(quota: Quota) -> str:
    return json.dumps(quota.cameras)


def quota_from(text: str | bytes) -> Quota:
    return quota_of(json.loads(text))


def quota_of(cameras: Iterable[Sequence[Any]]) -> Quota:
    return Quota(tuple((text("camera", name), number("share", share)) for name, share in cameras))


def turn_of(at: float, seen: Iterable[Iterable[float]]) -> Turn:
    return Turn(number("at", at), boxes_of(seen))


def boxes_of(boxes: Iterable[Iterable[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(number("a side of a box", side) for side in box) for box in boxes)


def sample_table(sample: Sample) -> dict[str, Any]:
    return {one.name: getattr(sample, one.name) for one in fields(Sample)}


def sample_text(sample: Sample) -> str:
    return json.dumps(sample_table(sample), separators=(",", ":"))


def sample_from(text: str | bytes) -> Sample:
    return sample_of(json.loads(text))


def sample_of(table: Mapping[str, Any]) -> Sample:
    return Sample(**{one.name: _AS[one.name](one.name, table[one.name]) for one in fields(Sample)})


def _boxes(_name: str, values: Any) -> tuple[tuple[float, ...], ...]:
    return boxes_of(values)


def _texts(name: str, values: Iterable[object]) -> tuple[str, ...]:
    return tuple(text(name, value) for value in values)


_AS: Mapping[str, Callable[[str, Any], Any]] = {
    "at": number,
    "kinds": _texts, "labels": _texts,
    "legacy": _boxes, "triton": _boxes,
    "width": whole, "height": whole,
} | dict.fromkeys(("id", "detector", "camera", "epoch", "light", "model_version"), text)  # fmt: skip


def is_asked_for(sample: Sample, detector: str, camera: str, kind: str, label: str) -> bool:
    """An empty word stands for any."""
    return (
        detector in ("", sample.detector)
        and camera in ("", sample.camera)
        and (not kind or kind in sample.kinds)
        and (not label or label in sample.labels)
    )
