"""Looks at one Prometheus while something is broken: which alerts came from it, and which went when it was mended."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.prometheus_server import PrometheusServer, Sample

LOOK_S = 0.25
FEW_SCRAPES = 3
PATIENCE_S = 90.0  # tells a dead alert from a busy machine


@dataclass(frozen=True)
class Seen:
    """An alert that came from its fault, and went after it."""

    alert: str
    fault: str
    fired_after_s: float
    value: float
    labels: Mapping[str, str]
    mended_at: float
    cleared_after_s: float | None = None  # None: it fires still


@dataclass
class Watch:
    prometheus: PrometheusServer
    expressions: Collection[str] = ()  # of which we want to know whether they ever have data
    seen: dict[str, Seen] = field(default_factory=dict)
    with_data: set[str] = field(default_factory=set)
    complaints: set[str] = field(default_factory=set)  # of Prometheus about rules

    @property
    def firing(self) -> set[str]:
        return {one.name for one in self.prometheus.firing()}

    def until_it_knows(self, targets: int) -> None:
        """All of these, from a few scrapes: what changes from now on is seen as a change."""
        query = f"sum(up) == {targets} and min(count_over_time(up[1m])) >= {FEW_SCRAPES}"
        self._until(lambda: bool(self.prometheus.query(query)), "Prometheus never knew all targets", ())

    def befalls(
        self,
        fault: str,
        alerts: Collection[str],
        broken: AbstractContextManager[Any],
        later: Collection[str] = (),
    ) -> None:
        """While it is broken they fire, each of them; before it none does, and when it is mended they clear.

        Those that look back far clear `later`: `settle` waits for them.
        """
        wanted = {*alerts, *later}
        self._until(lambda: not wanted & self.firing, f"before: {fault}", wanted)
        began_at = time.monotonic()
        with broken:
            fired = self._all_fired(wanted, began_at, fault)
            self.look_around()
        mended_at = time.monotonic()
        for name, (after_s, one) in fired.items():
            self.seen[name] = Seen(name, fault, after_s, one.value, one.labels, mended_at)
        self.settle(alerts)

    def settle(self, alerts: Collection[str] | None = None) -> None:
        """Until these, or all, have cleared."""
        owed = {
            one for one in (self.seen if alerts is None else alerts) if self.seen[one].cleared_after_s is None
        }

        def all_clear() -> bool:
            firing = self.firing
            for name in owed - firing:
                one = self.seen[name]
                if one.cleared_after_s is None:
                    self.seen[name] = replace(one, cleared_after_s=time.monotonic() - one.mended_at)
            return not owed & firing

        self._until(all_clear, "they do not clear", owed)

    def look_around(self) -> None:
        self.complaints |= {
            f"{name}: {one}" for name, one in self.prometheus.health_of_rules().items() if one
        }
        for expression in set(self.expressions) - self.with_data:
            if any(one.value == one.value for one in self.prometheus.query(expression)):  # not NaN
                self.with_data.add(expression)

    def _all_fired(self, wanted: set[str], began_at: float, fault: str) -> dict[str, tuple[float, Sample]]:
        fired: dict[str, tuple[float, Sample]] = {}

        def all_fired() -> bool:
            for one in self.prometheus.firing():
                if one.name in wanted:
                    fired.setdefault(one.name, (time.monotonic() - began_at, one))
            return len(fired) == len(wanted)

        self._until(all_fired, f"{fault}: not all of them fire", wanted)
        return fired

    def _until(self, holds: Callable[[], bool], why: str, alerts: Collection[str]) -> None:
        ends_at = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < ends_at, f"{why}: {sorted(alerts)}; {sorted(self.firing)} fire now"
            time.sleep(LOOK_S)
