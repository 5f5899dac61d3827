"""What the soak calls a leak, on figures that are known: hours of them, in no time."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from tests.chaos.leaks import MOST_MORE, MOST_SERIES_MORE, judged
from tests.chaos.sampling import Held, Sample

SAMPLES = 360
REQUESTS_EACH = 1_000  # so that all of it are 360,000
WARM_AT_S = 60.0
FIRST_TOLD = Held(100, 85.0, 90.0, 40, 8, 15, 12, {"measure": 1})


def hours(
    of_worker=lambda number: FIRST_TOLD, series=lambda number: 250, quiet=lambda number: True
) -> list[Sample]:
    """One sample each 10 s; `of_worker` and the others are told its number."""
    return [
        Sample(
            10.0 * number, REQUESTS_EACH * number, quiet(number),
            held={"launcher": replace(FIRST_TOLD, pid=1, tasks=None), "worker 1": of_worker(number)},
            series={"detector_requests_total": series(number)}, var_mib={}, rows={}, sockets={}, shm=0,
        )
        for number in range(SAMPLES)
    ]  # fmt: skip


def wrong_in(samples: list[Sample]) -> dict[str, str]:
    return {one.kind: one.words for one in judged(samples, WARM_AT_S) if not one.holds}


def growing(mib_by_100_000: float, seed: int = 5):
    """With the noise of an allocator: a MiB up and down, and 15 of a burst now and then, given back later."""
    random = Random(seed)

    def held(number: int) -> Held:
        burst = 15.0 if number % 40 < 4 else 0.0
        grown = mib_by_100_000 * number * REQUESTS_EACH / 100_000
        return replace(FIRST_TOLD, uss_mib=85 + grown + burst + random.uniform(-1, 1))

    return held


@pytest.mark.parametrize("mib", [0.0, 5.0, 9.0])
def test_up_to_ten_mib_by_100_000_requests_are_no_leak(mib: float) -> None:
    assert not wrong_in(hours(growing(mib)))


@pytest.mark.parametrize("mib", [11.0, 50.0])
def test_more_is_one_and_told_with_its_slope(mib: float) -> None:
    said = wrong_in(hours(growing(mib)))
    assert list(said) == ["memory"]
    assert float(said["memory"].split()[0]) == pytest.approx(mib, abs=1)


@pytest.mark.parametrize("kind", MOST_MORE)
def test_what_a_burst_leaves_for_a_while_is_no_leak_and_what_stays_is(kind: str) -> None:
    much, usual = 20 * MOST_MORE[kind], getattr(FIRST_TOLD, kind)
    passing = hours(lambda number: replace(FIRST_TOLD, **{kind: usual + much * (number % 10 == 0)}))
    staying = hours(lambda number: replace(FIRST_TOLD, **{kind: usual + number}))
    assert not wrong_in(passing)
    assert list(wrong_in(staying)) == [kind]


def test_a_task_that_leaks_is_named() -> None:
    def held(number: int) -> Held:
        return replace(FIRST_TOLD, tasks=12 + number, names={"measure": 1, "forgotten": number})

    assert "forgotten" in wrong_in(hours(held))["tasks"]


def test_a_backend_that_counts_no_tasks_is_not_taken_for_one_without_leaks() -> None:
    assert list(wrong_in(hours(lambda _: replace(FIRST_TOLD, tasks=None)))) == ["tasks"]


def test_a_few_series_that_come_late_are_no_leak_and_one_a_minute_is() -> None:
    assert not wrong_in(hours(series=lambda number: 250 + (MOST_SERIES_MORE - 1) * (number > 200)))
    assert list(wrong_in(hours(series=lambda number: 250 + number))) == ["labels"]


def test_a_worker_that_ended_by_itself_is_told() -> None:
    replaced = hours(lambda number: replace(FIRST_TOLD, pid=100 if number < 100 else 101))
    assert "1 ended meanwhile" in wrong_in(replaced)["processes"]


def test_without_quiet_moments_nothing_is_called_sound() -> None:
    assert list(wrong_in(hours(quiet=lambda number: number < 10))) == ["samples"]
