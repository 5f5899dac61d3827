"""Where one request goes: pure, so every promise is tried by example and by hypothesis."""

from __future__ import annotations

import json
import timeit
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.rollout.flags import BUCKETS, FRACTION_SALT, SHADOW_SALT, Flags, View, bucket_of, threshold_of
from backend.rollout.quota import DRIFT, MAX_CAMERAS, MAX_COUNTED, Quota, Seen, Traffic, quota_of
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "buckets.json").read_text())
fractions = st.floats(0, 1)
keys = st.text(max_size=20)


def flags(*, quotas: dict[str, Quota] | None = None, **state: Any) -> Flags:
    """Of a state; what is not the state's goes to the view."""
    view = {
        name: state.pop(name) for name in ("kill_switch", "stale", "legacy_enabled", "key") if name in state
    }
    return Flags(View(RolloutState(version=7, **state), quotas=quotas or {}, **view))


class TestBuckets:
    @pytest.mark.parametrize("vector", GOLDEN["buckets"])
    def test_a_key_falls_into_the_bucket_it_always_fell_into(self, vector: dict[str, Any]) -> None:
        salt = {"fraction": FRACTION_SALT, "shadow": SHADOW_SALT}[vector["salt"]]
        assert bucket_of(salt, vector["detector"], vector["key"]) == vector["bucket"]

    @pytest.mark.parametrize(("fraction", "buckets"), GOLDEN["thresholds"])
    def test_a_fraction_is_a_whole_number_of_buckets_whatever_floats_do(
        self, fraction: float, buckets: int
    ) -> None:
        assert threshold_of(fraction) == buckets

    def test_every_whole_percent_is_a_thousand_buckets(self) -> None:
        assert [threshold_of(percent / 100) for percent in range(101)] == list(range(0, 100_001, 1000))

    def test_keys_spread_evenly_and_detectors_do_not_share_their_fate(self) -> None:
        chosen = {
            detector: {
                key for key in range(20_000) if bucket_of(FRACTION_SALT, detector, str(key)) < BUCKETS / 10
            }
            for detector in ("rtdetr", "yolo26")
        }
        assert all(abs(len(some) - 2_000) < 250 for some in chosen.values())  # 6 standard deviations
        assert abs(len(chosen["rtdetr"] & chosen["yolo26"]) - 200) < 90

    @given(fractions, fractions, keys)
    def test_a_higher_fraction_only_adds_keys(self, one: float, two: float, key: str) -> None:
        low, high = sorted((one, two))
        with_low, with_high = (flags(fraction=f).decide("rtdetr", None, key).backend for f in (low, high))
        assert (with_low, with_high) != ("triton", "legacy")

    @given(fractions, fractions, st.sets(keys, max_size=30))
    def test_a_lower_fraction_takes_the_highest_buckets_back_first(
        self, one: float, two: float, some: set[str]
    ) -> None:
        low, high = sorted((one, two))
        decided = [
            (flags(fraction=low).decide("d", None, k), flags(fraction=high).decide("d", None, k))
            for k in some
        ]
        kept = [now.bucket for now, before in decided if now.backend == before.backend == "triton"]
        lost = [now.bucket for now, before in decided if now.backend != before.backend]
        assert not kept or not lost or max(kept) < min(lost)

    def test_shadow_is_drawn_by_itself(self) -> None:
        decisions = [flags(fraction=0.5, shadow=0.5).decide("d", None, str(n)) for n in range(4_000)]
        both = sum(d.backend == "triton" and d.shadowed for d in decisions)
        assert abs(both - 1_000) < 170


