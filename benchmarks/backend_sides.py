"""What the backend is held against: a bare route where its sides are fakes, Triton itself where it asks a real one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from ai.triton.embedded import record
from benchmarks import kserve
from benchmarks.backend_apps import FORM_PATH, PATH
from benchmarks.processes import ROOT, NotStartedError, Program
from benchmarks.sides import Side, ceiling_side, triton_program
from benchmarks.suite import Ask
from benchmarks.variants import Variant

DETECTOR = "yolo26"
SERVED = Variant(DETECTOR)  # its model is called as the backend calls it
BACKEND, BARE = "backend", "bare"
BACKEND_FORM, BARE_FORM = "backend, form", "bare, form"
DIRECT, THROUGH = "Triton", "backend + Triton"
AGAINST_BARE = ((BACKEND, BARE), (BACKEND_FORM, BARE_FORM))
AGAINST_TRITON = ((THROUGH, DIRECT),)

_BOUNDARY = "crossfade-benchmark-boundary"
_FORM = f"multipart/form-data; boundary={_BOUNDARY}"

# Named one by one: whatever is set where this runs, the same is measured.
_ALWAYS = {
    "API_KEYS": "",
    "LOG_FORMAT": "json",
    "LOG_SAMPLE": "1",
    "ROLLOUT_STORE": "",
    "ROLLOUT_KEY": "request",
    "TRITON_ENABLED": "true",
    "TRITON_TRAFFIC_FRACTION": "1",
    "TRITON_SHADOW_FRACTION": "0",
    "TRITON_MODEL": DETECTOR,
    "WORKERS": "1",
}


def fake_sides(pictures: Sequence[Path], var: Path, seconds: float, ceiling_s: float) -> list[Side]:
    """Raw bodies and forms, each at the backend and at the route that does nothing."""
    ours, bare = fake_backend(var), bare_route()
    raw, forms = tuple(pictures), write_forms(pictures)
    return [
        Side(BACKEND, ours, raw, seconds, Ask(PATH)),
        Side(BARE, bare, raw, seconds, Ask(PATH)),
        Side(BACKEND_FORM, ours, forms, seconds, Ask(PATH, _FORM)),
        Side(BARE_FORM, bare, forms, seconds, Ask(FORM_PATH, _FORM)),
        ceiling_side(pictures, ceiling_s),
    ]


def real_sides(
    models: Path, pictures: Sequence[Path], var: Path, seconds: float, ceiling_s: float
) -> list[Side]:
    """Triton over HTTP, by the same generator, and the backend before it, at fraction 1 and without legacy: nobody
    else can have answered."""
    triton = triton_program(models, [SERVED], var / "triton")
    ours = real_backend(var, triton_var=var / "triton")
    bodies = kserve.write_bodies(pictures)
    return [
        Side(DIRECT, triton, bodies, seconds, kserve.ask(SERVED.model), SERVED.model),
        Side(THROUGH, ours, tuple(pictures), seconds, Ask(PATH), behind=triton),
        ceiling_side(pictures, ceiling_s),
    ]


def fake_backend(var: Path, variables: Mapping[str, str] = MappingProxyType({})) -> Program:
    """`variables`: what it is to be told beyond the usual."""

    def command(port: int) -> list[str]:
        return [
            *_environment(var, variables),
            sys.executable,
            "-m",
            "benchmarks.backend_apps",
            "backend",
            str(port),
        ]

    return Program(BACKEND, command, ready_page)


def bare_route() -> Program:
    return Program(BARE, lambda port: [sys.executable, "-m", "benchmarks.backend_apps", "bare", str(port)])


def real_backend(var: Path, triton_var: Path) -> Program:
    """As `crossfade serve` starts it. Triton runs by then: its side goes before."""

    def command(port: int) -> list[str]:
        running = record.running(triton_var)
        if running is None:
            return ["false"]  # Triton is gone: that it ended at once says so
        variables = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "TRITON_URL": running.grpc_url,
            "TRITON_HTTP_URL": running.http_url.removeprefix("http://"),
            "LEGACY_ENABLED": "false",
            "FALLBACK": "none",
        }
        return [*_environment(var, variables), sys.executable, "-m", "backend.serve"]

    return Program(THROUGH, command, ready_page)


def alone_on_legacy(var: Path, detector: str, url: str, workers: int) -> Program:
    """A backend that asks nobody but this service."""
    variables = {f"{detector.upper()}_URL": url, "TRITON_ENABLED": "false", "TRITON_MODEL": detector}
    return _served_by_one(var, lambda: variables, workers)


def alone_on_triton(var: Path, triton_var: Path, detector: str, workers: int) -> Program:
    """A backend that asks nobody but this Triton, which runs by then."""

    def variables() -> dict[str, str]:
        running = record.running(triton_var)
        if running is None:
            raise NotStartedError("Triton is gone")
        addresses = {
            "TRITON_URL": running.grpc_url,
            "TRITON_HTTP_URL": running.http_url.removeprefix("http://"),
        }
        return {**addresses, "LEGACY_ENABLED": "false", "FALLBACK": "none", "TRITON_MODEL": detector}

    return _served_by_one(var, variables, workers)


def _served_by_one(var: Path, variables: Callable[[], dict[str, str]], workers: int) -> Program:
    def command(port: int) -> list[str]:
        asked = {"HOST": "127.0.0.1", "PORT": str(port), "WORKERS": str(workers), **variables()}
        return [*_environment(var, asked), sys.executable, "-m", "backend.serve"]

    return Program(BACKEND, command, ready_page)


def _environment(var: Path, more: Mapping[str, str]) -> list[str]:
    """In a folder of its own: a `.env` where this runs says nothing here."""
    var.mkdir(parents=True, exist_ok=True)
    variables = {**_ALWAYS, **more, "CROSSFADE_VAR": str(var), "PYTHONPATH": str(ROOT)}
    return ["env", f"--chdir={var}", *(f"{name}={value}" for name, value in variables.items())]


def ready_page(url: str) -> dict[str, Any]:
    """The backend is ready when a side has answered it."""
    try:
        answer: dict[str, Any] = httpx.get(f"{url}/health/ready", timeout=5.0, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return {**answer, "status": "healthy"} if answer.get("status") == "ready" else {}


def write_forms(pictures: Sequence[Path]) -> tuple[Path, ...]:
    """A form's body beside each picture."""
    return tuple(_write_form(path, path.with_suffix(".form")) for path in pictures)


def _write_form(picture: Path, path: Path) -> Path:
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="scene.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    path.write_bytes(head.encode() + picture.read_bytes() + f"\r\n--{_BOUNDARY}--\r\n".encode())
    return path
