"""Which cameras belong to Triton where ROLLOUT_KEY=camera-quota: pure counting and choosing.

Cameras stand in an order of their own (a hash), and are taken from its front while their share of the traffic stays at
or under the fraction. What is published is the order with the shares, not the choice: a new fraction is obeyed at
once by whoever knows the list, and a higher one only ever adds cameras.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_CAMERAS = 2_000  # of a detector, in a heartbeat and in a list
MAX_COUNTED = 5_000  # names at once, whatever callers invent
DRIFT = 0.02  # of the traffic: what may change before a new list is worth a move of cameras
_ROUNDING = 1e-9

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Seen:
    """The recent requests of one detector, as one worker counted them."""

    total: int  # those of cameras that are not in the list too
    cameras: Mapping[str, int]

    def to_table(self) -> dict[str, Any]:
        return {"total": self.total, "cameras": dict(self.cameras)}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Seen:
        return cls(int(table["total"]), {str(name): int(count) for name, count in table["cameras"].items()})


@dataclass(frozen=True, slots=True)
class Quota:
    """The cameras of one detector in their order, each with its share of the traffic."""

    cameras: tuple[tuple[str, float], ...] = ()

    def taken(self, fraction: float) -> frozenset[str]:
        return frozenset(name for name, _ in self._front(fraction))

    def share_taken(self, fraction: float) -> float:
        return sum(share for _, share in self._front(fraction))

    def _front(self, fraction: float) -> list[tuple[str, float]]:
        front, used = [], 0.0
        for name, share in self.cameras:
            used += share
            if used > fraction + _ROUNDING:
                break
            front.append((name, share))
        return front

    def still_holds(self, fresh: Quota) -> bool:
        """Whether this list takes about what it says, at any fraction: then every camera stays where it is.

        Cameras that come and go, and the noise of single counts, are no reason as long as their sum is small.
        """
        now, old = dict(fresh.cameras), dict(self.cameras)
        drift = 0.0
        for name, share in self.cameras:
            drift += now.get(name, 0.0) - share
            if abs(drift) > DRIFT:
                return False
        return sum(share for name, share in fresh.cameras if name not in old) <= DRIFT


def quota_of(counted: Iterable[Seen], place: Callable[[str], int]) -> Quota:
    """One list from what all workers counted; `place` is a camera's in the order."""
    total, cameras = 0, Counter[str]()
    for seen in counted:
        total += seen.total
        cameras.update(seen.cameras)
    largest = cameras.most_common(MAX_CAMERAS)
    total = max(total, sum(cameras.values()))
    return Quota(
        tuple(
            (name, count / total) for name, count in sorted(largest, key=lambda pair: (place(pair[0]), pair))
        )
    )


class Traffic:
    """Counts the requests of the last `window_s` (half of it at the least) by detector and camera."""

    def __init__(self, window_s: float, clock: Clock = time.monotonic) -> None:
        self._half_s = window_s / 2
        self._clock = clock
        self._turned_at = self._began_at = clock()
        self._now: Counter[tuple[str, str]] = Counter()
        self._before: Counter[tuple[str, str]] = Counter()

    def seen(self, detector: str, camera: str | None) -> None:
        if not camera:
            return
        self._turn()
        key = (detector, camera)
        self._now[key if key in self._now or len(self._now) < MAX_COUNTED else (detector, "")] += 1

    def counted(self) -> dict[str, Seen]:
        self._turn()
        by_detector: dict[str, Counter[str]] = {}
        for (detector, camera), count in (self._now + self._before).items():
            by_detector.setdefault(detector, Counter())[camera] += count
        return {detector: _largest(cameras) for detector, cameras in by_detector.items()}

    @property
    def ripe(self) -> bool:
        """Whether it has counted for long enough to say what is usual."""
        return self._clock() - self._began_at >= self._half_s

    def _turn(self) -> None:
        late_s = self._clock() - self._turned_at
        if late_s < self._half_s:
            return
        self._before = self._now if late_s < 2 * self._half_s else Counter()
        self._now = Counter()
        self._turned_at += late_s


def _largest(cameras: Counter[str]) -> Seen:
    total = cameras.total()
    cameras.pop("", None)  # the names that there was no place for
    return Seen(total, dict(cameras.most_common(MAX_CAMERAS)))