class TestOrder:
    def test_a_thrown_kill_switch_stands_over_everything(self) -> None:
        thrown = flags(
            kill_switch=True, fraction=1.0, pins={"gate": "triton"}, overrides={"d": 1.0}, shadow=1.0
        )
        decision = thrown.decide("d", "gate", "1")
        assert (decision.backend, decision.reason) == ("legacy", "KILL_SWITCH")
        assert (decision.triton_on, decision.shadowed, thrown.triton_on) == (False, False, False)
        assert thrown.reachable("d") == {"legacy"}
        assert thrown.effective_fraction("d") == 0.0
        assert not thrown.decide("d", "gate", "1", force="triton").triton_on

    def test_the_switch_of_the_state_turns_triton_off(self) -> None:
        off = flags(enabled=False, fraction=1.0)
        assert (off.decide("d", None, "1").reason, off.triton_on) == ("DISABLED", False)

    def test_a_pin_goes_before_an_override_and_an_override_before_the_fraction(self) -> None:
        some = flags(fraction=0.0, overrides={"d": 1.0}, pins={"gate": "legacy", "yard": "triton"})
        assert [(x.backend, x.reason) for x in (
            some.decide("d", "gate", "1"), some.decide("d", "hall", "1"), some.decide("other", "hall", "1"),
            some.decide("other", "yard", "1"),
        )] == [("legacy", "PIN"), ("triton", "OVERRIDE"), ("legacy", "FRACTION"), ("triton", "PIN")]  # fmt: skip

    def test_a_rollback_leaves_no_way_to_triton(self) -> None:
        state = RolloutState(
            fraction=0.5, shadow=1.0, overrides={"d": 1.0}, pins={"a": "triton", "b": "legacy"}
        )
        rolled = Flags(View(state.rolled_back()))
        assert all(rolled.decide(d, c, "1").backend == "legacy" for d in ("d", "e") for c in ("a", "b", None))
        assert rolled.reachable("d") == rolled.reachable("e") == {"legacy"}

    def test_a_ramps_rollback_suspends_the_pins_of_its_detector_while_it_has_no_share(self) -> None:
        back = {"d": Ramp("r", (0.1, 1.0), "ended", rolled_back=True)}
        some = flags(pins={"a": "triton", "b": "legacy"}, overrides={"d": 0.0}, ramps=back)
        decided = {(d, c): some.decide(d, c, "1").backend for d in ("d", "e") for c in ("a", "b")}
        assert decided == {
            ("d", "a"): "legacy", ("d", "b"): "legacy", ("e", "a"): "triton", ("e", "b"): "legacy",
        }  # fmt: skip
        assert (some.reachable("d"), some.reachable("e")) == ({"legacy"}, {"legacy", "triton"})
        assert (some.triton_may_help("d"), some.triton_may_help("e")) == (False, True)
        given = flags(pins={"a": "triton"}, overrides={"d": 0.01}, ramps=back)
        assert (given.decide("d", "a", "1").backend, given.triton_may_help("d")) == ("triton", True)

    def test_a_stale_state_is_obeyed_and_says_so(self) -> None:
        decision = flags(fraction=1.0, stale=True).decide("d", None, "1")
        assert (decision.backend, decision.reason) == ("triton", "STALE")

    def test_a_cold_start_means_legacy(self) -> None:
        cold = Flags(View(None, stale=True))
        decision = cold.decide("d", "gate", "1")
        assert (decision.backend, decision.reason, decision.triton_on) == ("legacy", "COLD_START", False)

    def test_a_cold_start_with_legacy_off_serves_by_the_only_side_there_is(self) -> None:
        decision = Flags(View(None, stale=True, legacy_enabled=False)).decide("d", None, "1")
        assert (decision.backend, decision.reason, decision.triton_on) == ("triton", "COLD_START", True)

    def test_an_admin_may_force_a_side_and_nobody_compares_it(self) -> None:
        decision = flags(fraction=0.0, shadow=1.0).decide("d", None, "1", force="triton")
        assert (decision.backend, decision.reason, decision.shadowed) == ("triton", "FORCED", False)

    @given(st.text(), st.one_of(st.none(), st.text()), st.text(), fractions)
    def test_no_caller_can_make_a_decision_fail(
        self, d: str, camera: str | None, key: str, fraction: float
    ) -> None:
        flags(fraction=fraction, shadow=fraction).decide(d, camera, key + "\ud800")


class TestReachable:
    @pytest.mark.parametrize(("state", "sides"), [
        ({"fraction": 0.0}, {"legacy"}),
        ({"fraction": 0.3}, {"legacy", "triton"}),
        ({"fraction": 1.0}, {"triton"}),
        ({"fraction": 1.0, "pins": {"gate": "legacy"}}, {"legacy", "triton"}),
        ({"fraction": 0.0, "pins": {"gate": "triton"}}, {"legacy", "triton"}),
        ({"fraction": 0.0, "pins": {"gate": "triton"}, "pins_suspended": True}, {"legacy"}),
        ({"fraction": 0.0, "overrides": {"d": 0.1}}, {"legacy", "triton"}),
        ({"fraction": 0.0, "overrides": {"other": 0.1}}, {"legacy"}),
        ({"fraction": 0.0, "shadow": 0.1}, {"legacy", "triton"}),
    ])  # fmt: skip
    def test_it_names_the_sides_that_a_way_leads_to(self, state: dict[str, Any], sides: set[str]) -> None:
        assert flags(**state).reachable("d") == sides


