"""The rollout's flags: seen with a viewer's key, changed with an admin's, and never by an update that was lost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request, Response

from ai.web.problems import Problem
from backend.api import answers, ramp
from backend.api.asked import fields, require_printable
from backend.api.asked import reason as reason_of
from backend.api.auth import who
from backend.api.errors import etag
from backend.api.keys import Role
from backend.api.parts import Parts, parts_of
from backend.ramp.looks import Look
from backend.rollout.state import RolloutState

CHANGEABLE = ("enabled", "fraction", "shadow", "overrides", "pins", "pins_suspended")

_ETAG = re.compile(r'"v(\d{1,15})"')


async def show(request: Request) -> Response:
    parts = parts_of(request)
    who(request, Role.VIEWER)
    return await _state(request, parts, await parts.rollout.read())


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
    patch = await fields(request, parts)
    reason = reason_of(patch.pop("reason", ""))
    _require_changeable(patch)
    _require_known(patch.get("overrides"), parts.client.detectors)
    require_printable("pins", pins if isinstance(pins := patch.get("pins"), Mapping) else ())
    state = await parts.rollout.change(patch, who=name, reason=reason, version=version)
    return await _state(request, parts, state)


async def rollback(request: Request) -> Response:
    """Needs no If-Match: whatever was changed meanwhile, it must not go on."""
    parts = parts_of(request)
    name = who(request, Role.ADMIN)
    reason = reason_of((await fields(request, parts)).get("reason", ""))
    done = await parts.rollout.rollback(who=name, reason=reason)
    looks = await ramp.looks_of(parts.rollout, done.state)
    answer = document(parts, done.state, looks) | {"pending": list(done.pending)}
    status = 202 if done.pending else 200
    return answers.json_of(request, answer, {"ETag": etag(done.state)}, status)


def document(parts: Parts, state: RolloutState, looks: Mapping[str, Look]) -> dict[str, Any]:
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
        "ramps": ramp.tables(parts, state, looks),
    }


async def _state(request: Request, parts: Parts, state: RolloutState) -> Response:
    looks = await ramp.looks_of(parts.rollout, state)
    return answers.json_of(request, document(parts, state, looks), {"ETag": etag(state)})


async def _version(seen: str, parts: Parts) -> int | None:
    """None for any; an ETag that is none of ours cannot be the current one."""
    if seen.strip() == "*":
        return None
    ours = _ETAG.fullmatch(seen.strip())
    if ours is None:
        current = etag(await parts.rollout.read())
        raise Problem(412, f"If-Match is {seen[:40]!r}; the current ETag is {current}", {"ETag": current})
    return int(ours.group(1))


def _require_known(overrides: object, detectors: Sequence[str]) -> None:
    """A slip in a name would read as obeyed, and change nothing."""
    unknown = sorted(map(str, overrides.keys() - set(detectors))) if isinstance(overrides, Mapping) else []
    if unknown:
        raise Problem(
            422, f"overrides: there is no detector {unknown[0][:40]!r}; there are {', '.join(detectors)}"
        )


def _require_changeable(patch: Mapping[str, Any]) -> None:
    if "ramps" in patch:
        raise Problem(
            422, "'ramps' cannot be changed here; POST /api/rollout/ramp starts, pauses and ends them"
        )
    unknown = sorted(patch.keys() - set(CHANGEABLE))
    if unknown:
        raise Problem(422, f"{unknown[0][:40]!r} cannot be changed; {', '.join(CHANGEABLE)} can")
    if not patch:
        raise Problem(422, f"nothing is to be changed; name any of {', '.join(CHANGEABLE)}")
