"""Everything on this machine: start the services, know them again, end them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from backend.settings import Settings

STOP_TIMEOUT_S = 35  # a service answers what is in flight for 30 s, unless it was told otherwise
_POLL_S = 0.2
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


class StackError(Exception):
    """A sentence: what could not be started or found, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    url: str

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def module(self) -> str:
        return f"ai.{self.name}.service"


@dataclass(frozen=True, slots=True)
class Running:
    name: str
    url: str
    pid: int
    log: str

    @property
    def alive(self) -> bool:
        """Whether this process id still is the service: ids are used again, and a zombie has no command line."""
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return False
        return f"ai.{self.name}.service".encode() in command


def client() -> httpx.Client:
    """For services of ours; a proxy in the environment is not for them."""
    return httpx.Client(trust_env=False, timeout=30)


def services_of(settings: Settings) -> tuple[Service, ...]:
    return Service("rtdetr", settings.rtdetr_url), Service("yolo26", settings.yolo26_url)


def start(settings: Settings, environment: Mapping[str, str], tell: Callable[[str], None]) -> list[Running]:
    """Start every service and wait until each has answered a real inference; if one cannot, end them all."""
    started: list[Running] = []
    with _alone(settings):
        if earlier := known(settings):
            raise StackError(f"{earlier[0].name} was started before and runs; `crossfade down` ends it")
        _stopping(settings).unlink(missing_ok=True)
        for service in services_of(settings):
            _require_startable(service)
        try:
            for service in services_of(settings):
                started.append(_spawn(service, settings, environment))
                _remember(settings, started)
            for running in started:
                _wait_until_ready(running, settings.start_timeout_s, tell)
        except BaseException:
            stop(settings, started, tell=lambda _: None)
            raise
    return started


def known(settings: Settings) -> list[Running]:
    """The services that `start` left behind and that still run."""
    try:
        entries = json.loads(_record(settings).read_text())
        return [running for running in (Running(**entry) for entry in entries) if running.alive]
    except (OSError, ValueError, TypeError):
        return []


def stop(settings: Settings, running: Sequence[Running], tell: Callable[[str], None]) -> None:
    """End these, each by its own id: asked first, killed after that."""
    if running:
        _stopping(settings).touch()
    for one in running:
        _signal(one, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for one in running:
        while one.alive and time.monotonic() < deadline:
            _reap(one.pid)
            time.sleep(_POLL_S / 4)
        if one.alive:
            _signal(one, signal.SIGKILL)
            tell(f"{one.name} did not end within {STOP_TIMEOUT_S} s and was killed")
        else:
            tell(f"{one.name} ended")
    if not known(settings):
        _record(settings).unlink(missing_ok=True)
        _stopping(settings).unlink(missing_ok=True)


def watch(settings: Settings, running: list[Running]) -> None:
    """Return when `crossfade down` ends them elsewhere; StackError when one ends by itself."""
    while True:
        for one in running:
            _reap(one.pid)
            if not one.alive:
                if _stopping(settings).exists() or not _record(settings).exists():
                    return
                raise StackError(f"{one.name} ended by itself; its log is {one.log}:\n{_tail(one.log)}")
        time.sleep(_POLL_S)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Two starts at once would each end what the other began."""
    path = settings.crossfade_var / "run" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError("another `crossfade up` is starting the services right now") from error
        yield


def _require_startable(service: Service) -> None:
    variable = f"{service.name.upper()}_URL"
    if urlsplit(service.url).hostname not in _LOCAL_HOSTS:
        raise StackError(f"{variable}={service.url} is not on this machine; start {service.name} there")
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", service.port)) == 0:
            raise StackError(
                f"port {service.port} is taken, so {service.name} cannot start; "
                f"`crossfade down` ends an earlier start, {variable} names another port"
            )


def _spawn(service: Service, settings: Settings, environment: Mapping[str, str]) -> Running:
    log = settings.crossfade_var / "log" / f"{service.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    variables = {**environment, f"{service.name.upper()}_PORT": str(service.port)}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own module, no text from outside
            [sys.executable, "-m", service.module],
            env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    return Running(service.name, service.url, process.pid, str(log))


def _wait_until_ready(running: Running, timeout_s: float, tell: Callable[[str], None]) -> None:
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        _reap(running.pid)
        if not running.alive:
            raise StackError(f"{running.name} could not start: {_tail(running.log, lines=3)}")
        with suppress(httpx.TransportError):
            with client() as ask:
                answer = ask.get(f"{running.url}/health")
            if answer.status_code == httpx.codes.OK:
                tell(f"{running.name} is ready on {answer.json()['device']} at {running.url}")
                return
            if answer.json().get("status") == "failed":
                raise StackError(f"{running.name} could not load its model: {answer.json()['error']}")
        time.sleep(_POLL_S)
    raise StackError(f"{running.name} was not ready within {timeout_s:g} s; its log is {running.log}")


def _record(settings: Settings) -> Path:
    return settings.crossfade_var / "run" / "services.json"


def _stopping(settings: Settings) -> Path:
    """Is there while services are ended on purpose."""
    return settings.crossfade_var / "run" / "stopping"


def _remember(settings: Settings, running: list[Running]) -> None:
    record = _record(settings)
    record.parent.mkdir(parents=True, exist_ok=True)
    aside = record.with_suffix(".part")
    aside.write_text(json.dumps([asdict(one) for one in running], indent=2))
    aside.replace(record)


def _signal(running: Running, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(running.pid, number)


def _reap(pid: int) -> None:
    """Take leave of a child that has ended."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _tail(log: str, lines: int = 10) -> str:
    try:
        return "\n".join(Path(log).read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)
