"""What a ramp does next, and what it waits for: pure, tried with counters as workers would have added them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai.core.errors import BadSetting
from ai.triton.comparing.certificate import Standing
from backend.ramp.deciding import Decided, Situation, decide
from backend.ramp.diagnosis import fault_of
from backend.ramp.evidence import Asked, clean_needed
from backend.ramp.figures import Policy
from backend.ramp.freezing import Freeze
from backend.ramp.ground import bounding_rank, coverage_of, slow_bin_of, unseen
from backend.ramp.holding import Conditions
from backend.ramp.noted import Noted
from backend.ramp.serving import served_fraction
from backend.rollout.books import MAX_BIN, OTHERS, bin_of, longest_s
from backend.rollout.ramps import Ramp
from backend.settings import Settings

NOW = 100_000.0
STEPS = (0.1, 0.25, 0.5, 0.75, 1.0)
POLICY = Policy.of(Settings(_env_file=None))  # type: ignore[call-arg]
THETA = bin_of(0.1)
FAST, SLOW = bin_of(0.05), bin_of(0.2)
SEEN = {"class.person": 300, "class.car": 200, "camera.yard": 300, "camera.street": 200, "light.day": 500}


def holds(version: str) -> Standing:
    return Standing(
        version == "1", "parity" if version == "1" else f"the certificate is for 1, not {version}"
    )


CONDITIONS = Conditions(holds, headroom=2.0, shadow=0.1)


def ramp(**changes: Any) -> Ramp:
    made = Ramp(
        "r1",
        STEPS,
        "running",
        0,
        2,
        started_at=0.0,
        step_at=0.0,
        slow_bin=THETA,
        model_version="1",
        baseline=SEEN,
    )
    return replace(made, **changes)


def clean(samples: int = 5000, requests: int = 20_000, times: int = 3000, **more: int) -> dict[str, int]:
    """A book in which nothing is wrong, with 4 % of the times over θ, as they are where θ bounds the p95."""
    slow = times // 25
    return {
        "disagreement.0": samples,
        "errors.0": requests,
        f"time.triton.{FAST}": times - slow,
        f"time.triton.{SLOW}": slow,
        "fresh.0": times // 20 * 19,
        "fresh.1": times // 20,
        "compared.same": samples,
        "version.1": samples,
        **SEEN,
        **more,
    }


def decided(
    counts: dict[str, int], by: Ramp | None = None, noted: Noted | None = None, **more: Any
) -> Decided:
    by = by or ramp()
    conditions = replace(
        CONDITIONS, **{name: more.pop(name) for name in list(more) if name in Conditions.__dataclass_fields__}
    )
    now = more.pop("now", NOW)
    return decide(Situation("yolo26", by, counts, noted or Noted(by.epoch), conditions, POLICY, now, **more))


def waits(counts: dict[str, int], by: Ramp | None = None, **more: Any) -> str:
    found = decided(counts, by, **more)
    assert found.look.action == "hold"
    assert found.ramp == (by or ramp())
    assert found.fraction is None
    return " · ".join(found.look.waits_for)


class TestBaseline:
    before = ramp(phase="baseline", step=-1, tries=1, slow_bin=None, model_version="", baseline=None)

    def legacy(self, times: int = 400, **more: int) -> dict[str, int]:
        return {f"time.legacy.{FAST}": times, "version.1": 40, "compared.same": 40, **SEEN, **more}

    def test_the_first_step_follows_when_legacy_is_measured(self) -> None:
        found = decided(self.legacy(), self.before)
        assert (found.look.action, found.fraction) == ("measured", 0.1)
        assert (found.ramp.phase, found.ramp.step, found.ramp.tries) == ("running", 0, 2)
        assert (found.ramp.slow_bin, found.ramp.model_version, found.ramp.step_at) == (FAST, "1", NOW)
        assert found.ramp.baseline == SEEN

    def test_too_few_times_of_legacy_hold_it(self) -> None:
        assert "399 of 400 times of legacy" in waits(self.legacy(399), self.before)

    def test_a_triton_that_never_answered_holds_it(self) -> None:
        counts = self.legacy()
        del counts["version.1"]
        assert "Triton has not answered" in waits(counts, self.before)

    def test_what_speaks_against_the_first_step_holds_it_by_name(self) -> None:
        bad = {"disagreement.1": 40, "disagreement.0": 60, "kind.misplaced.day.car": 40}
        assert "before the first step already (boxes are misplaced)" in waits(self.legacy(**bad), self.before)

    def test_a_legacy_that_callers_give_up_on_is_no_measure(self) -> None:
        given_up = self.legacy(380) | {f"time.legacy.{MAX_BIN}": 20}
        words = waits(given_up, self.before)
        assert words == "callers give up on legacy in 5 % of its times: latency cannot be judged"
        few = self.legacy(391) | {f"time.legacy.{MAX_BIN}": 9}
        assert decided(few, self.before).look.action == "measured"

    def test_no_certificate_no_first_step(self) -> None:
        counts = self.legacy()
        counts["version.2"] = counts.pop("version.1")
        assert "the certificate is for 1, not 2" in waits(counts, self.before)

    def test_it_says_how_long_the_baseline_takes_yet(self) -> None:
        assert decided(self.legacy(100), self.before, now=60.0).look.eta_s == pytest.approx(180)

    def test_a_ramp_over_10_percent_begins_with_the_bounds_of_its_next_step(self) -> None:
        found = decided(self.legacy(), replace(self.before, step=0))
        assert (found.fraction, found.ramp.step) == (0.25, 1)

    def test_the_bound_of_the_p95_is_the_391st_of_400_times(self) -> None:
        assert bounding_rank(400) == 391
        times = {f"time.legacy.{number}": 1 for number in range(1, 401)}
        assert slow_bin_of(times) == 391

    def test_of_few_times_the_longest_is_the_bound(self) -> None:
        assert [bounding_rank(number) for number in (1, 59)] == [1, 59]

    def test_coverage_is_taken_from_comparisons_where_evidence_saw_nothing(self) -> None:
        counts = {"camera.yard": 5, "seen.day.person": 30, "seen.infrared.person": 3}
        expected = {"camera.yard": 5, "class.person": 33, "light.day": 30, "light.infrared": 3}
        assert coverage_of(counts) == expected


class TestPromotion:
    def test_what_is_clean_in_everything_is_promoted(self) -> None:
        found = decided(clean())
        assert (found.look.action, found.fraction, found.ramp.step) == ("promote", 0.25, 1)
        assert (found.ramp.tries, found.ramp.step_at) == (3, NOW)
        assert found.look.words == "promoted from 10 % to 25 %"

    @pytest.mark.parametrize("question", ["disagreement", "errors", "time"])
    def test_no_data_is_never_a_pass(self, question: str) -> None:
        counts = {name: count for name, count in clean().items() if not name.startswith(question + ".")}
        words = {"time": "latency"}.get(question, question)
        assert f"{words}: no samples yet" in waits(counts)

    def test_an_empty_book_holds(self) -> None:
        assert "disagreement: no samples yet" in waits({})

    @given(st.lists(st.sampled_from(sorted(clean())), max_size=6))
    def test_whatever_is_missing_nothing_is_promoted_sooner(self, gone: list[str]) -> None:
        few = {name: count for name, count in clean(samples=80).items() if name not in gone}
        assert decided(few, tell=False).look.action != "promote"

    def test_too_few_samples_say_how_many_are_needed_and_how_long_that_takes(self) -> None:
        found = decided(clean(samples=212), now=1000.0)
        needed = clean_needed(Asked(0.01, -1), 0.05)
        assert found.look.waits_for == (f"disagreement: 212 of about {needed} samples",)
        assert found.look.eta_s == pytest.approx(1000 * (needed - 212) / 212, rel=0.1)
        assert "minutes" in found.look.words

    def test_a_step_takes_its_time(self) -> None:
        assert "a step takes 10 minutes at least; 5 minutes are left" in waits(clean(), now=300.0)

    def test_a_step_takes_its_samples_even_where_fewer_would_prove_it(self) -> None:
        loose = replace(POLICY, disagreement=(0.2,))
        found = decide(Situation("yolo26", ramp(), clean(samples=99), Noted("r1.2"), CONDITIONS, loose, NOW))
        assert found.look.waits_for == ("a step takes 100 samples at least; there are 99",)

    def test_dropped_comparisons_hold(self) -> None:
        assert "10 % of the comparisons were dropped" in waits(clean(**{"dropped.full": 556}))
        assert decided(clean(**{"dropped.full": 200})).look.action == "promote"

    def test_a_pause_holds(self) -> None:
        assert "paused: by anna: lunch" in waits(clean(), ramp(paused="by anna: lunch"))

    def test_a_gate_holds_until_it_is_approved(self) -> None:
        gated = ramp(gates=(0.25, 0.5))
        assert "25 % has to be approved" in waits(clean(), gated)
        assert decided(clean(), replace(gated, approved=0.25)).fraction == 0.25
        assert "50 % has to be approved" in waits(clean(), replace(gated, approved=0.25, step=1, tries=3))

    def test_a_gate_between_two_steps_holds_the_higher_one(self) -> None:
        gated = ramp(step=2, tries=4, gates=(0.6, 0.7))
        assert "60 % has to be approved" in waits(clean(), gated)
        assert "70 % has to be approved" in waits(clean(), replace(gated, approved=0.6))
        assert decided(clean(), replace(gated, approved=0.7)).fraction == 0.75

    def test_a_gate_that_is_passed_or_further_off_holds_nothing(self) -> None:
        assert decided(clean(), ramp(step=2, tries=4, gates=(0.4, 0.8))).fraction == 0.75

    def test_evidence_that_legacy_did_not_confirm_holds(self) -> None:
        lost = clean(unproven=556)
        assert waits(lost) == (
            "10 % of the evidence was lost, since legacy gave no second answer; up to 5 % is allowed"
        )
        assert decided(clean(unproven=200)).look.action == "promote"

    def test_comparisons_that_differ_where_nothing_moves_hold(self) -> None:
        ghosts = clean(**{"compared.different": 3000, "compared.triton_failed": 621})
        assert waits(ghosts) == (
            "42 % of all comparisons differ, of the evidence 0 %: scenes that stand still prove nothing; "
            "look at the samples"
        )

    @pytest.mark.parametrize(
        "pairs",
        [
            {"compared.same": 89, "compared.different": 10},  # too few to tell
            {"compared.same": 901, "compared.different": 99},
            {"compared.same": 800, "compared.different": 200, "disagreement.1": 400, "disagreement.-1": 400},
        ],
    )
    def test_few_pairs_few_differences_or_evidence_that_says_the_same_do_not(
        self, pairs: dict[str, int]
    ) -> None:
        assert "comparisons differ" not in " ".join(decided(clean() | pairs).look.waits_for)

    def test_a_freeze_window_holds(self) -> None:
        assert "nothing is promoted in fri 16:00-mon 08:00" in waits(clean(), frozen="fri 16:00-mon 08:00")

    @pytest.mark.parametrize(
        ("ratio", "words"), [(None, "nobody has measured yet"), (0.8, "legacy could carry 0.80")]
    )
    def test_a_fallback_that_could_not_carry_it_holds(self, ratio: float | None, words: str) -> None:
        assert words in waits(clean(), headroom=ratio)

    def test_what_is_not_compared_holds(self) -> None:
        assert "the shadow fraction is 0" in waits(clean(), shadow=0.0)

    def test_triton_off_holds(self) -> None:
        assert "Triton is switched off" in waits(clean(), triton_on=False)

    def test_force_goes_without_certificate_and_headroom_and_nothing_else(self) -> None:
        forced = ramp(forced="Friday", model_version="2")
        counts = {**clean(), "version.2": 5000}
        del counts["version.1"]
        assert decided(counts, forced, headroom=None).look.action == "promote"
        assert "frozen" not in waits(counts, replace(forced, paused="by anna: lunch"), headroom=None)

    def test_all_reasons_are_told_at_once(self) -> None:
        found = decided({}, ramp(paused="by anna: lunch"), shadow=0.0, headroom=None, now=1.0)
        assert len(found.look.waits_for) >= 8

    def test_each_step_has_its_own_bound(self) -> None:
        by = [decided({}, ramp(step=step)).look.answers[0].bound for step in range(5)]
        assert by == [0.01, 0.005, 0.003, 0.003, 0.003]

    def test_classes_cameras_and_lights_that_were_there_before_have_to_be_seen(self) -> None:
        counts = clean()
        del counts["camera.street"]
        assert waits(counts) == "not in the evidence since this step began: camera street"
        night = ramp(baseline=SEEN | {"light.infrared": 100})
        assert waits(clean(), night) == "not in the evidence since this step began: light infrared"

    def test_what_was_rare_before_the_ramp_is_not_waited_for(self) -> None:
        assert unseen({"class.person": 500, "class.giraffe": 2, "class.bear": 10}, {"class.person": 1}) == ()

    @pytest.mark.parametrize("where", ["baseline", "evidence"])
    def test_of_more_cameras_than_a_book_holds_none_is_waited_for(self, where: str) -> None:
        many = {f"camera.{OTHERS}": 50}
        before, counts = (SEEN | many, clean()) if where == "baseline" else (SEEN, clean(**many))
        del counts["camera.street"], counts["class.car"]
        assert waits(counts, ramp(baseline=before)) == "not in the evidence since this step began: class car"


class TestTheLastStep:
    last = ramp(step=4, tries=6)

    def test_two_percent_stay_on_legacy_until_it_is_earned(self) -> None:
        found = decided(clean(), ramp(step=3, tries=5))
        assert (found.ramp.step, found.fraction) == (4, 0.98)
        earned = decided(clean(), self.last)
        assert (earned.ramp.phase, earned.fraction) == ("watching", 1.0)

    def test_a_ramp_that_ends_lower_keeps_its_fraction(self) -> None:
        half = ramp(steps=(0.1, 0.5), step=1, tries=3)
        found = decided(clean(), half)
        assert (found.ramp.phase, found.fraction, served_fraction(found.ramp)) == ("watching", None, 0.5)

    def test_the_watch_goes_on_and_promotes_nothing_more(self) -> None:
        watching = replace(self.last, phase="watching", tries=7)
        found = decided(clean(), watching)
        assert (found.look.action, found.look.words) == ("hold", "watching at 100 %")
        assert found.ramp == watching

    def test_the_watch_rolls_back(self) -> None:
        found = decided(
            {"errors.1": 60, "error.unavailable": 60}, replace(self.last, phase="watching", tries=7)
        )
        assert (found.look.action, found.fraction) == ("roll back", 0.0)

    def test_fresh_requests_are_compared_up_to_a_half_only(self) -> None:
        asked = [[one.question for one in decided({}, ramp(step=step)).look.answers] for step in (2, 3)]
        assert ["fresh" in questions for questions in asked] == [True, False]


class TestRollback:
    def test_its_detector_goes_back_and_the_ramp_is_over(self) -> None:
        found = decided(clean(**{"errors.1": 300, "error.unavailable": 300}))
        assert (found.look.action, found.fraction) == ("roll back", 0.0)
        assert (found.ramp.phase, found.ramp.rolled_back) == ("ended", True)
        assert found.ramp.ended == "rolled back: errors: unavailable 1.48 %"

    @pytest.mark.parametrize(
        ("question", "bad"),
        [
            ("disagreement", {"disagreement.1": 150}),
            ("errors", {"errors.1": 300}),
            ("latency", {f"time.triton.{SLOW}": 600}),
            ("fresh", {"fresh.1": 500, "fresh.0": 2850}),
        ],
    )
    def test_each_question_alone_is_enough(self, question: str, bad: dict[str, int]) -> None:
        found = decided(clean() | bad)
        assert found.look.action == "roll back"
        assert [one.question for one in found.look.answers if one.ill >= one.ill_at] == [question]

    def test_a_pause_and_a_freeze_do_not_hold_a_rollback(self) -> None:
        bad = clean(**{"errors.1": 300})
        assert decided(bad, ramp(paused="by anna: lunch"), frozen="always").look.action == "roll back"

    def test_later_epochs_need_more_so_that_the_ramp_as_a_whole_keeps_its_promise(self) -> None:
        needed = [decided({}, ramp(tries=tries)).look.answers[0].ill_at for tries in range(2, 8)]
        assert all(one < other for one, other in pairwise(needed))

    def test_without_legacy_there_is_nowhere_to_go_back_to(self) -> None:
        words = waits(clean(**{"errors.1": 300}), legacy_enabled=False)
        assert "no side to roll back to" in words

    def test_onto_a_legacy_that_is_dead_nobody_is_rolled_back(self) -> None:
        dead = decided({"errors.1": 60, "error.unavailable": 60}, ramp(step=2, tries=4), headroom=0.0)
        assert (dead.look.action, dead.fraction, dead.ramp.phase) == ("hold", None, "running")
        assert dead.look.waits_for == ("legacy cannot serve: there is no side to roll back to",)
        assert "every call fails (unavailable)" in dead.look.fault

    @pytest.mark.parametrize("headroom", [None, 0.01])
    def test_one_that_is_slow_or_that_nobody_measured_takes_them_back(self, headroom: float | None) -> None:
        assert decided(clean(**{"errors.1": 300}), headroom=headroom).look.action == "roll back"

    @pytest.mark.parametrize(("shadow", "action"), [(0.1, "hold"), (0.0, "roll back")])
    def test_one_that_nothing_leads_to_is_not_taken_for_dead(self, shadow: float, action: str) -> None:
        watching = ramp(phase="watching", step=4, tries=7)
        found = decided(clean(**{"errors.1": 300}), watching, headroom=0.0, shadow=shadow)
        assert found.look.action == action

    def test_a_late_fault_is_named_by_what_came_since_it_began(self) -> None:
        quiet = clean() | {"seen.day.dog": 4000, "seen.day.car": 4000}
        earlier = decided(quiet | {"disagreement.0": 4900, "version.1": 4900}, ramp(step_at=NOW)).noted
        noted = decided(quiet, ramp(step_at=NOW), earlier).noted
        late = {
            "disagreement.1": 60,
            "kind.missed.day.dog": 60,
            "seen.day.dog": 4060,
            "compared.different": 60,
        }
        found = decided(quiet | late, noted=noted)
        assert (found.look.action, found.look.fault) == ("roll back", "dog is never found")


class TestTheGroundMoves:
    def test_another_model_version_begins_the_step_anew(self) -> None:
        counts = clean(**{"version.2": 20})
        noted = replace(decided(clean(), now=NOW - 60).noted, epoch="r1.2")
        found = decided(counts, noted=noted, standing=lambda version: Standing(True, "parity"))
        assert (found.look.action, found.ramp.model_version, found.ramp.tries) == ("begin anew", "2", 3)
        assert found.fraction is None

    def test_one_without_a_certificate_pauses_the_ramp(self) -> None:
        noted = decided(clean(), now=NOW - 60).noted
        found = decided(clean(**{"version.2": 20}), noted=noted)
        assert found.look.action == "pause"
        assert found.look.fault == "another model version answers: 2, not 1"
        assert "the certificate is for 1, not 2" in found.ramp.paused

    def test_a_few_late_answers_of_another_version_hold_but_begin_nothing(self) -> None:
        assert "several model versions answer: 1, 2" in waits(clean(**{"version.2": 3}))

    def test_two_versions_at_once_hold_the_step(self) -> None:
        assert "several model versions answer" in waits(clean(**{"version.2": 500}))

    def test_a_few_answers_of_another_version_long_ago_hold_nothing(self) -> None:
        counts = clean(**{"version.2": 3})
        noted = decided(counts, now=NOW - 10).noted
        later = counts | {"version.1": 5001}
        assert decided(later, noted=noted).fraction == 0.25

    def test_evidence_that_another_version_gave_part_of_promotes_nothing(self) -> None:
        counts = clean(**{"version.2": 20})
        noted = decided(counts, now=NOW - 10).noted
        found = decided(counts | {"version.1": 5001}, noted=noted)
        assert (found.look.action, found.fraction, found.ramp.tries) == ("begin anew", None, 3)
        assert found.look.words == "part of the evidence is about 2, and the step begins anew"
        assert found.ramp.model_version == "1"

    def test_lost_evidence_begins_the_step_anew(self) -> None:
        noted = decided(clean(), now=NOW - 1).noted
        found = decided(clean(samples=10), noted=noted)
        assert (found.look.action, found.ramp.tries, found.ramp.step) == ("begin anew", 3, 0)

    def test_what_is_noted_survives_the_store(self) -> None:
        noted = decided(clean(**{"errors.1": 3})).noted
        assert Noted.read(noted.to_json(), "r1.2") == noted

    @pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"epoch": "r1.2"}', '{"epoch": "r1.1"}'])
    def test_notes_that_are_none_are_as_none(self, text: str | None) -> None:
        assert Noted.read(text, "r1.2") == Noted("r1.2")

    def test_what_an_uncertified_version_does_wrong_is_named_after_it(self) -> None:
        bad = {"disagreement.1": 150, "version.2": 100, "kind.missed.day.dog": 150, "seen.day.dog": 150}
        found = decided(clean() | bad)
        assert found.look.fault == "the certificate is for 1, not 2; dog is never found"


class TestDryRun:
    dry = ramp(dry_run=True)

    def test_it_says_what_it_would_do_and_does_nothing(self) -> None:
        found = decided(clean(), self.dry)
        assert (found.look.action, found.look.words) == ("promote", "would be promoted from 10 % to 25 %")
        assert (found.ramp, found.fraction) == (self.dry, None)

    def test_it_would_roll_back_too(self) -> None:
        found = decided(clean(**{"errors.1": 300}), self.dry)
        assert (found.look.action, found.ramp, found.fraction) == ("roll back", self.dry, None)
        assert found.ramp.rolled_back is False

    def test_its_first_step_moves_no_traffic(self) -> None:
        before = replace(TestBaseline.before, dry_run=True)
        found = decided(TestBaseline().legacy(), before)
        assert (found.ramp.step, found.fraction) == (0, None)


def seen(missed: dict[str, int] | None = None, **more: int) -> dict[str, int]:
    ground = {
        f"seen.{light}.{label}": 200 for light in ("day", "infrared") for label in ("person", "car", "dog")
    }
    return ground | (missed or {}) | more


class TestDiagnosis:
    @pytest.mark.parametrize(
        ("counts", "fault"),
        [
            ({f"kind.misplaced.{light}.{label}": 60 for light in ("day", "infrared") for label in ("car", "dog")},
             "boxes are misplaced"),
            ({"kind.swapped.day.car": 50, "kind.swapped.day.truck": 30, "swap.car/truck": 50, "swap.truck/car": 30},
             "car and truck are swapped"),
            ({"kind.swapped.day.car": 50, "swap.car/truck": 50}, "car is taken for truck"),
            ({"kind.missed.day.dog": 195, "kind.missed.infrared.dog": 199, "kind.missed.day.car": 3},
             "dog is never found"),
            ({"kind.missed.day.dog": 20, "kind.missed.infrared.dog": 20}, "dog is missed (10 % of them)"),
            ({"kind.missed.infrared.person": 150, "kind.missed.day.person": 1},
             "person is missed in infrared (and not by day)"),
            ({f"kind.missed.infrared.{label}": 100 for label in ("person", "car", "dog")},
             "objects are missed in infrared (and not by day)"),
            ({f"kind.{kind}.{light}.{label}": 5 for kind in ("missed", "extra")
              for light in ("day", "infrared") for label in ("person", "car", "dog")},
             "scores differ: many classes a little, as at too low a precision"),
            ({"kind.duplicate.day.car": 9, "kind.missed.day.car": 1}, "objects are found twice"),
            ({"kind.extra.day.person": 30}, "person is seen where legacy sees none"),
            ({"compared.triton_failed": 30}, "Triton gives no answer where legacy does"),
        ],
    )  # fmt: skip
    def test_differences_have_a_name(self, counts: dict[str, int], fault: str) -> None:
        assert fault_of("disagreement", seen(counts), THETA) == fault

    @pytest.mark.parametrize(
        ("counts", "fault"),
        [
            ({"errors.0": 988, "errors.1": 12, "error.unavailable": 12}, "errors: unavailable 1.2 %"),
            ({"errors.0": 10, "errors.1": 60, "error.server_error": 5, "error.breaker_open": 55},
             "the stub is dead: every call fails (server_error)"),
            ({"errors.1": 30, "error.server_error": 30}, "the stub is dead: every call fails (server_error)"),
            ({"errors.0": 900, "errors.1": 20, "error.unavailable": 5, "error.breaker_open": 15},
             "Triton is gone: every call fails (unavailable)"),
        ],
    )  # fmt: skip
    def test_errors_have_a_name(self, counts: dict[str, int], fault: str) -> None:
        assert fault_of("errors", counts, THETA) == fault

    def test_slower_says_how_much(self) -> None:
        counts = {f"time.triton.{bin_of(0.13)}": 100}
        triton, legacy = longest_s(bin_of(0.13)), longest_s(bin_of(0.1))
        words = f"slower: p95 {1000 * triton:.3g} ms against {1000 * legacy:.3g} ms"
        assert fault_of("latency", counts, bin_of(0.1)) == words

    def test_against_fresh_legacy_it_is_the_legacy_of_now_that_counts(self) -> None:
        counts = {f"time.triton.{SLOW}": 100, f"time.legacy.{FAST}": 100}
        assert "against 5" in fault_of("fresh", counts, None)


class TestFreeze:
    @pytest.mark.parametrize(
        ("at", "window"),
        [
            ("2026-11-20 15:59", ""),  # a Friday
            ("2026-11-20 16:00", "fri 16:00-mon 08:00"),
            ("2026-11-22 12:00", "fri 16:00-mon 08:00"),
            ("2026-11-23 07:59", "fri 16:00-mon 08:00"),
            ("2026-11-23 08:00", ""),
            ("2026-11-24 22:00", "22:00-06:00"),
            ("2026-11-25 05:59", "22:00-06:00"),
            ("2026-11-25 06:00", ""),
        ],
    )
    def test_windows_of_a_week_and_of_a_day(self, at: str, window: str) -> None:
        freeze = Freeze.parsed("Fri 16:00-mon 08:00, 22:00-06:00")
        assert freeze.frozen(datetime.fromisoformat(at)) == window

    def test_no_word_freezes_nothing(self) -> None:
        assert Freeze.parsed("").frozen(datetime.fromisoformat("2026-11-20 15:59")) == ""

    def test_a_whole_day_is_possible(self) -> None:
        freeze = Freeze.parsed("sat 00:00-sun 24:00")
        days = [f"2026-11-{day} 12:00" for day in (20, 21, 22, 23)]
        assert [bool(freeze.frozen(datetime.fromisoformat(day))) for day in days] == [
            False,
            True,
            True,
            False,
        ]

    @pytest.mark.parametrize(
        "text",
        ["weekend", "fri 16:00-08:00", "25:00-26:00", "22:61-23:00", "22:00", "22:00-22:00", "24:01-25:00"],
    )
    def test_what_cannot_be_read_is_refused_in_a_sentence(self, text: str) -> None:
        with pytest.raises(BadSetting, match="RAMP_FREEZE="):
            Freeze.parsed(text)
