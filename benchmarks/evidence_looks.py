"""Looks at many streams of samples at once, after every sample or batch, with the bets of `backend.ramp.evidence`.

A stream is a row of −1, 0 and 1. What `Looks` says of a row is what `well` and `ill` say of it, look by look:
tests/unit/test_evidence_simulated.py compares them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from backend.ramp.evidence import BETS, BLOCK, Array, Asked, Bets, kept, log_sum

Streams = NDArray[np.int8]
Numbers = NDArray[np.int64]

NEVER = np.iinfo(np.int64).max
_CHUNK = 200_000  # so many looks at once: bounded memory
_Z_FROM = 30  # samples: nobody trusts a z-test with fewer


@dataclass(frozen=True, slots=True)
class Looked:
    """Of each stream: how high the evidence ever was (ln), and after which sample it first reached the threshold."""

    highest: Array
    first: Numbers  # NEVER where it did not

    @property
    def reached(self) -> int:
        return int((self.first < NEVER).sum())


def at_well(bets: Bets, streams: Streams, threshold: float) -> Looked:
    """After every sample. This evidence falls only with a sample that is worse: it was highest before one."""
    before_fall = np.zeros(streams.shape, dtype=bool)
    before_fall[:, :-1] = streams[:, 1:] == 1
    before_fall[:, -1] = True
    values = np.full(streams.shape, -np.inf, dtype=np.float32)
    totals = _totals(streams)
    for rows, columns in _chunks(before_fall):
        values[rows, columns] = bets.mixed(bets.sums(totals[rows, columns].astype(float)))
    first = _first(values >= threshold)
    return Looked(values.max(axis=1).astype(float), _earlier(bets, totals, first, threshold))


def _earlier(bets: Bets, totals: NDArray[np.int32], first: Numbers, threshold: float) -> Numbers:
    """From the end of a rise that reached the threshold back to the sample that did, by halving."""
    rows = np.flatnonzero(first < NEVER)
    high = first[rows] - 1
    low = np.full(len(rows), -1)
    while np.any(high - low > 1):
        middle = np.maximum((low + high) // 2, 0)
        counts = totals[rows, middle].astype(float)
        still_rising = counts[:, 0] == totals[rows, high, 0]
        enough = still_rising & (bets.mixed(bets.sums(counts)) >= threshold)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    found = first.copy()
    found[rows] = high + 1
    return found


def at_ill(bets: Bets, streams: Streams, threshold: float, *, restarts: bool = True) -> Looked:
    """After every sample. This evidence rises only with a sample that is worse: other looks are idle."""
    log_weights = np.log(bets.weights)
    sums = np.full((len(streams), BETS), math.log(0.5 if restarts else 1.0))
    looked = Looked(np.zeros(len(streams)), np.full(len(streams), NEVER))
    for number in range(math.ceil(streams.shape[1] / BLOCK)):
        block = streams[:, number * BLOCK : (number + 1) * BLOCK]
        to_come = kept(number) if restarts else 0.0
        totals = _totals(block)
        for rows, columns in _chunks(block == 1):
            inside = sums[rows] + bets.sums(totals[rows, columns].astype(float)) + log_weights
            values = np.logaddexp(log_sum(inside), math.log(to_come) if to_come else -np.inf)
            np.maximum.at(looked.highest, rows, values)
            reached = values >= threshold
            np.minimum.at(looked.first, rows[reached], number * BLOCK + columns[reached] + 1)
        sums = sums + bets.sums(totals[:, -1].astype(float))
        if restarts and number > 0 and (weight := kept(number) - kept(number + 1)):
            sums = np.logaddexp(sums, math.log(weight))
    return looked


def at_ill_in_batches(bets: Bets, batches: NDArray[np.int64], threshold: float) -> Looked:
    """After every batch, as counts arrive from several workers: streams × looks × (worse, same, better)."""
    log_weights = np.log(bets.weights)
    streams, looks, _ = batches.shape
    sums = np.full((streams, BETS), math.log(0.5))
    blocks, asked_so_far = np.zeros(streams, dtype=np.int64), np.zeros(streams, dtype=np.int64)
    looked = Looked(np.zeros(streams), np.full(streams, NEVER))
    for look in range(looks):
        sums = sums + bets.sums(batches[:, look].astype(float))
        asked_so_far += batches[:, look].sum(axis=1)
        now = asked_so_far // BLOCK
        to_come = np.where(blocks > 0, _kept(blocks), _kept(now))
        values = np.logaddexp(log_sum(sums + log_weights), np.log(to_come))
        np.maximum(looked.highest, values, out=looked.highest)
        looked.first[(values >= threshold) & (looked.first == NEVER)] = look + 1
        weight = np.where(blocks > 0, _kept(blocks) - _kept(now), 0.0)
        with np.errstate(divide="ignore"):
            sums = np.logaddexp(sums, np.log(weight)[:, None])
        blocks = now
    return looked


def at_well_in_batches(bets: Bets, batches: NDArray[np.int64], threshold: float) -> Looked:
    totals = batches.cumsum(axis=1)
    values = np.stack([bets.mixed(bets.sums(one.astype(float))) for one in totals.swapaxes(0, 1)], axis=1)
    return Looked(values.max(axis=1), _first(values >= threshold))


def _kept(blocks: Numbers) -> Array:
    return 1 / (np.maximum(blocks, 1) + 1.0)


# --- what not to do ---------------------------------------------------------------------------------------


def naive_well(asked: Asked, streams: Streams, alpha: float) -> int:
    """Streams in which an ordinary test at alpha, made again after each sample, ever says that all is well."""
    return _naive(asked, streams, alpha, -1)


def naive_ill(asked: Asked, streams: Streams, alpha: float) -> int:
    return _naive(asked, streams, alpha, 1)


def _naive(asked: Asked, streams: Streams, alpha: float, direction: int) -> int:
    """The exact binomial test (Clopper and Pearson's bound); where X may be −1, the z-test."""
    number = np.arange(1, streams.shape[1] + 1)
    worse = (streams == 1).cumsum(axis=1, dtype=np.int32)
    if asked.least == -1:
        return int(_z_says(asked, streams, worse, alpha, direction).any(axis=1).sum())
    if direction < 0:
        return int((worse <= binom.ppf(alpha, number, asked.bound) - 1).any(axis=1).sum())
    return int((worse > binom.isf(alpha, number, asked.bound)).any(axis=1).sum())


def _z_says(
    asked: Asked, streams: Streams, worse: NDArray[np.int32], alpha: float, direction: int
) -> NDArray[np.bool_]:
    number = np.arange(1, streams.shape[1] + 1)
    better = (streams == -1).cumsum(axis=1, dtype=np.int32)
    mean = (worse - better) / number
    spread = np.sqrt(np.maximum((worse + better) / number - mean**2, 1e-12) / number)
    says = direction * (mean - asked.bound) / spread > norm.isf(alpha)
    says[:, : _Z_FROM - 1] = False
    return np.asarray(says & (worse + better > 0))


# --- parts ------------------------------------------------------------------------------------------------


def _totals(streams: Streams) -> NDArray[np.int32]:
    values = np.array([1, 0, -1], dtype=np.int8)
    return np.asarray((streams[..., None] == values).cumsum(axis=1, dtype=np.int32))


def _chunks(wanted: NDArray[np.bool_]) -> Iterator[tuple[Numbers, Numbers]]:
    rows, columns = np.nonzero(wanted)
    for start in range(0, len(rows), _CHUNK):
        yield rows[start : start + _CHUNK], columns[start : start + _CHUNK]


def _first(said: NDArray[np.bool_]) -> Numbers:
    """Counted from 1."""
    return np.where(said.any(axis=1), said.argmax(axis=1) + 1, NEVER)
