"""Which parts this machine's stack has, and where: read out of the settings.

A Triton that lies elsewhere is used and not started; a legacy service that does is an error, unless legacy is off.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from ai.triton.embedded import wheel
from ai.triton.embedded.errors import CannotStart
from ai.triton.embedded.ports import settle
from ai.triton.embedded.settings import EmbeddedSettings
from backend.settings import Settings, whole_environment
from backend.stack import health
from backend.stack.errors import StackError
from backend.stack.parts import FRONT, Part
from backend.stack.rotation import LogBounds

BACKEND, TRITON = "backend", "triton"
FIRST_VALUES = {"triton_enabled": "true", "triton_traffic_fraction": "0.1", "triton_shadow_fraction": "0.1"}
# torch's threads wait for one another by spinning, and take the cores from all that runs beside them: with two busy
# cores a picture took 2.3 to 3.0 s, and 0.2 s so. On idle cores it costs a third (61 and 83 ms).
SHARING = {"OMP_WAIT_POLICY": "PASSIVE"}
_TRITON_PATIENCE_S = 25.0  # its own exit takes 7 s, its supervisor's clearing up a little
_BEYOND_SHUTDOWN_S = 5.0
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


def parts_of(settings: Settings, embedded: EmbeddedSettings) -> tuple[Part, ...]:
    """In the order in which a reader expects them; the stages say in which they start."""
    place = triton_ports(settings, embedded) if why_no_triton(settings) is None else None
    bounds = LogBounds(settings.log_max_bytes, settings.log_files)
    found = (
        *(_service(name, url, settings) for name, url in settings.legacy_urls.items() if settings.legacy_enabled),
        *([_triton(place, settings)] if place else []),
        _backend(settings, place),
    )  # fmt: skip
    return tuple(replace(part, log_bounds=bounds) for part in found)


def require_local_services(settings: Settings) -> None:
    for name, url in settings.legacy_urls.items():
        if settings.legacy_enabled and urlsplit(url).hostname not in _LOCAL_HOSTS:
            raise StackError(f"{name.upper()}_URL={url} is not on this machine; start {name} there")


def backend_url(settings: Settings) -> str:
    """Where a backend that listens on every address is asked from here."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared
    return f"http://{host}:{settings.port}"


def is_local(url: str) -> bool:
    return urlsplit(url if "://" in url else f"//{url}").hostname in _LOCAL_HOSTS


def why_no_triton(settings: Settings) -> str | None:
    """With the kill switch thrown, a machine that cannot run Triton runs the rest."""
    if "triton_enabled" not in settings.model_fields_set or settings.triton_enabled:
        return None
    try:
        wheel.find(wheel.Machine.here())
    except CannotStart as error:
        return f"left out, since TRITON_ENABLED=false and {error}"
    return None


def triton_ports(settings: Settings, embedded: EmbeddedSettings) -> Mapping[str, int] | None:
    """Where the Triton of this machine listens; None when the one to be used lies elsewhere.

    TRITON_URL and TRITON_GRPC_PORT say the same: whichever was given counts, and both must not disagree.
    """
    targets = {"grpc": settings.triton_url, "http": settings.triton_http_url}
    if not all(_is_here(target) for target in targets.values()):
        return None
    asked = {name: _port(name, target, settings, embedded) for name, target in targets.items()}
    asked["metrics"] = embedded.triton_metrics_port
    return asked if all(asked.values()) else settle(asked)


def _port(name: str, target: str, settings: Settings, embedded: EmbeddedSettings) -> int:
    url_name = "triton_url" if name == "grpc" else "triton_http_url"
    port_name = f"triton_{name}_port"
    from_url, given = int(target.rpartition(":")[2]), embedded.ports[name]
    if port_name not in embedded.model_fields_set:
        return from_url
    if url_name in settings.model_fields_set and given not in {from_url, 0}:
        raise StackError(
            f"{url_name.upper()}={target} and {port_name.upper()}={given} name different ports; one of them is enough"
        )
    return from_url if url_name in settings.model_fields_set else given


def _is_here(target: str) -> bool:
    return is_local(target.removeprefix("dns:///"))


def _service(name: str, url: str, settings: Settings) -> Part:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Part(
        name, url, f"ai.{name}.service", _log(settings, name), partial(health.of_service, url),
        variables={f"{name.upper()}_PORT": str(port), **_unsaid(SHARING)}, ports={f"{name.upper()}_URL": port},
    )  # fmt: skip


def _triton(ports: Mapping[str, int], settings: Settings) -> Part:
    variables = {f"TRITON_{name.upper()}_PORT": port for name, port in ports.items()}
    url = f"http://localhost:{ports['http']}"
    return Part(
        TRITON, url, "ai.triton.server", _log(settings, "triton-supervisor"),
        partial(health.of_triton, settings.crossfade_var, url),
        variables={name: str(port) for name, port in variables.items()}, ports=variables,
        more_logs=(_log(settings, TRITON),), prepare=("ai.triton.models", "build"), patience_s=_TRITON_PATIENCE_S,
    )  # fmt: skip


def _backend(settings: Settings, ports: Mapping[str, int] | None) -> Part:
    url = backend_url(settings)
    here = (
        {"TRITON_URL": f"localhost:{ports['grpc']}", "TRITON_HTTP_URL": f"localhost:{ports['http']}"}
        if ports
        else {}
    )
    return Part(
        BACKEND, url, "backend.serve", _log(settings, BACKEND), partial(health.of_backend, url),
        variables={**here, **first_values(settings), "WORKERS": str(settings.workers)}, ports={"PORT": settings.port},
        patience_s=settings.shutdown_timeout_s + _BEYOND_SHUTDOWN_S, stage=FRONT,
    )  # fmt: skip


def first_values(settings: Settings) -> dict[str, str]:
    """A tenth to Triton, a tenth compared, where nobody said anything of it. Without legacy it is all or none."""
    unsaid = {name: value for name, value in FIRST_VALUES.items() if name not in settings.model_fields_set}
    if not settings.legacy_enabled:
        unsaid = {name: value for name, value in unsaid.items() if name == "triton_enabled"}
    return {name.upper(): value for name, value in unsaid.items()}


def _unsaid(variables: Mapping[str, str]) -> dict[str, str]:
    said = whole_environment()
    return {name: value for name, value in variables.items() if name not in said}


def command_of(module: str, *words: str) -> list[str]:
    """-P: the folder that a command is typed in is not ours; a module there with one of our names is not run."""
    return [sys.executable, "-P", "-m", module, *words]


def _log(settings: Settings, name: str) -> Path:
    return settings.crossfade_var / "log" / f"{name}.log"