class TestStill:
    def test_an_unchanged_state_still_allows_what_it_decided(self) -> None:
        some = flags(fraction=1.0)
        assert some.still(some.decide("d", None, "1"), "d", None, "1")

    def test_a_request_decided_before_a_rollback_starts_no_attempt_after_it(self) -> None:
        some = flags(fraction=1.0)
        decision = some.decide("d", None, "1")
        some.show(View(RolloutState(version=8, fraction=0.0)))
        assert not some.still(decision, "d", None, "1")

    def test_a_higher_fraction_does_not_stop_a_request_under_way(self) -> None:
        some = flags(fraction=0.5)
        key = next(str(n) for n in range(100) if some.decide("d", None, str(n)).backend == "triton")
        decision = some.decide("d", None, key)
        some.show(View(RolloutState(version=8, fraction=0.6)))
        assert some.still(decision, "d", None, key)

    @pytest.mark.parametrize("force", [None, "triton"])
    def test_nothing_survives_a_thrown_kill_switch(self, force: Any) -> None:
        some = flags(fraction=0.0 if force else 1.0)
        decision = some.decide("d", None, "1", force)
        some.show(View(some.view.state, kill_switch=True))
        assert not some.still(decision, "d", None, "1")

    def test_what_nobody_has_looked_at_for_too_long_is_not_trusted(self) -> None:
        clock = [10.0]
        some = Flags(View(RolloutState(version=7, fraction=1.0)), lambda: clock[0])
        decision = some.decide("d", None, "1")
        some.trust_until(12.0)
        assert some.still(decision, "d", None, "1")
        clock[0] = 12.5
        assert not some.still(decision, "d", None, "1")
        some.trust_until(14.0)
        assert some.still(decision, "d", None, "1")

    def test_as_a_fallback_triton_needs_only_to_be_on(self) -> None:
        some = flags(fraction=0.0)
        decision = some.decide("d", None, "1")
        assert some.still(decision, "d", None, "1")
        some.show(View(RolloutState(version=8, enabled=False)))
        assert not some.still(decision, "d", None, "1")


