"""Runs a real tritonserver out of the `nvidia-pytriton` wheel and keeps it serving: `python -m ai.triton.server`.

As a library: `with TritonServer(settings) as server: … server.running.grpc_url …`. The work is done in a thread of
the server's own, so whoever waits for it can be interrupted at any time; `stop` leaves nothing behind.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

from ai.core.errors import CrossfadeError
from ai.triton.embedded import record, wheel
from ai.triton.embedded.errors import CannotStart, PortTaken
from ai.triton.embedded.launch import Plan
from ai.triton.embedded.loading import model_names
from ai.triton.embedded.ports import settle
from ai.triton.embedded.process import sweep
from ai.triton.embedded.record import RunningTriton
from ai.triton.embedded.server_log import ServerLog
from ai.triton.embedded.settings import EmbeddedSettings, read_settings
from ai.triton.embedded.supervision import Supervision

_TRIES_FOR_PORTS = 3


class TritonServer:
    """`arguments` are added to tritonserver's command line."""

    def __init__(
        self,
        settings: EmbeddedSettings,
        tell: Callable[[str], None] = lambda _: None,
        arguments: Sequence[str] = (),
        machine: wheel.Machine | None = None,
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._arguments = arguments
        self._machine = machine or wheel.Machine.here()
        self._mark = f"crossfade-{secrets.token_hex(6)}-"
        self._stopping = Event()
        self._ended = Event()
        self._up: Future[None] = Future()
        self._thread = Thread(target=self._run, name="triton", daemon=True)
        self._supervision: Supervision | None = None
        self._broken: BaseException | None = None

    def __enter__(self) -> TritonServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when each model that can serve has answered; CannotStart when none can."""
        self._thread.start()
        try:
            self._up.result()
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Until it is stopped. Not by joining the thread: a join that is interrupted takes it for ended."""
        self._ended.wait()
        if self._broken is not None:
            raise self._broken

    def stop(self) -> None:
        """End it, whatever it does right now; nothing of it is left when this returns."""
        self._stopping.set()
        if self._supervision is not None:
            self._supervision.end()  # a call that our thread waits for ends with the server
        if self._thread.ident is not None:
            self._ended.wait()

    @property
    def running(self) -> RunningTriton:
        """Where it listens. After a restart only its process id is another."""
        return self._started.running

    @property
    def failed(self) -> dict[str, str]:
        """The models that did not come up, and why."""
        return self._started.failed

    @property
    def _started(self) -> Supervision:
        if self._supervision is None:
            raise RuntimeError("the server was not started")
        return self._supervision

    def _run(self) -> None:
        try:
            with record.alone(self._settings.crossfade_var, self._mark) as mark_before:
                if mark_before:
                    sweep(mark_before)
                self._serve()
        except OSError as error:
            self._report(CannotStart(f"Triton cannot be started here: {error}"))
        except BaseException as error:  # noqa: BLE001 - whoever waits for us is to see it
            self._report(error)
        finally:
            self._ended.set()

    def _report(self, error: BaseException) -> None:
        if self._up.done():
            self._broken = error
        else:
            self._up.set_exception(error)

    def _serve(self) -> None:
        log = self._open_log()
        try:
            supervision = self._begin(log)
            self._up.set_result(None)
            supervision.keep_serving()
        finally:
            if self._supervision is not None:
                self._supervision.close()
            log.close()

    def _begin(self, log: ServerLog) -> Supervision:
        """A port that we picked may be gone before the server takes it: then others are picked."""
        parts = wheel.find(self._machine)
        model_names(self._settings.triton_repository)  # says so at once if there are none
        for tries_left in reversed(range(_TRIES_FOR_PORTS)):
            self._supervision = supervision = Supervision(
                self._plan(parts), self._settings, log, self._stopping, self._tell
            )
            try:
                supervision.begin()
            except PortTaken:
                if not tries_left or all(self._settings.ports.values()):
                    raise
                supervision.close()
            else:
                return supervision
        raise AssertionError("the last try returns or raises")

    def _plan(self, parts: wheel.Wheel) -> Plan:
        backends = self._settings.crossfade_var.absolute() / "run" / "triton-backends"
        parts.link_backends(backends)
        return Plan(
            wheel=parts,
            repository=self._settings.triton_repository.absolute(),
            backends=backends,
            ports=settle(self._settings.ports),
            mark=self._mark,
            key=secrets.token_urlsafe(24),
            arguments=self._arguments,
        )

    def _open_log(self) -> ServerLog:
        settings = self._settings
        path = settings.crossfade_var / "log" / "triton.log"
        return ServerLog(path, settings.triton_log_max_bytes, settings.triton_log_files)


def main() -> None:
    try:
        settings = _settings()
        server = TritonServer(settings, tell=_print)
    except CrossfadeError as error:
        sys.exit(str(error))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        server.start()
        server.wait()
    except KeyboardInterrupt:
        _print("Triton is being ended")
    except CannotStart as error:
        sys.exit(str(error))
    finally:
        server.stop()


def _settings() -> EmbeddedSettings:
    parser = argparse.ArgumentParser(
        description="A real tritonserver on this machine, on loopback, kept serving until a signal ends it."
    )
    parser.add_argument("--repository", type=Path, help="the model repository (TRITON_REPOSITORY)")
    for name in ("http", "grpc", "metrics"):
        variable = f"TRITON_{name.upper()}_PORT"
        parser.add_argument(f"--{name}-port", type=int, help=f"0 picks a free one ({variable})")
    parser.add_argument("--var", type=Path, help="where logs and what runs are written (CROSSFADE_VAR)")
    asked = parser.parse_args()
    return read_settings(
        crossfade_var=asked.var,
        triton_repository=asked.repository,
        triton_http_port=asked.http_port,
        triton_grpc_port=asked.grpc_port,
        triton_metrics_port=asked.metrics_port,
    )


def _interrupt(*_: object) -> None:
    """Once: what comes after that does not disturb the clearing up."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _print(line: str) -> None:
    """At once and whole, whichever thread says it; nobody has to listen."""
    with suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
