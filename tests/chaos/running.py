"""Runs rows of the fault table, one after the other; rows that want the same house share it while it is healthy."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.backends import Backend
from tests.chaos.house import House, running_house
from tests.chaos.judging import judge, watched
from tests.chaos.load import load_on
from tests.chaos.row import Row, Trial

PATIENCE_S = 60.0  # of a row, for what it waits for
SHORT_PATIENCE_S = 6.0  # where it will wait in vain: its defence is taken away
COUNTED_S = 10.0  # for the metrics to count what was answered last


@dataclass(frozen=True)
class Result:
    row: Row
    undefended: bool
    wrong: dict[str, list[str]]
    figures: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Without its defence a row passes by failing, in the mark that its defence is for."""
        return self.row.without.fails in self.wrong if self.undefended else not self.wrong

    def to_table(self) -> dict[str, Any]:
        return {
            "row": self.row.name, "family": self.row.family, "promise": self.row.promise,
            "defence": self.row.without.defence,
            "passed": self.passed, "wrong": self.wrong, "took_s": round(self.took_s, 1), **self.figures,
        }  # fmt: skip


class Houses:
    """The one that stands is used again, until a row wants another or has ruined it."""

    def __init__(self, undefended: bool = False) -> None:
        self._undefended = undefended
        self._standing: tuple[Any, House, ExitStack] | None = None

    def of(self, row: Row) -> House:
        without = row.without if self._undefended else None
        variables = {**row.variables, **(without.variables if without else {})}
        patches = (*row.patches, *(without.patches if without else ()))
        wanted = (
            sorted(variables.items()), patches, row.through_proxies, row.redis, row.workers, row.env_file,
        )  # fmt: skip
        if self._standing is not None and self._standing[0] == wanted:
            return self._standing[1]
        self.close()
        stack = ExitStack()
        house = stack.enter_context(
            running_house(
                variables, through_proxies=row.through_proxies, redis=row.redis, without=patches,
                workers=row.workers, env_file=row.env_file, ready=not self._undefended,
            )
        )  # fmt: skip
        self._standing = wanted, house, stack
        return house

    def close(self) -> None:
        standing, self._standing = self._standing, None
        if standing is not None:
            standing[2].close()


def run_all(rows: Sequence[Row], undefended: bool = False) -> Iterator[Result]:
    with closing(Houses(undefended)) as houses:
        for row in rows:
            result = run(row, houses.of(row), undefended)
            if row.ruins or undefended or result.wrong:
                houses.close()
            yield result


def run(row: Row, house: House, undefended: bool = False) -> Result:
    began = time.monotonic()
    house.heal()
    before = house.backend.metrics()
    with watched(house.backend) as watch, load_on(house.backend.url, row.per_s) as load:
        trial = Trial(row, house, load, SHORT_PATIENCE_S if undefended else PATIENCE_S, undefended)
        trial.control_s = watch.control_s
        _act(trial)
    judge(trial, watch, before, _settled(house.backend))
    return Result(row, undefended, trial.wrong, trial.figures, time.monotonic() - began)


def _act(trial: Trial) -> None:
    """Whatever a row meets is what it found out."""
    try:
        trial.until_served_by(trial.row.first)
        trial.row.act(trial)
    except Exception as error:  # noqa: BLE001
        trial.require(False, "acted", "".join(traceback.format_exception_only(error)).strip())
        with contextlib.suppress(Exception):
            trial.house.heal()


def _settled(backend: Backend) -> dict[str, float]:
    """The metrics, when what was under way has ended; nothing where the backend is gone."""
    ends_at, before, now = time.monotonic() + COUNTED_S, {}, _metrics(backend)
    while time.monotonic() < ends_at and (_requests(before) != _requests(now) or _under_way(now)):
        time.sleep(0.1)
        before, now = now, _metrics(backend)
    return now


def _metrics(backend: Backend) -> dict[str, float]:
    try:
        return backend.metrics()
    except httpx.HTTPError:
        return {}


def _requests(metrics: dict[str, float]) -> float:
    return sum(value for line, value in metrics.items() if line.startswith("detector_requests_total{"))


def _under_way(metrics: dict[str, float]) -> float:
    return sum(value for line, value in metrics.items() if line.startswith("detector_inflight{"))
