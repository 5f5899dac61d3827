"""How each kind of part says that it works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from ai.triton.embedded import record
from backend.stack.parts import Health

LOOK_TIMEOUT_S = 3.0
AWAY = Health(False, "unreachable")


def of_service(url: str) -> Health:
    """A legacy service is healthy once its model has answered."""
    if (found := ask(f"{url}/health")) is None:
        return AWAY
    status, told = found
    if told.get("status") == "failed":
        return Health(False, f"could not load its model: {told.get('error')}", hopeless=True)
    return Health(status == httpx.codes.OK, _state(told, f"on {told.get('device')}"))


def of_triton(var: Path, http_url: str) -> Health:
    """Its supervisor writes the record when each model that can serve has answered a real inference."""
    running = record.running(var)
    if running is None:
        return AWAY
    served = ask(f"http://{running.http_url}/v2/health/ready")
    well = served is not None and served[0] == httpx.codes.OK
    return Health(well, f"healthy, gRPC {running.grpc_url}" if well else f"{http_url} is not ready")


def of_backend(url: str) -> Health:
    """Ready once a side that callers may reach has answered."""
    if (found := ask(f"{url}/health/ready")) is None:
        return AWAY
    status, told = found
    if status == httpx.codes.OK:
        away = [
            f"{lane['detector']} on {lane['backend']}" for lane in told.get("lanes", []) if _is_away(lane)
        ]
        return Health(True, f"healthy, but asks nobody for {', '.join(away)}" if away else "healthy")
    return Health(False, f"not ready: {told.get('detail') or told.get('status') or f'status {status}'}")


def ask(url: str) -> tuple[int, dict[str, Any]] | None:
    """Status and JSON table of an answer; no table is an empty one, no answer is None."""
    try:
        with client(LOOK_TIMEOUT_S) as http:
            answer = http.get(url)
    except httpx.HTTPError:
        return None
    try:
        told = answer.json()
    except ValueError:
        told = {}
    return answer.status_code, told if isinstance(told, dict) else {}


def client(timeout_s: float) -> httpx.Client:
    """For parts of ours; a proxy in the environment is not for them."""
    return httpx.Client(trust_env=False, timeout=timeout_s)


def _is_away(lane: dict[str, Any]) -> bool:
    return bool(lane["allowed"]) and lane["breaker"] != "closed"


def _state(told: dict[str, Any], more: str) -> str:
    state = str(told.get("status", "of another kind: it tells no status"))
    return f"{state} {more}" if state == "healthy" else state
