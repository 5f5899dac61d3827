"""What several looks in a row make of a `.env`, with all that keeps the flags around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backend.rollout.crew import Worker
from backend.rollout.environment import EnvironmentWatch, LastSeen
from backend.rollout.journal import Journal
from backend.rollout.quota import Traffic
from backend.rollout.stores.memory_store import MemoryStore
from backend.rollout.watch import Keeper

pytestmark = pytest.mark.usefixtures("nothing_said_of_flags")

POLL_S, LOOK_S = 0.25, 0.1  # as they are set: flags are looked at more often than the file
LOOKS = 10
HALF = "TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0.5\n"


class Kept:
    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.env = folder / ".env"
        self.env.write_text(HALF)
        self.keeper = Keeper(
            MemoryStore(), Journal(folder / "journal.jsonl"), EnvironmentWatch(self.env, POLL_S, lambda: self.now),
            LastSeen(folder / "seen.json"), Worker("a", 1.0, "request", True), Traffic(10),
        )  # fmt: skip
        self.keeper.begin()

    def after(self, text: str) -> tuple[bool, float]:
        """The kill switch and the fraction, a second after this was written."""
        self.env.write_text(text)
        for _ in range(LOOKS):
            self.now += LOOK_S
            self.keeper.look()
        return self.keeper.view.kill_switch, self.keeper.view.obeyed.fraction


@pytest.fixture
def after(tmp_path: Path) -> Callable[[str], tuple[bool, float]]:
    return Kept(tmp_path).after


def test_a_switch_that_is_thrown_does_not_end_the_looking(after: Callable[[str], tuple[bool, float]]) -> None:
    """It is obeyed at the first look, before the rest of the file is: what waits for that must not put it off."""
    assert after("TRITON_ENABLED=false\nTRITON_TRAFFIC_FRACTION=1\n") == (True, 1.0)
    assert after(HALF) == (False, 0.5)
    assert after("TRITON_ENABLED=false\n") == (True, 0.5)
    assert after("TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0.75\n") == (False, 0.75)
