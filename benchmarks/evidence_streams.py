"""Streams of samples as an installation may make them: rows of −1, 0 and 1, each row a ramp of its own.

Every one takes a generator of random numbers and how many rows are wanted. A mean, where one is given, is the mean of a
sample given all that went before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from backend.ramp.evidence import Array
from backend.rollout.books import FRESH_LEGACY
from benchmarks.evidence_looks import Numbers, Streams

Random = np.random.Generator

BASELINE = 400  # legacy's times before the ramp …
SLOW = 391  # … of which this one, by length, is θ
_BIN = 0.02  # of a time: how wide the bins of `books` are
_NOTHING = np.int8(2)  # no sample here; packed away before anybody looks


def coins(random: Random, rows: int, samples: int, rate: float | Array) -> Streams:
    return (random.random((rows, samples), dtype=np.float32) < rate).astype(np.int8)


def noisy(random: Random, rows: int, samples: int, mean: float, noise: float) -> Streams:
    """Legacy itself answers otherwise the second time, at the rate `noise`: then X is −1, unless Triton does too."""
    drawn = random.random((rows, samples), dtype=np.float32)
    return (drawn < noise + mean).astype(np.int8) - (drawn > 1 - noise).astype(np.int8)


def late_fault(random: Random, rows: int, healthy: int, faulty: int, rates: tuple[float, float]) -> Streams:
    parts = [coins(random, rows, healthy, rates[0]), coins(random, rows, faulty, rates[1])]
    return np.concatenate(parts, axis=1)


# --- scenes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Street:
    cameras: int = 4
    seconds: int = 3600
    scene_s: float = 60.0  # a scene stands so long, on average; every picture of it gives the same X
    gap_s: int = 5


def static_scenes(
    random: Random, rows: int, rate: float, street: Street, *, independent: bool, samples: int
) -> Streams:
    """One picture a second from each camera: each is a sample, or only what the rule of independence lets pass."""
    shape = (rows, street.cameras, street.seconds)
    scene = (random.random(shape, dtype=np.float32) < 1 / street.scene_s).cumsum(axis=2, dtype=np.int32)
    is_bad = random.random((rows, street.cameras, int(scene.max()) + 1)) < rate
    said = np.take_along_axis(is_bad, scene, axis=2).astype(np.int8)
    if independent:
        said[~_passed(scene, street.gap_s)] = _NOTHING
    return _packed(said.swapaxes(1, 2).reshape(rows, -1), samples)


def _passed(scene: NDArray[np.int32], gap_s: int) -> NDArray[np.bool_]:
    """A camera gives a new sample when the gap is over and its scene is not the one of its last sample."""
    passed = np.zeros(scene.shape, dtype=bool)
    last_scene = np.full(scene.shape[:2], -1)
    last_at = np.full(scene.shape[:2], -gap_s)
    for second in range(scene.shape[2]):
        now = (second - last_at >= gap_s) & (scene[:, :, second] != last_scene)
        passed[:, :, second] = now
        last_scene[now], last_at[now] = scene[:, :, second][now], second
    return passed


def _packed(said: Streams, samples: int) -> Streams:
    """The first samples of each row: so many as are wanted, or as the shortest row has."""
    is_none = said == _NOTHING
    samples = min(samples, int((~is_none).sum(axis=1).min()))
    order = np.argsort(is_none, axis=1, kind="stable")[:, :samples]
    return np.asarray(np.take_along_axis(said, order, axis=1))


# --- times ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bursts:
    """Requests come in bursts, and whether they are slow hangs together: a wave goes through the log of the times."""

    requests: int = 20  # of a burst
    between_s: float = 0.4  # bursts, on average
    wave_s: float = 0.2  # after so long, a third of the wave is left
    share: float = 0.7  # of the variance that is the wave's


def bursts(random: Random, rows: int, samples: int, limit: float, how: Bursts, gap_s: float) -> Streams:
    """X = 1 where a standard normal time is over the limit. `gap_s` 0: every request is a sample."""
    each = how.requests if not gap_s else 1
    number = samples if gap_s else -(-samples // each)
    wave = _wave(random, rows, number, how, gap_s)
    own = random.standard_normal((rows, number, each), dtype=np.float32)
    time = np.sqrt(how.share) * wave[..., None] + np.sqrt(1 - how.share) * own
    return np.asarray((time > limit).reshape(rows, -1)[:, :samples], dtype=np.int8)


def _wave(random: Random, rows: int, number: int, how: Bursts, gap_s: float) -> Array:
    """At each burst, or at the first burst that comes when the gap is over."""
    pause_s = gap_s + random.exponential(how.between_s, (rows, number))
    left = np.exp(-pause_s / how.wave_s)
    wave = np.empty((rows, number))
    wave[:, 0] = random.standard_normal(rows)
    for one in range(1, number):
        fresh = random.standard_normal(rows)
        wave[:, one] = left[:, one] * wave[:, one - 1] + np.sqrt(1 - left[:, one] ** 2) * fresh
    return wave


@dataclass(frozen=True, slots=True)
class Times:
    """Log-normal times, of median 1."""

    spread: float = 0.25  # of the logarithm: p95 is 1.5 times the median
    slower: float = 1.0  # Triton's median
    moving: float = 1.0  # legacy's median at the end, when load has moved off it; 1 at the start


def over_frozen(random: Random, rows: int, samples: int, times: Times) -> Streams:
    """Triton's times over θ, the 391st of 400 of legacy before the ramp; whole bins, as they are counted."""
    baseline = np.sort(_bins(times.spread * random.standard_normal((rows, BASELINE))), axis=1)
    limit = baseline[:, SLOW - 1, None]
    drawn = random.standard_normal((rows, samples), dtype=np.float32)
    return np.asarray(_bins(np.log(times.slower) + times.spread * drawn) > limit, dtype=np.int8)


