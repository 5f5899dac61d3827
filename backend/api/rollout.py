"""The rollout's flags: seen with a viewer's key, changed with an admin's, and never by an update that was lost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request, Response

from ai.web.intake import Intake
from ai.web.problems import Problem
from backend.api import answers
from backend.api.asked import count
from backend.api.auth import Role, who
from backend.api.errors import etag
from backend.api.parts import Parts, parts_of
from backend.rollout.state import RolloutState

MAX_BODY_BYTES = 1024 * 1024  # thousands of pins
MAX_REASON_CHARS = 500
MAX_HISTORY = 1000
CHANGEABLE = ("enabled", "fraction", "shadow", "overrides", "pins", "pins_suspended")

_ETAG = re.compile(r'"v(\d{1,15})"')


async def show(request: Request) -> Response:
    parts = parts_of(request)
    who(request, Role.VIEWER)
    return _state(request, parts, await parts.rollout.read())


async def change(request: Request) -> Response:
    """Of what the caller saw, and of nothing else."""
    parts = parts_of(request)
    name = who(request, Role.ADMIN)
    seen = request.headers.get("if-match")
    if seen is None:
        raise Problem(
            428, "a change needs If-Match with the ETag that GET /api/rollout answered, or * for any version"
        )
    version = await _version(seen, parts)
    patch = await _fields(request, parts)
    reason = _reason(patch.pop("reason", ""))
    _require_changeable(patch)
    _require_known(patch.get("overrides"), parts.client.detectors)
    state = await parts.rollout.change(patch, who=name, reason=reason, version=version)
    return _state(request, parts, state)


async def rollback(request: Request) -> Response:
    """Needs no If-Match: whatever was changed meanwhile, it must not go on."""
    parts = parts_of(request)
    name = who(request, Role.ADMIN)
    reason = _reason((await _fields(request, parts)).get("reason", ""))
    done = await parts.rollout.rollback(who=name, reason=reason)
    document = _document(parts, done.state) | {"pending": list(done.pending)}
    status = 202 if done.pending else 200
    return answers.json_of(request, document, {"ETag": etag(done.state)}, status)


async def history(request: Request) -> Response:
    """Newest first."""
    parts = parts_of(request)
    who(request, Role.VIEWER)
    changes = await parts.rollout.history(count(request, "limit", default=100, most=MAX_HISTORY))
    return answers.json_of(request, {"changes": [change.to_table() for change in changes]})


def _state(request: Request, parts: Parts, state: RolloutState) -> Response:
    return answers.json_of(request, _document(parts, state), {"ETag": etag(state)})


def _document(parts: Parts, state: RolloutState) -> dict[str, Any]:
    """What was asked for, and what this worker makes of it."""
    flags = parts.rollout.flags
    workers = [
        {"worker": beat.worker, "version": beat.version, "at": beat.at} for beat in parts.rollout.workers()
    ]
    return state.to_table() | {
        "kill_switch": flags.view.kill_switch,
        "stale": parts.rollout.stale,
        "effective": {detector: flags.effective_fraction(detector) for detector in parts.client.detectors},
        "workers": workers,
    }


async def _version(seen: str, parts: Parts) -> int | None:
    """None for any; an ETag that is none of ours cannot be the current one."""
    if seen.strip() == "*":
        return None
    ours = _ETAG.fullmatch(seen.strip())
    if ours is None:
        current = etag(await parts.rollout.read())
        raise Problem(412, f"If-Match is {seen[:40]!r}; the current ETag is {current}", {"ETag": current})
    return int(ours.group(1))


async def _fields(request: Request, parts: Parts) -> dict[str, Any]:
    with parts.budget.share() as take:
        body = await Intake(request, parts.intake_limits, take).document(MAX_BODY_BYTES)
    if not isinstance(body, dict):
        raise Problem(422, 'the body must be a JSON object, such as {"fraction": 0.1}')
    return body


def _reason(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_REASON_CHARS:
        raise Problem(422, f"reason must be a text of at most {MAX_REASON_CHARS} signs")
    return value


def _require_known(overrides: object, detectors: Sequence[str]) -> None:
    """A slip in a name would read as obeyed, and change nothing."""
    unknown = sorted(map(str, overrides.keys() - set(detectors))) if isinstance(overrides, Mapping) else []
    if unknown:
        raise Problem(
            422, f"overrides: there is no detector {unknown[0][:40]!r}; there are {', '.join(detectors)}"
        )


def _require_changeable(patch: Mapping[str, Any]) -> None:
    unknown = sorted(patch.keys() - set(CHANGEABLE))
    if unknown:
        raise Problem(422, f"{unknown[0][:40]!r} cannot be changed; {', '.join(CHANGEABLE)} can")
    if not patch:
        raise Problem(422, f"nothing is to be changed; name any of {', '.join(CHANGEABLE)}")
