"""Ramps of a running API, for tests: started without a certificate, and looked at as a leader would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from backend.ramp.looks import Look, look_record
from backend.rollout.store import Store
from tests.api_parts import ADMIN, Running

LEADER = "a leader of this test"


def started(api: Running, detector: str = "yolo26", **order: object) -> str:
    """Its epoch."""
    asked = {"action": "start", "detector": detector, "force": True, "reason": "a try", **order}
    answer = api.post("/api/rollout/ramp", headers=ADMIN, json=asked)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["ramps"][detector]["epoch"])


def keep_look(api: Running, look: Look) -> None:
    def keep(store: Store) -> None:
        assert store.lead(LEADER, 60)
        assert store.keep(look_record(look.detector), json.dumps(look.to_table()), LEADER)
        store.resign(LEADER)

    asked(api, keep)


def asked(api: Running, work: Callable[[Store], object]) -> None:
    """In the rollout's own thread, as everything that touches its store."""
    asyncio.run_coroutine_threadsafe(api.app.state.parts.rollout.ask(work), api.loop).result(30)