def over_rolling(random: Random, rows: int, samples: int, times: Times, window: int = 400) -> Streams:
    """What not to do: over the p95 of legacy's last times, while legacy becomes faster as its load moves away."""
    faster = np.linspace(0, np.log(times.moving), samples)
    legacy = faster + times.spread * random.standard_normal((rows, samples))
    before = times.spread * random.standard_normal((rows, window))
    all_of_them = np.concatenate([before, legacy], axis=1)
    triton = np.log(times.slower) + times.spread * random.standard_normal((rows, samples))
    over = np.zeros((rows, samples), dtype=np.int8)
    for start in range(0, samples, 20):
        limit = np.quantile(all_of_them[:, start : start + window], 0.95, axis=1)
        over[:, start : start + 20] = triton[:, start : start + 20] > limit[:, None]
    return over


def over_fresh(random: Random, rows: int, samples: int, times: Times) -> Streams:
    """One time of Triton against 19 of legacy that no other is held against: slower than all of them?"""
    faster = np.linspace(0, np.log(times.moving), samples, dtype=np.float32)
    # The longest of 19 is drawn at once, by its distribution: the 19th root of an even number between 0 and 1.
    even = random.random((rows, samples)) ** (1 / FRESH_LEGACY)
    slowest = faster + times.spread * _normal(even)
    triton = np.log(times.slower) + times.spread * random.standard_normal((rows, samples))
    return np.asarray(triton > slowest, dtype=np.int8)


def _bins(log_time: Array) -> Array:
    return np.asarray(np.ceil(log_time / np.log1p(_BIN)))


def _normal(even: Array) -> Array:
    return np.asarray(ndtri(even))


# --- what is lost, and several workers ------------------------------------------------------------------------


def dropped(random: Random, streams: Streams, *, bad: float, good: float) -> Streams:
    """Samples are lost at these rates, by what they would have said."""
    lost = random.random(streams.shape, dtype=np.float32) < np.where(streams == 1, bad, good)
    return _packed(np.where(lost, _NOTHING, streams), streams.shape[1])


def batches(random: Random, streams: Streams, workers: int, away: float) -> Numbers:
    """The samples dealt out to workers, which add what they counted once a look, or are away and add it later.

    Streams × looks × (worse, same, better).
    """
    rows, samples = streams.shape
    mine = random.integers(workers, size=(rows, samples))
    seen_at = np.minimum(np.arange(samples) // workers, samples // workers - 1)
    added_at = np.empty((rows, samples), dtype=np.int64)
    for worker in range(workers):
        is_there = random.random((rows, samples // workers)) > away
        is_there[:, -1] = True
        comes = _next_true(is_there)[:, seen_at]
        added_at = np.where(mine == worker, comes, added_at)
    table = np.zeros((rows, samples // workers, 3), dtype=np.int64)
    kind = np.array([1, 0, 2])[streams.astype(int)]  # 0 is `same`, 1 `worse`, −1 the last one
    np.add.at(table, (np.arange(rows)[:, None], added_at, kind), 1)
    return table


def _next_true(is_there: NDArray[np.bool_]) -> Numbers:
    """Of each look the one, from it on, at which the worker adds."""
    numbers = np.where(is_there, np.arange(is_there.shape[1]), is_there.shape[1])
    return np.asarray(np.minimum.accumulate(numbers[:, ::-1], axis=1)[:, ::-1])
