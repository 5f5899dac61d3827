"""One server over its whole life: launched, its models brought up, watched, and started again when it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from ai.triton.embedded import record
from ai.triton.embedded.admin import Admin
from ai.triton.embedded.errors import CannotStart, ModelFails, NeedsRestart, ServerGone
from ai.triton.embedded.healing import Backoff, Watch, rest_s
from ai.triton.embedded.launch import Plan, wait_until_it_listens
from ai.triton.embedded.loading import Loader, model_names
from ai.triton.embedded.ports import settle
from ai.triton.embedded.process import TritonProcess
from ai.triton.embedded.record import RunningTriton
from ai.triton.embedded.server_log import ServerLog
from ai.triton.embedded.settings import EmbeddedSettings, inherited_environment

_POLL_S = 0.1
_LAST_LINES = 5


class Supervision:
    def __init__(
        self,
        plan: Plan,
        settings: EmbeddedSettings,
        log: ServerLog,
        stopping: Event,
        tell: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._log = log
        self._stopping = stopping
        self._tell = tell
        self._var: Path = settings.crossfade_var
        self._interval_s = settings.triton_probe_interval_s
        self._process: TritonProcess | None = None
        self._backoff = Backoff(longest_s=30.0)
        self._admin = Admin(plan.url("grpc"), record.grpc_admin(plan.key))
        self._loader = Loader(self._admin, plan.repository, log, settings.triton_start_timeout_s, tell)
        self._watch = Watch(
            self._admin, self._loader, plan.mark, plan.repository, tell,
            probe_timeout_s=settings.triton_probe_timeout_s, hang_after_s=settings.triton_hang_after_s,
        )  # fmt: skip
        self.failed: dict[str, str] = {}

    @property
    def running(self) -> RunningTriton:
        assert self._process is not None  # noqa: S101 - asked only after `begin`
        plan = self._plan
        return RunningTriton(
            pid=self._process.pid,
            supervisor=os.getpid(),
            http_url=plan.url("http"),
            grpc_url=plan.url("grpc"),
            metrics_url=f"http://{plan.url('metrics')}/metrics",
            admin_key=plan.key,
            repository=str(plan.repository),
            mark=plan.mark,
        )

    def begin(self) -> None:
        """Everything that can serve, serves when this returns; CannotStart when nothing can."""
        names = model_names(self._plan.repository)
        self._launch()
        try:
            self.failed = self._loader.bring_all_up(names)
        except ServerGone as error:
            raise CannotStart(
                f"tritonserver went away while models were loaded: {self._why(error)}"
            ) from error
        if len(self.failed) == len(names):
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.failed.items())
            raise CannotStart(f"no model can serve. {reasons}")
        record.write(self._var, self.running)
        self._tell_what_serves([name for name in names if name not in self.failed])

    def keep_serving(self) -> None:
        """Until we are to stop."""
        next_look = time.monotonic() + self._interval_s
        while not self._stopping.wait(_POLL_S):
            try:
                self._require_alive()
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + rest_s(self._watch.look(), self._interval_s)
            except NeedsRestart as error:
                self._start_again(str(error))
            except (ModelFails, ServerGone) as error:
                next_look = time.monotonic() + self._interval_s
                self._log.write(f"crossfade could not look after the models this time: {error}")

    def end(self) -> None:
        if self._process is not None:
            self._process.end(self._plan.mark)

    def close(self) -> None:
        self.end()
        self._admin.close()
        record.remove(self._var)

    def _launch(self) -> None:
        settle(self._plan.ports)
        self._log.forget()
        environment = self._plan.wheel.environment(inherited_environment())
        self._process = TritonProcess(self._plan.command, environment, self._log.pump)
        wait_until_it_listens(self._process, self._plan, self._log, self._stopping.is_set)
        self._process.hide(self._plan.key)

    def _require_alive(self) -> None:
        if self._process is not None and self._process.ended:
            raise NeedsRestart(self._why())

    def _why(self, otherwise: object = "") -> str:
        """How the process ended, if it did, and what it said last."""
        if self._process is None or not self._process.ended:
            return str(otherwise)
        self._process.drain()
        return f"{self._process.how_it_ended} (its last words: {' | '.join(self._log.tail(_LAST_LINES))})"

    def _start_again(self, why: str) -> None:
        if self._stopping.is_set():
            return
        self._tell(f"tritonserver {why}; it is started again")
        while not self._stopping.wait(self._backoff.delay_s(time.monotonic())):
            self.end()
            try:
                self.begin()
            except (CannotStart, ServerGone, OSError) as error:
                if not self._stopping.is_set():
                    self._tell(f"Triton could not be started again: {error}")
            else:
                return

    def _tell_what_serves(self, names: list[str]) -> None:
        running = self.running
        self._tell(
            f"Triton serves {', '.join(names)}: gRPC {running.grpc_url}, HTTP {running.http_url}, "
            f"metrics {running.metrics_url}"
        )
