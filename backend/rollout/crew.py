"""The workers that share the flags: who is alive, what each obeys, and who of them publishes the cameras' list."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
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
    def __init__(self, store: Store, worker: Worker, traffic: Traffic, now: Callable[[], float]) -> None:
        self._store = store
        self._worker = worker
        self._traffic = traffic
        self._now = now
        self._due_at = float("-inf")
        self._seen: tuple[Beat, ...] = ()

    @property
    def live(self) -> tuple[Beat, ...]:
        """By name, as of the last look."""
        oldest = self._now() - self._worker.life_s
        return tuple(beat for beat in self._seen if beat.at >= oldest)

    @property
    def beat_is_due(self) -> bool:
        return time.monotonic() >= self._due_at

    def confirm(self, version: int, quotas: Mapping[str, Quota]) -> Mapping[str, Quota]:
        """Tell that this worker obeys `version`; the cameras' lists as they are published then."""
        by_quota = self._worker.key == "camera-quota"
        traffic = self._traffic.counted() if by_quota else {}
        self._store.beat(Beat(self._worker.name, self._now(), version, traffic))
        self._due_at = time.monotonic() + self._worker.heartbeat_s
        self._seen = self._store.beats()
        leads = by_quota and self.live[:1] and self.live[0].worker == self._worker.name
        return self._published(quotas) if leads else quotas

    def unconfirmed(self, version: int) -> tuple[str, ...]:
        """The other live workers that obey an older one, as far as anybody can say."""
        with suppress(StoreAway):
            self._seen = self._store.beats()
        late = (beat.worker for beat in self.live if beat.version < version)
        return tuple(worker for worker in late if worker != self._worker.name)

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
