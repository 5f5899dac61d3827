"""The ramps: seen with a viewer's key, ordered about with an admin's.

An order is checked against the state that it meets, so it needs no If-Match.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from ai.web.problems import Problem
from backend.api import answers
from backend.api.asked import fields, known_detector, reason
from backend.api.auth import who
from backend.api.errors import etag
from backend.api.keys import Role
from backend.api.parts import Parts, parts_of
from backend.ramp.looks import Look, look_record
from backend.ramp.orders import Orders
from backend.rollout.control import Rollout
from backend.rollout.ramps import MAX_STEPS, Ramp
from backend.rollout.state import RolloutState
from backend.rollout.store import Store, StoreAway

START = "start"
ACTIONS = (START, "pause", "resume", "approve", "abort")
NO_REASON = "no reason given"

_OF_A_START = ("steps", "gates", "dry_run", "force")
_FIELDS = ("action", "detector", "reason", *_OF_A_START)


async def show(request: Request) -> Response:
    parts = parts_of(request)
    who(request, Role.VIEWER)
    return await _told(request, parts, await parts.rollout.read())


async def order(request: Request) -> Response:
    parts = parts_of(request)
    name = who(request, Role.ADMIN)
    asked = Order.of(await fields(request, parts), parts)
    return await _told(request, parts, await asked.given(parts.orders, name))


async def abort(request: Request) -> Response:
    parts = parts_of(request)
    name = who(request, Role.ADMIN)
    detector = known_detector(request.query_params.get("detector"), parts.client.detectors)
    asked = Order("abort", detector, reason(request.query_params.get("reason", "")))
    return await _told(request, parts, await asked.given(parts.orders, name))


@dataclass(frozen=True, slots=True)
class Order:
    action: str
    detector: str | None  # None: all of them
    reason: str = ""
    steps: tuple[float, ...] | None = None
    gates: tuple[float, ...] | None = None
    dry_run: bool = False
    force: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any], parts: Parts) -> Order:
        """A Problem for what no ramp could obey, whatever its state."""
        action = body.get("action")
        if action not in ACTIONS:
            raise Problem(422, f"action is {str(action)[:40]!r}; it must be one of {', '.join(ACTIONS)}")
        _require_fitting(body, action)
        steps, gates = _shares(body, "steps"), _shares(body, "gates")
        if steps is not None:
            _require_steps(steps)
        detector = known_detector(body.get("detector"), parts.client.detectors)
        why, dry_run, force = reason(body.get("reason", "")), _flag(body, "dry_run"), _flag(body, "force")
        return cls(action, detector, why, steps, gates, dry_run, force)

    async def given(self, orders: Orders, by: str) -> RolloutState:
        """NotPossible where the state of things forbids it."""
        if self.action == START:
            why = self.reason if self.force else self.reason or NO_REASON  # what is forced needs a real one
            return await orders.start(
                self.detector, who=by, reason=why, steps=self.steps, gates=self.gates,
                dry_run=self.dry_run, force=self.force,
            )  # fmt: skip
        ways = {
            "pause": orders.pause, "resume": orders.resume, "approve": orders.approve, "abort": orders.abort,
        }  # fmt: skip
        return await ways[self.action](self.detector, who=by, reason=self.reason or NO_REASON)


# --- what is shown of them --------------------------------------------------------------------------------


async def looks_of(rollout: Rollout, state: RolloutState) -> dict[str, Look]:
    """The last look at each ramp; what the store cannot tell at the moment is left out, and no reason to fail."""

    def read(store: Store) -> dict[str, str | None]:
        return {detector: store.record(look_record(detector)) for detector in state.ramps}

    if not state.ramps:
        return {}
    try:
        texts = await rollout.ask(read)
    except StoreAway:
        return {}
    looks = {detector: _look(text) for detector, text in texts.items()}
    return {
        detector: look for detector, look in looks.items() if look and _is_of(look, state.ramps[detector])
    }


def tables(parts: Parts, state: RolloutState, looks: Mapping[str, Look]) -> dict[str, Any]:
    """Each ramp, what it means now, and what the leader last said of it."""
    return {
        detector: ramp.to_table()
        | {
            "epoch": ramp.epoch,
            "fraction": ramp.fraction,
            "asked": state.fraction_of(detector),
            "effective": parts.rollout.flags.effective_fraction(detector),
            "look": looks[detector].to_table() if detector in looks else None,
        }
        for detector, ramp in state.ramps.items()
    }


async def _told(request: Request, parts: Parts, state: RolloutState) -> Response:
    document = {"ramps": tables(parts, state, await looks_of(parts.rollout, state))}
    return answers.json_of(request, document, {"ETag": etag(state)})


def _look(text: str | None) -> Look | None:
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Look.from_table(json.loads(text)) if text else None
    return None


def _is_of(look: Look, ramp: Ramp) -> bool:
    """Not of the ramp before this one."""
    return look.epoch.rpartition(".")[0] == ramp.id


# --- what is asked of them --------------------------------------------------------------------------------


def _require_fitting(body: Mapping[str, Any], action: str) -> None:
    unknown = sorted(body.keys() - set(_FIELDS))
    if unknown:
        raise Problem(422, f"{unknown[0][:40]!r} is nothing that can be ordered; {', '.join(_FIELDS)} are")
    strange = sorted(body.keys() & set(_OF_A_START)) if action != START else []
    if strange:
        raise Problem(422, f"{strange[0]!r} is for action start; a ramp that is on keeps its own")


def _require_steps(steps: tuple[float, ...]) -> None:
    try:
        Ramp(id="", steps=steps)
    except ValueError as error:
        raise Problem(422, str(error)) from error


def _shares(body: Mapping[str, Any], name: str) -> tuple[float, ...] | None:
    values = body.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not all(_is_share(value) for value in values):
        raise Problem(422, f"{name} must be a list of numbers over 0 and at most 1, such as [0.1, 0.5, 1]")
    if len(values) > MAX_STEPS:
        raise Problem(422, f"{name} has {len(values):,} entries; a ramp takes at most {MAX_STEPS} steps")
    return tuple(float(value) for value in values)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise Problem(422, f"{name} is {str(value)[:40]!r}; it must be true or false")
    return value
