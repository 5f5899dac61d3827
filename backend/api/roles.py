"""The least role of each route that asks for one, for whoever describes it.

It says what the routes do and does not make them do it: tests/unit/test_docs.py tries every key on every route.
"""

from __future__ import annotations

from collections.abc import Mapping

from backend.api import deepstack

OPEN = "none"
_ONCE = "caller, once there is such a key"
ROLES: Mapping[str, str] = {
    "POST /api/detect": _ONCE,
    "POST /api/detect/batch": _ONCE,
    f"POST {deepstack.PATH}": _ONCE,
    "GET /api/me": "caller",
    "GET /api/rollout": "viewer",
    "PUT /api/rollout": "admin",
    "POST /api/rollout/rollback": "admin",
    "GET /api/rollout/history": "viewer",
    "GET /api/rollout/ramp": "viewer",
    "POST /api/rollout/ramp": "admin",
    "DELETE /api/rollout/ramp": "admin",
    "GET /api/rollout/report": "viewer",
    "GET /api/rollout/events": "viewer",
    "GET /api/rollout/samples": "viewer",
    "DELETE /api/rollout/samples": "admin",
    "GET /api/rollout/samples/{sample_id}.jpg": "viewer",
    "GET /api/traffic": "viewer",
}


def role_of(route: str) -> str:
    """Of "GET /api/me"."""
    return ROLES.get(route, OPEN)
