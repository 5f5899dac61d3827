"""Cameras that are played: the line and the table that people read, and what is told them meanwhile."""

import io

from ai.terminal.live import LiveLine
from backend.cameras.answers import Failure
from backend.cameras.figures import Tally, Total
from backend.cameras.playing import Noticed, Shown
from backend.cameras.summary import RECENT_S, Summary, headers, rows
from backend.cameras.telling import ForPeople
from tests.camera_parts import FPS, answer
from tests.clocks import HandClock


class Watched:
    def __init__(self, name, **counts):
        self.tally = Tally(name, FPS, **counts)


def test_the_line_says_what_is_asked_answered_dropped_failed_and_seen():
    clock = HandClock()
    gate, yard = Watched("gate", dropped=3), Watched("yard", dropped=4)
    summary = Summary([gate, yard], clock)
    assert "0.0 of 10 frames/s" in summary.line()
    for number in range(20):
        clock.sleep(0.25)
        took_s, side = (0.02, "triton") if number % 4 == 0 else (0.01, "legacy")
        summary.hear(Shown("gate", number, answer([(0, 0, 9, 9)], took_s=took_s, side=side)))
    yard.tally.count(Failure("busy", 0.0, "full"))

    assert summary.line() == (
        "2 cameras | 4.0 of 10 frames/s answered | 7 dropped | p50 10 p95 20 ms | Triton 25% | failed: 1 busy | "
        "sees 1 person"
    )
    clock.sleep(RECENT_S + 0.1)
    assert "0.0 of 10 frames/s" in summary.line()
    assert summary.line().endswith("sees nothing")


def told(events, at_s):
    """What people read of events, one every `at_s`."""
    clock, lines = HandClock(), io.StringIO()
    live = LiveLine(stream=lines, clock=clock)
    for_people = ForPeople(live, Summary([], clock), clock)
    for event in events:
        for_people(event)
        clock.sleep(at_s)
    return lines.getvalue().splitlines()


def test_a_camera_that_comes_and_goes_does_not_fill_the_screen_and_keeps_none_from_speaking():
    events = [Noticed("gate", f"picture {number} cannot be read") for number in range(1000)]

    assert len(told(events, at_s=0.1)) == 4 * 4  # in a hundred seconds
    assert told([*events, Noticed("yard", "is back")], at_s=0.0)[-1] == "yard: is back"


def test_a_kind_of_failure_is_told_once_in_a_while_with_its_reason():
    events = [Shown("gate", 0, Failure(kind, 0.0, "why")) for kind in ("busy", "away", "busy", "away")]

    assert told(events, at_s=1.0) == ["gate: busy: why", "gate: away: why"]
    assert len(told(events, at_s=20.0)) == 4


def test_the_table_has_a_row_a_camera_and_no_column_for_what_never_happened():
    tally = Tally("gate", FPS, due=9, sent=5, dropped=4)
    for outcome in [answer([(0, 0, 9, 9)])] * 3 + [Failure("busy", 0, "full"), Failure("late", 0, "slow")]:
        tally.count(outcome)
    followed = Tally("yard", FPS, due=9, no_picture=9, tracks=2)

    assert headers([tally.figures()])[5:] == ["failed", "p50 ms", "p95 ms", "by Triton", "found"]
    [row] = rows([tally.figures()])
    assert row == ["gate", "9", "5", "3", "4", "1 busy, 1 late", "10", "10", "0%", "3 person"]
    both = [tally.figures(), followed.figures()]
    assert {"no picture", "tracks"} < set(headers(both))
    assert all(len(row) == len(headers(both)) for row in rows(both))
    assert Total.of(both).document()["failed"] == {"busy": 1, "late": 1}
