"""What became of a camera's frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.cameras.answers import Answer, Failure
from backend.cameras.durations import Durations
from backend.sides import TRITON


@dataclass(frozen=True)
class CameraFigures:
    """due = sent + dropped + no_picture, and sent = answered + failed, once it has ended."""

    camera: str
    fps: float  # that were asked for
    due: int
    sent: int
    answered: int
    dropped: int  # the last frame was still under way, or the backend had asked to be left alone
    no_picture: int  # the camera gave none in time
    failed: Mapping[str, int]  # by kind
    by_side: Mapping[str, int]  # answers
    fallbacks: int
    found: Mapping[str, int]  # boxes, by class
    tracks: int | None  # None where nobody follows
    p50_s: float | None
    p95_s: float | None

    def document(self) -> dict[str, object]:
        """As JSON tells it."""
        times = {f"p{share}_ms": _ms(value) for share, value in ((50, self.p50_s), (95, self.p95_s))}
        told = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("p50_s", "p95_s")
        }
        return {
            **{name: dict(one) if isinstance(one, Mapping) else one for name, one in told.items()},
            **times,
        }


@dataclass
class Tally:
    """The same, while they are counted."""

    camera: str
    fps: float
    due: int = 0
    sent: int = 0
    answered: int = 0
    dropped: int = 0
    no_picture: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    by_side: Counter[str] = field(default_factory=Counter)
    fallbacks: int = 0
    found: Counter[str] = field(default_factory=Counter)
    tracks: int | None = None
    took: Durations = field(default_factory=Durations)

    def count(self, outcome: Answer | Failure) -> None:
        if isinstance(outcome, Failure):
            self.failed[outcome.kind] += 1
            return
        self.answered += 1
        self.by_side[outcome.side] += 1
        self.fallbacks += bool(outcome.served_by.get("fallback_reason"))
        self.found.update(outcome.labels)
        self.took.add(outcome.took_s)

    def over_after(self, frames: int) -> None:
        """It had no more than these: what fell due since was none of its."""
        never = self.due - frames
        self.due = frames
        self.dropped -= never - 1  # the one that was looked for and was not there is counted nowhere

    def figures(self) -> CameraFigures:
        return CameraFigures(
            self.camera, self.fps, self.due, self.sent, self.answered, self.dropped, self.no_picture,
            dict(self.failed), dict(self.by_side), self.fallbacks, dict(self.found), self.tracks,
            self.took.percentile_s(0.5), self.took.percentile_s(0.95),
        )  # fmt: skip


@dataclass(frozen=True)
class Total:
    """All cameras together."""

    cameras: int
    due: int
    sent: int
    answered: int
    dropped: int
    no_picture: int
    failed: Mapping[str, int]
    found: Mapping[str, int]
    triton_share: float | None  # of the answers

    @classmethod
    def of(cls, all_of_them: Sequence[CameraFigures]) -> Total:
        answered = sum(one.answered for one in all_of_them)
        by_triton = sum(one.by_side.get(TRITON, 0) for one in all_of_them)
        return cls(
            len(all_of_them), sum(one.due for one in all_of_them), sum(one.sent for one in all_of_them), answered,
            sum(one.dropped for one in all_of_them), sum(one.no_picture for one in all_of_them),
            dict(sum((Counter(one.failed) for one in all_of_them), Counter())),
            dict(sum((Counter(one.found) for one in all_of_them), Counter())),
            by_triton / answered if answered else None,
        )  # fmt: skip

    def document(self) -> dict[str, object]:
        return dict(vars(self))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 2)
