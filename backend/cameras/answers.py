"""What the backend made of a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

# away: not reached, or the line broke; late: no answer within the patience, or 504; busy: 503 and 429; refused: what
# else begins with 4; odd: what is no answer of a Crossfade backend; unfinished: we ended before it answered.
FailureKind = Literal["away", "late", "busy", "refused", "odd", "unfinished"]


@dataclass(frozen=True, slots=True)
class Answer:
    took_s: float
    width: int  # of the picture, in pixels
    height: int
    detections: Sequence[Mapping[str, Any]]  # as the API tells them
    served_by: Mapping[str, Any]

    @property
    def side(self) -> str:
        return str(self.served_by["backend"])

    @property
    def labels(self) -> list[str]:
        return [str(found["class"]) for found in self.detections]


@dataclass(frozen=True, slots=True)
class Failure:
    kind: FailureKind
    took_s: float
    reason: str
    status: int | None = None  # HTTP's, where there was one
    retry_after_s: float | None = None
