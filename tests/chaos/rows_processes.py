"""Rows: processes that die, stop, hang, restart."""

from __future__ import annotations

from tests.chaos.row import Row, Trial, Without

NO_FALLBACK = Without("the fallback", {"FALLBACK": "none"})
KILLS = 20


def legacy_alone(trial: Trial) -> None:
    trial.lasting(4)


def kill_triton(trial: Trial) -> None:
    trial.broken()
    for _ in range(KILLS):
        trial.house.triton.kill()
        trial.until_falling_back()
        trial.house.triton.start()
        trial.mended()
        trial.until_served_by("triton")
    trial.note(kills=KILLS)


ROWS: tuple[Row, ...] = (
    Row(
        "legacy alone carries the whole load", "processes", "the premise of every fallback",
        legacy_alone, Without("a legacy service that is there", {"YOLO26_URL": "http://127.0.0.1:9"}),
        variables={"TRITON_ENABLED": "false"}, first="legacy", quick=True,
    ),
    Row(
        "kill -9 Triton, 20 times", "processes", "nobody waits for it, nobody is lost",
        kill_triton, NO_FALLBACK, frozenset({"unavailable", "breaker_open"}),
    ),
)  # fmt: skip