class TestCameraQuota:
    quota = Quota((("a", 0.05), ("b", 0.2), ("c", 0.5), ("d", 0.25)))

    def test_cameras_are_taken_from_the_front_while_their_share_fits(self) -> None:
        assert [sorted(self.quota.taken(f)) for f in (0, 0.05, 0.24, 0.25, 0.75, 1)] == [
            [], ["a"], ["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"],
        ]  # fmt: skip

    @given(st.lists(st.integers(1, 1000), max_size=30), fractions, fractions)
    def test_a_higher_fraction_only_adds_cameras_and_none_goes_over_it(
        self, counts: list[int], one: float, two: float
    ) -> None:
        low, high = sorted((one, two))
        quota = quota_of(
            [Seen(sum(counts), {str(n): c for n, c in enumerate(counts)})], lambda name: -int(name)
        )
        assert quota.taken(low) <= quota.taken(high)
        assert quota.share_taken(high) <= high + 1e-6

    def test_a_camera_stays_with_its_side_whatever_the_request(self) -> None:
        some = flags(fraction=0.1, key="camera-quota", quotas={"rtdetr": self.quota})
        decided = {(c, some.decide("rtdetr", c, str(n)).backend) for c in "abcd" for n in range(50)}
        assert decided == {("a", "triton"), ("b", "legacy"), ("c", "legacy"), ("d", "legacy")}
        assert some.decide("rtdetr", "a", "1").reason == "QUOTA"
        assert some.effective_fraction("rtdetr") == 0.05

    def test_a_new_fraction_is_obeyed_without_a_new_list(self) -> None:
        for fraction, sides in ((0.0, {"legacy"}), (1.0, {"triton"})):
            some = flags(fraction=fraction, key="camera-quota", quotas={"rtdetr": self.quota})
            assert {some.decide("rtdetr", c, "1").backend for c in (*"abcd", "new", None)} == sides

    def test_an_unknown_camera_and_one_without_a_list_are_legacys(self) -> None:
        some = flags(fraction=0.9, key="camera-quota", quotas={"rtdetr": self.quota})
        decided = [some.decide("rtdetr", "new", "1"), some.decide("yolo26", "a", "1")]
        assert [(d.backend, d.reason) for d in decided] == [("legacy", "QUOTA")] * 2

    def test_a_request_without_a_camera_is_bucketed_by_its_id(self) -> None:
        some = flags(fraction=0.5, key="camera-quota", quotas={"rtdetr": self.quota})
        decided = [some.decide("rtdetr", None, str(n)) for n in range(400)]
        assert {d.reason for d in decided} == {"FRACTION"}
        assert 140 < sum(d.backend == "triton" for d in decided) < 260

    @pytest.mark.parametrize("cameras", [20, 250, 1000])
    def test_the_noise_of_counting_moves_no_camera(self, cameras: int) -> None:
        random, published = Random(1), None
        lists = 0
        for _ in range(30):
            counts = {f"camera-{n}": random.randint(950, 1050) for n in range(cameras)}
            fresh = quota_of([Seen(sum(counts.values()), counts)], lambda name: bucket_of("s", "d", name))
            if published is None or not published.still_holds(fresh):
                published, lists = fresh, lists + 1
        assert published is not None
        assert lists <= 2
        assert abs(published.share_taken(0.5) - 0.5) < 0.06

    def test_a_small_drift_of_the_traffic_moves_no_camera(self) -> None:
        sway = {"a": 1, "b": -1, "c": 1, "d": -1}
        near = Quota(tuple((name, share + sway[name] * DRIFT / 2) for name, share in self.quota.cameras))
        far = Quota(tuple((name, share + sway[name] * DRIFT * 2) for name, share in self.quota.cameras))
        assert self.quota.still_holds(near)
        assert not self.quota.still_holds(far)
        assert not self.quota.still_holds(Quota(self.quota.cameras[:-1]))

    def test_all_workers_counts_make_one_list(self) -> None:
        quota = quota_of([Seen(10, {"a": 10}), Seen(30, {"a": 10, "b": 20})], {"a": 2, "b": 1}.__getitem__)
        assert quota.cameras == (("b", 0.5), ("a", 0.5))


class TestTraffic:
    def test_what_was_long_ago_does_not_count(self) -> None:
        clock = [0.0]
        traffic = Traffic(10.0, lambda: clock[0])
        traffic.seen("d", "a")
        clock[0] = 5.0
        traffic.seen("d", "b")
        assert traffic.counted() == {"d": Seen(2, {"a": 1, "b": 1})}
        clock[0] = 10.0
        assert traffic.counted() == {"d": Seen(1, {"b": 1})}
        clock[0] = 25.0
        assert traffic.counted() == {}

    def test_callers_cannot_fill_the_memory_with_names(self) -> None:
        traffic = Traffic(10.0, lambda: 0.0)
        for n in range(MAX_COUNTED + 1_000):
            traffic.seen("d", f"camera {n}")
        counted = traffic.counted()["d"]
        assert (counted.total, len(counted.cameras)) == (MAX_COUNTED + 1_000, MAX_CAMERAS)

    def test_a_request_without_a_camera_is_not_counted(self) -> None:
        traffic = Traffic(10.0, lambda: 0.0)
        traffic.seen("d", None)
        assert traffic.counted() == {}


def test_a_decision_does_not_pay_for_the_planning() -> None:
    """Against a view worked out anew, in the same run."""
    pins = {f"camera {n}": "legacy" for n in range(1_000)}
    some = flags(
        fraction=0.5, shadow=0.5, pins=pins, overrides={f"d{n}": 0.5 for n in range(200)} | {"d": 0.5}
    )
    decide = min(timeit.repeat(lambda: some.decide("d", "gate", "4711"), number=100, repeat=20))
    planned = min(timeit.repeat(lambda: some.show(some.view), number=100, repeat=5))
    assert decide < planned / 5
