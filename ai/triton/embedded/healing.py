"""Notices, by inference, a model that lives in name only, and heals it: loaded anew, or else with the whole server.

Triton calls a model ready whose Python process is dead, and fails every call to it. A model with a full queue, or
one that is slow, is left in peace as long as it finishes anything at all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ai.triton.embedded import process
from ai.triton.embedded.admin import Admin, Finding, ModelState, State
from ai.triton.embedded.errors import ModelFails, NeedsRestart, ServerGone
from ai.triton.embedded.loading import Loader

_LONGEST_BETWEEN_S = 5.0
_SHARE_OF_TIME = 20  # a look that the models work t seconds for is followed by 20 t of rest


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next try: not at all, then longer and longer; forgotten after a good while."""

    first_s: float = 1.0
    longest_s: float = 60.0
    good_while_s: float = 60.0
    _tries: int = 0
    _last: float = float("-inf")

    def delay_s(self, now: float) -> float:
        """To be called once for each try."""
        if now - self._last > self._waited_s() + self.good_while_s:
            self._tries = 0
        self._tries += 1
        self._last = now
        return self._waited_s()

    def _waited_s(self) -> float:
        return 0.0 if self._tries < 2 else min(self.longest_s, self.first_s * 2.0 ** (self._tries - 2))


@dataclass(slots=True)
class _Chart:
    """What is known of one model."""

    successes: int = -1
    busy_since: float | None = None
    lost: str = ""  # why it could not be brought back
    not_before: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class Watch:
    """Looks at every model that is loaded. A model that somebody unloaded is not missed."""

    def __init__(
        self,
        admin: Admin,
        loader: Loader,
        mark: str,
        repository: Path,
        tell: Callable[[str], None],
        *,
        probe_timeout_s: float,
        hang_after_s: float,
    ) -> None:
        self._admin = admin
        self._loader = loader
        self._mark = mark
        self._repository = repository
        self._tell = tell
        self._probe_timeout_s = probe_timeout_s
        self._hang_after_s = hang_after_s
        self._charts: dict[str, _Chart] = defaultdict(_Chart)
        self._silent_since: float | None = None

    def look(self) -> float:
        """One look at all; gives the seconds that the models worked for it. NeedsRestart when that is what helps."""
        worked_s = 0.0
        ready = self._ready()
        for model in ready:
            asked = time.monotonic()
            finding = self._examine(model)
            worked_s += time.monotonic() - asked if finding.state is State.WELL else 0.0
            if finding.state is State.ILL and model in self._ready():  # nobody took it out meanwhile
                self._heal(model.name, finding.reason)
        for name in self._lost() - {model.name for model in ready}:
            self._heal(name, self._charts[name].lost)
        return worked_s

    def _ready(self) -> list[ModelState]:
        try:
            models = [model for model in self._admin.models() if model.ready]
        except ServerGone as error:
            now = time.monotonic()
            self._silent_since = self._silent_since or now
            if now - self._silent_since > self._hang_after_s:
                self._silent_since = None
                raise NeedsRestart(f"has not answered for {self._hang_after_s:g} s ({error})") from error
            return []
        self._silent_since = None
        return models

    def _lost(self) -> set[str]:
        return {name for name, chart in self._charts.items() if chart.lost and self._folder(name).is_dir()}

    def _examine(self, model: ModelState) -> Finding:
        chart = self._charts[model.name]
        finding = self._ask(model)
        if finding.state is State.AWAY:
            return finding
        if self._lacks_a_process(model):
            return Finding(State.ILL, f"a process of it has ended {finding.reason}".strip())
        match finding.state:
            case State.WELL:
                chart.busy_since, chart.lost = None, ""
            case State.BUSY:
                return self._judge_busy(chart, model, finding)
            case State.ILL:
                return self._ask(model)  # once may be an accident
        return finding

    def _ask(self, model: ModelState) -> Finding:
        return self._admin.ask(model, self._probe_timeout_s)

    def _lacks_a_process(self, model: ModelState) -> bool:
        """One of several may be dead while the others answer: an idle Triton asks the same one again and again."""
        alive = process.marked(self._mark, f"{self._folder(model.name)}/{model.version}/")
        return len(alive) < self._admin.python_processes(model)

    def _judge_busy(self, chart: _Chart, model: ModelState, finding: Finding) -> Finding:
        now = time.monotonic()
        successes = self._admin.successes(model.name)
        if chart.busy_since is None or successes != chart.successes:
            chart.busy_since, chart.successes = now, successes
        if now - chart.busy_since > self._hang_after_s:
            return Finding(State.ILL, f"has finished nothing for {self._hang_after_s:g} s")
        return finding

    def _heal(self, name: str, reason: str) -> None:
        chart = self._charts[name]
        now = time.monotonic()
        if now < chart.not_before:
            return
        first_failure = not chart.lost
        self._tell(f"{name} is ill ({reason}); it is loaded again")
        try:
            self._reload(name)
        except ModelFails as error:
            chart.lost = str(error)
            self._tell(f"{name} could not be loaded again: {error}")
            if first_failure:
                raise NeedsRestart(f"is started again because {name} fails ({error})") from error
        else:
            self._charts[name] = _Chart(backoff=chart.backoff)
            self._tell(f"{name} serves again after {time.monotonic() - now:.1f} s")
        finally:
            self._charts[name].not_before = time.monotonic() + chart.backoff.delay_s(now)

    def _reload(self, name: str) -> None:
        """A load alone does nothing while Triton takes the model for ready."""
        process.kill(self._mark, f"{self._folder(name)}/")  # one that hangs would outlive the server
        self._admin.unload(name)
        self._loader.bring_up(name)

    def _folder(self, name: str) -> Path:
        return self._repository / name


def rest_s(worked_s: float, interval_s: float) -> float:
    """Looking takes a small share of the models' time, on slow machines too; a death is noticed within seconds."""
    return max(interval_s, min(_SHARE_OF_TIME * worked_s, _LONGEST_BETWEEN_S))
