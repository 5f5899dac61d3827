"""When a detector is called blind, when not, and when nobody can tell; what the figures are made of."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.home.blindness import Judgement, Shown, judged
from backend.home.entities import OFF, ON, UNKNOWN, Names
from backend.home.look import Counts, Look
from backend.home.story import Story, figures
from backend.home.windows import LEAST_ASKED, LEAST_SHARE, LONGEST_S, kept, last_minute

DETECTOR = "yolo26"
SERVES = {DETECTOR: {"legacy": "serves", "triton": "not asked"}}
ONLY_COMPARED = {DETECTOR: {"legacy": "fails", "triton": "compared"}}
FAILS = {DETECTOR: {"legacy": "fails", "triton": "not asked"}}
EVERY_S = 10.0
NAMES = Names("homeassistant", "crossfade", EVERY_S)


def look(at_s: float, sides=SERVES, away: str = "", **outcomes: int) -> Look:
    if away:
        return Look(at_s, away=away)
    return Look(at_s, sides=sides, counts={DETECTOR: Counts({"ok": 0, **outcomes})})


def unread(at_s: float, sides=SERVES) -> Look:
    """Its key was taken away."""
    return Look(at_s, sides=sides, missing="a viewer's key is needed", denied=401)


def after(*looks: Look) -> Judgement:
    return judged(DETECTOR, looks)


# --- who is blind -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("looks", "blind", "words"),
    [
        ([look(0, away="gone home")], True, "gone home"),
        ([look(0)], None, "not known yet"),
        ([look(0), look(10)], False, "nobody asks; legacy would answer"),
        ([look(0, ok=5), look(10, ok=5)], False, "nobody asks"),
        ([look(0, FAILS)], True, "no side can serve yolo26: legacy fails; triton may not be asked"),
        (
            [look(0, {DETECTOR: {"legacy": "starting", "triton": "fails"}})],
            True,
            "legacy has not answered yet",
        ),
        (
            [look(0), look(10, {DETECTOR: {"legacy": "fails", "triton": "serves"}})],
            False,
            "triton would answer",
        ),
        ([look(0), look(10, ONLY_COMPARED)], True, "triton is only compared with"),
        ([look(0), look(10, late=2)], False, "too few"),  # one late picture blinds nobody
        (
            [look(0), look(10, late=3)],
            True,
            "none of the last 3 pictures was looked at: 3 times the deadline",
        ),
        ([look(0), look(10, gone=40)], True, "40 times the caller left before the answer"),
        ([look(0), look(10, gone=39, ok=1)], True, "only 1 of the last 40 pictures was looked at"),
        ([look(0), look(10, gone=4, ok=1)], False, "pictures are looked at"),
        ([look(0), look(10, refused=2)], False, "too few"),
        (
            [look(0), look(10, refused=40)],
            True,
            "none of the last 40 pictures was looked at: 40 times what was",
        ),
        ([look(0), look(10, refused=40, ok=1)], False, "pictures are looked at"),  # somebody else's junk
        ([look(0), unread(10)], None, "a viewer's key is needed"),
        ([look(0, ok=1), look(10, ok=9), unread(20)], None, "a viewer's key is needed"),
        ([look(0), unread(10, FAILS)], True, "no side can serve"),
        (
            [look(0), Look(10, sides=SERVES, counts={"rtdetr": Counts({"ok": 9})})],
            None,
            "no figures of yolo26",
        ),
        ([look(0), look(10, {"rtdetr": SERVES[DETECTOR]})], True, "the backend does not know it"),
        ([look(0, FAILS), look(10, FAILS, ok=4)], False, "pictures are looked at"),  # by another worker
        ([look(0, FAILS, ok=4), look(10, FAILS, ok=4)], True, "no side can serve"),
    ],
)
def test_who_cannot_see_is_blind_and_who_is_asked_for_nothing_is_not(looks, blind, words):
    judgement = after(*looks)
    assert judgement.blind is blind
    assert words in judgement.why


def test_a_camera_that_asks_once_in_a_while_is_looked_at_over_more_than_a_minute():
    """Three pictures in six minutes, and none was looked at."""
    looks = [look(at_s, late=at_s // 120) for at_s in range(0, 361, 10)]
    assert after(*looks[:36]).blind is False
    assert after(*looks) == Judgement(
        True, "none of the last 3 pictures was looked at: 3 times the deadline passed"
    )


def test_a_minute_without_a_look_is_enough_where_pictures_are_many():
    seen = [look(float(at_s), ok=at_s) for at_s in range(0, 101, 10)]
    unseen = [look(float(at_s), ok=100, late=at_s - 100) for at_s in range(110, 171, 10)]
    verdicts = [after(*seen, *unseen[: count + 1]).blind for count in range(len(unseen))]
    assert verdicts == [False] * 4 + [True] * 3  # 50 s in, 10 of 60 were looked at: too few


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_what_is_shown_changes_when_two_looks_in_a_row_say_so_and_never_otherwise(verdicts):
    shown, expected = Shown(Judgement(verdicts[0], "")), verdicts[0]
    for before, now in pairwise(verdicts):
        shown = shown.after(Judgement(now, ""))
        expected = now if before == now else expected
        assert shown.judgement.blind is expected


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=70
    )
)  # fmt: skip
def test_by_counters_alone_only_who_was_asked_often_enough_and_looked_at_nothing_is_blind(grown):
    looks: list[Look] = []
    ok = late = refused = 0
    for number, (more_ok, more_late, more_refused) in enumerate(grown):
        ok, late, refused = ok + more_ok, late + more_late, refused + more_refused
        looks.append(look(number * EVERY_S, ok=ok, late=late, refused=refused))
    last = grown[-6:] if len(grown) > 6 else grown[1:]
    seen, unseen = (sum(column) for column in list(zip(*last, strict=True))[:2])
    if seen and seen >= LEAST_SHARE * (seen + unseen):
        assert after(*looks).blind is False
    elif not grown[-1][0] and seen + unseen >= LEAST_ASKED:
        assert after(*looks).blind is True


def test_one_late_answer_flaps_nothing_and_an_outage_does():
    """The control: the same story, in which it was no single one."""
    shown = {"hiccup": [], "outage": []}
    for story, late in (("hiccup", {5}), ("outage", set(range(5, 20)))):
        house, ok = Story(NAMES, [DETECTOR]), 0
        for number in range(20):
            ok += number not in late
            told = house.after(look(number * EVERY_S, away="silent" if number in late else "", ok=ok))
            shown[story] += [m.payload for m in told.messages if m.topic == NAMES.blind(DETECTOR)]
    assert shown["hiccup"] == [UNKNOWN] + [OFF] * 19
    assert shown["outage"] == [UNKNOWN] + [OFF] * 5 + [ON] * 14


def told_blind(*looks: Look) -> list[str]:
    """What stands under its topic after each look."""
    house = Story(NAMES, [DETECTOR])
    told = [house.after(each).messages for each in looks]
    return [m.payload for messages in told for m in messages if m.topic == NAMES.blind(DETECTOR)]


def test_a_key_that_is_taken_away_is_unknown_and_never_a_calm():
    """The sides serve all the while, and every caller leaves: without the counters nobody knows."""
    looks = [look(number * EVERY_S, ok=number) for number in range(5)]
    assert told_blind(*looks, *(unread(50 + number * EVERY_S) for number in range(3)))[-3:] == [
        OFF,
        UNKNOWN,
        UNKNOWN,
    ]
    assert told_blind(*looks, unread(50), look(60, ok=9))[-2:] == [OFF, OFF]


def test_a_backend_that_begins_anew_in_an_outage_is_no_sign_of_sight():
    """Its counters are nought again, and so is what it knows of those who left."""
    before = [look(number * EVERY_S, gone=10 * number) for number in range(8)]
    again = [look(80, gone=0), look(82, gone=0), look(92, gone=1), look(102, gone=1)]
    assert told_blind(*before, *again)[-6:] == [ON] * 6
    assert told_blind(*before, *again, look(112, gone=1, ok=1), look(114, gone=1, ok=2))[-1] == OFF


def test_backends_that_answer_in_turn_show_no_growth_that_was_none():
    """Each looks at nothing; the counters of one are simply higher than the other's."""
    looks = [
        look(number * EVERY_S, ok=5000 if number % 2 else 10, gone=number // 2 * 50) for number in range(20)
    ]
    assert set(told_blind(*looks)[8:]) == {UNKNOWN}
    assert "do several backends answer in turn" in after(*_as_kept(looks)).why
    restarted_once = [look(0, ok=5000), look(10, ok=5010), look(20, ok=1), look(30, ok=9)]
    assert after(*_as_kept(restarted_once)).blind is False


def _as_kept(looks: list[Look]) -> tuple[Look, ...]:
    held: tuple[Look, ...] = ()
    for each in looks:
        held = kept(held, each)
    return held


@pytest.mark.parametrize("every_s", [1, 10, 300])
def test_however_seldom_it_is_looked_callers_that_leave_are_told(every_s):
    """A look takes its time too: 3 s of it must not put the one before out of sight."""
    looks = [look(number * (every_s + 3.0), gone=5 * number) for number in range(4)]
    assert told_blind(*looks)[-1] == ON


def test_a_detector_that_its_backend_has_no_longer_is_blind_and_not_forgotten():
    story = Story(NAMES, [DETECTOR])
    story.after(look(0))
    other = {"rtdetr": SERVES[DETECTOR]}
    told = [story.after(look(at_s, other)) for at_s in (10, 12)][-1]
    assert ON in [m.payload for m in told.messages if m.topic == NAMES.blind(DETECTOR)]
    assert story.detectors == ("rtdetr", DETECTOR)


# --- figures ----------------------------------------------------------------------------------------------


def counted(at_s: float, ok: int, durations: tuple[int, ...], **more: int) -> Look:
    counts = Counts({"ok": ok, **more}, durations)
    return Look(at_s, sides=SERVES, counts={DETECTOR: counts}, edges_s=(0.01, 0.1, 1.0))


def test_figures_are_those_of_the_last_minute():
    looks = [
        counted(0, 0, (0, 0, 0, 0)),
        counted(60, 1000, (1000, 1000, 1000, 1000)),  # quick ones, a while ago
        counted(120, 1100, (1000, 1090, 1100, 1100), late=20, refused=60),
    ]
    told = figures(DETECTOR, looks)
    assert told["requests_per_s"] == 3.0
    assert told["errors_per_min"] == 20.0
    assert told["p95_ms"] == pytest.approx(550)  # halfway from 0.1 to 1 s
    assert told["legacy"] == "serves"


def test_what_nobody_knows_is_unknown_and_never_nought():
    told = figures(DETECTOR, [counted(0, 5, (5, 5, 5, 5)), look(10, away="silent")])
    assert set(told.values()) == {None}


def test_a_quantile_beyond_the_last_edge_is_the_last_edge():
    window = last_minute(DETECTOR, [counted(0, 0, (0, 0, 0, 0)), counted(60, 9, (0, 0, 0, 9))])
    assert window is not None
    assert window.quantile_s(0.95) == 1.0


def test_counters_that_fell_go_on_from_where_they_were():
    old, new = look(0, ok=500, late=7), look(10, ok=2)
    *_, newest = again = kept((old,), new)
    assert (newest.began_anew, newest.counts) == (True, new.counts)
    for looks, outcomes in (
        (again, {"ok": 2}),
        (kept(kept((look(-30, ok=480),), old), new), {"ok": 22, "late": 7}),
    ):
        window = last_minute(DETECTOR, looks)
        assert window is not None
        assert window.outcomes == outcomes
    assert kept((old, look(5, away="restarts")), new)[-1].began_anew
    assert kept((old,), look(10, ok=500, late=7)) == (old, look(10, ok=500, late=7))


def test_looks_are_forgotten_in_time():
    looks: tuple[Look, ...] = ()
    for number in range(200):
        looks = kept(looks, look(number * EVERY_S, ok=number))
    assert len(looks) == LONGEST_S / EVERY_S + 1


def test_who_uses_one_detector_hears_of_that_one_only():
    story = Story(NAMES, ["rtdetr", DETECTOR], frozenset({DETECTOR}))
    both = {"rtdetr": FAILS[DETECTOR], **SERVES}
    told = story.after(look(0, both))
    assert {message.topic.split("/")[1] for message in told.messages} == {DETECTOR}
