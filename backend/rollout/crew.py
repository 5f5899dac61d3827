"""The workers that share the flags: who is alive, what each obeys, and the cameras' list, which their leader publishes.

Who is alive is told by the store's clock, not by those of the machines.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from backend.rollout.flags import FRACTION_SALT, RolloutKey, bucket_of
from backend.rollout.quota import Quota, Traffic, quota_of
from backend.rollout.store import Beat, Store, StoreAway

LIFE_BEATS = 3  # a worker that was silent for so many heartbeats is dead


@dataclass(frozen=True, slots=True)
class Worker:
    name: str
    heartbeat_s: float
    key: RolloutKey
    legacy_enabled: bool

    @property
    def life_s(self) -> float:
        return LIFE_BEATS * self.heartbeat_s

    @property
    def trust_s(self) -> float:
        """How long it may act on its last look. One that stood still for longer may have been given up by the others
        and a rollback been called complete without it; with legacy off there is no rollback."""
        return self.life_s - self.heartbeat_s if self.legacy_enabled else math.inf


class Crew:
    """Who is not in the store is not known to be gone: it may have been lost, and its workers not told it again yet.

    A worker's own last beat says whether this is still the store it was. Where it is not, the crew is whole again after
    `trust_s`: by then each one has been heard, or starts no attempt.
    """

    def __init__(self, store: Store, worker: Worker, traffic: Traffic) -> None:
        self._store = store
        self._worker = worker
        self._traffic = traffic
        self._due_at = float("-inf")
        self._own_at: float | None = None  # our last beat
        self._whole_at = math.inf
        self._seen: Mapping[tuple[str, float], tuple[Beat, float]] = {}  # by worker and time; first seen when

    @property
    def live(self) -> tuple[Beat, ...]:
        """By name, as of the last look."""
        return tuple(beat for beat, first_seen in self._seen.values() if self._lives(beat, first_seen))

    def _lives(self, beat: Beat, first_seen: float) -> bool:
        """One from the future was made before the clock was set back: it lasts as long as any, as we see it."""
        age_s = self._store.now() - beat.at
        if age_s < -self._worker.life_s:
            age_s = time.monotonic() - first_seen
        return age_s <= self._worker.life_s

    @property
    def beat_is_due(self) -> bool:
        return time.monotonic() >= self._due_at

    @property
    def whole_in_s(self) -> float:
        return max(0.0, self._whole_at - time.monotonic())

    def confirm(self, version: int, quotas: Mapping[str, Quota]) -> Mapping[str, Quota]:
        """Tell that this worker obeys `version`; the cameras' lists as they are published then."""
        by_quota = self._worker.key == "camera-quota"
        traffic = self._traffic.counted() if by_quota else {}
        beat = Beat(self._worker.name, self._store.now(), version, traffic)
        self._recognise(self._store.beat(beat))
        self._own_at = beat.at
        self._due_at = time.monotonic() + self._worker.heartbeat_s
        self._look()
        leads = by_quota and self._store.lead(self._worker.name, self._worker.life_s)
        return self._published(quotas) if leads else quotas

    def unconfirmed(self, version: int) -> tuple[str, ...]:
        """The other live workers that obey an older one; this one too, while it cannot tell who there is."""
        with suppress(StoreAway):
            self._look()
            self._recognise(next((at for worker, at in self._seen if worker == self._worker.name), None))
        late = {beat.worker for beat in self.live if beat.version < version} - {self._worker.name}
        return tuple(sorted(late | {self._worker.name} if self.whole_in_s else late))

    def _look(self) -> None:
        now, before = time.monotonic(), self._seen
        beats = {(beat.worker, beat.at): beat for beat in self._store.beats()}
        self._seen = {key: (beat, before[key][1] if key in before else now) for key, beat in beats.items()}

    def _recognise(self, own_at: float | None) -> None:
        if own_at is None or own_at != self._own_at:
            self._whole_at = time.monotonic() + self._worker.trust_s
            self._due_at = float("-inf")

    def _published(self, held: Mapping[str, Quota]) -> Mapping[str, Quota]:
        """A list that still holds is left alone; a glimpse of traffic makes none, or cameras would move twice."""
        fresh = self._fresh() if self._traffic.ripe else {}
        if all(name in held and held[name].still_holds(quota) for name, quota in fresh.items()):
            return held
        quotas = {**held, **fresh}
        self._store.publish(quotas)
        return quotas

    def _fresh(self) -> dict[str, Quota]:
        detectors = {detector for beat in self.live for detector in beat.traffic}
        return {
            detector: quota_of(
                [beat.traffic[detector] for beat in self.live if detector in beat.traffic],
                partial(bucket_of, FRACTION_SALT, detector),
            )
            for detector in detectors
        }
