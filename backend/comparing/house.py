"""The sides that are asked: services of our own on free ports, ended with the block, or those whose address was given.

What is started here is no part of `crossfade up`: it has a folder of its own under var/compare, and asks nothing of a
stack that runs beside it. Killed, its guard ends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ai.triton.embedded.ports import LOOPBACK, settle
from ai.triton.embedded.settings import read_settings as read_embedded
from backend.comparing import shelf
from backend.comparing.building import build_missing
from backend.comparing.contenders import Contender
from backend.comparing.run_folder import run_folder
from backend.settings import Settings, whole_environment
from backend.sides import LEGACY, TRITON
from backend.stack import health
from backend.stack.guard import guarded
from backend.stack.journal import Journal
from backend.stack.parts import Part
from backend.stack.plan import SHARING
from backend.stack.processes import Tell
from backend.stack.starting import Start
from backend.transports.triton import TritonTarget


@dataclass(frozen=True, slots=True)
class Given:
    """Addresses of services that run elsewhere; None: started here where they are needed."""

    legacy_url: str | None = None
    triton_url: str | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    legacy_url: str
    triton: TritonTarget
    has_shelf: bool  # versions have names of their own there


@contextmanager
def opened(
    detector: str, contenders: Sequence[Contender], given: Given, settings: Settings, tell: Tell
) -> Iterator[Addresses]:
    """StackError or CannotCompare where a side cannot be had."""
    models = [one for one in contenders if one.side == TRITON and given.triton_url is None]
    starts_legacy = given.legacy_url is None and any(one.side == LEGACY for one in contenders)
    with (
        run_folder(settings.crossfade_var.absolute() / "compare") as folder,
        guarded(folder) if models or starts_legacy else nullcontext(),
    ):
        if models:
            build_missing(detector, models, folder, settings, tell)
        ports = settle(dict.fromkeys(("legacy", "http", "grpc", "metrics"), 0))
        parts = [
            *([_legacy(detector, ports["legacy"], folder)] if starts_legacy else []),
            *([_triton(ports, folder)] if models else []),
        ]
        if models:
            shelf.fill(folder / "models", read_embedded().triton_repository, models)
        with _running(parts, folder, settings, tell):
            yield Addresses(
                given.legacy_url or f"http://{LOOPBACK}:{ports['legacy']}",
                _target(given.triton_url, ports, settings),
                has_shelf=bool(models),
            )


@contextmanager
def _running(parts: Sequence[Part], folder: Path, settings: Settings, tell: Tell) -> Iterator[None]:
    if not parts:
        yield
        return
    journal = Journal(folder)
    running = Start(parts, journal, whole_environment(), settings.start_timeout_s, tell).run()
    try:
        yield
    finally:
        journal.end(running, tell=lambda _: None)


def _legacy(detector: str, port: int, folder: Path) -> Part:
    url, prefix = f"http://{LOOPBACK}:{port}", detector.upper()
    return Part(
        detector, url, f"ai.{detector}.service", folder / "log" / f"{detector}.log", partial(health.of_service, url),
        variables={f"{prefix}_PORT": str(port), f"{prefix}_HOST": LOOPBACK, **SHARING}, ports={f"{prefix}_PORT": port},
    )  # fmt: skip


def _triton(ports: dict[str, int], folder: Path) -> Part:
    url, log = f"http://localhost:{ports['http']}", folder / "log"
    named = {f"TRITON_{name.upper()}_PORT": ports[name] for name in ("http", "grpc", "metrics")}
    variables = {name: str(port) for name, port in named.items()}
    return Part(
        TRITON, url, "ai.triton.server", log / "triton-supervisor.log", partial(health.of_triton, folder, url),
        variables={**variables, "CROSSFADE_VAR": str(folder), "TRITON_REPOSITORY": str(folder / "models")},
        ports=named, more_logs=(log / "triton.log",), patience_s=25.0,
    )  # fmt: skip


def _target(given: str | None, ports: dict[str, int], settings: Settings) -> TritonTarget:
    if given is None:
        return TritonTarget(f"{LOOPBACK}:{ports['grpc']}", f"{LOOPBACK}:{ports['http']}", "grpc")
    if given.startswith("http://"):
        return TritonTarget(settings.triton_url, given.removeprefix("http://").rstrip("/"), "http")
    return TritonTarget(given, settings.triton_http_url, "grpc")
