"""Sides that take turns: how often their programs are started, and that every round visits each."""

from pathlib import Path

import pytest

from benchmarks import rounds
from benchmarks.pictures import Size, draw_pictures
from benchmarks.rounds import Rounds
from benchmarks.sides import ceiling_side


@pytest.mark.parametrize(("afresh", "starts"), [(True, 2), (False, 1)])
def test_each_round_visits_each_side_in_servers_that_are_started_as_often_as_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, afresh: bool, starts: int
) -> None:
    started, alone, run = [], [], rounds.running

    def running(program, timeout_s):
        started.append(program.name)
        return run(program, timeout_s)

    monkeypatch.setattr(rounds, "running", running)
    pictures = draw_pictures(Size.of("64x64"), tmp_path)
    taken = Rounds(
        [ceiling_side(pictures.paths, 0.2)], [1, 2], 2, 10.0, lambda: alone.append(len(taken.windows)), afresh=afresh
    )  # fmt: skip
    taken.run()
    assert len(started) == starts
    assert [(one.round, one.callers) for one in taken.windows] == [
        (number, callers) for number in range(2) for callers in (1, 2)
    ]
    assert all(one.run.answered for one in taken.windows)
    assert alone == ([2, 4] if afresh else [4, 4]), "what runs alone runs while no server does"
