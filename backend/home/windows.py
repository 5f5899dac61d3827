"""What happened between two looks: how many pictures were asked for, how many were looked at, and how fast. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from backend.home.look import OK, Counts, Look

MINUTE_S = 60.0
LONGEST_S = 600.0  # a look is kept so long
LEAST_ASKED = 3  # pictures of which none was looked at: one that is late blinds nobody
LEAST_SHARE = 0.2  # of the pictures that could be looked at; a ramp's usual steps are 0.1 and 0.25
_OF_THE_CALLER = "refused"  # nobody could look at it: no error of ours, and blind is who is sent nothing else


@dataclass(frozen=True, slots=True)
class Window:
    seconds: float
    outcomes: Mapping[str, int]  # of this time, without those that are none
    durations: tuple[int, ...] = ()
    edges_s: tuple[float, ...] = ()

    @property
    def asked(self) -> int:
        """Pictures that could have been looked at."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != _OF_THE_CALLER)

    @property
    def sent(self) -> int:
        return sum(self.outcomes.values())

    @property
    def looked(self) -> int:
        return self.outcomes.get(OK, 0)

    @property
    def is_seen(self) -> bool:
        return self.looked > 0 and self.looked >= LEAST_SHARE * self.asked

    @property
    def is_unseen(self) -> bool:
        return self.sent >= LEAST_ASKED and not self.is_seen

    @property
    def unanswered(self) -> Mapping[str, int]:
        return {name: count for name, count in self.outcomes.items() if name not in (OK, _OF_THE_CALLER)}

    def quantile_s(self, share: float) -> float | None:
        """As Prometheus does it: evenly within a bucket, and no more than the last edge. None where nobody answered."""
        total = self.durations[-1] if self.durations else 0
        if not total:
            return None
        rank, edges = share * total, (0.0, *self.edges_s)
        for (low, high), (below, within) in zip(
            pairwise(edges), pairwise((0, *self.durations)), strict=False
        ):
            if within >= rank and within > below:
                return low + (high - low) * (rank - below) / (within - below)
        return edges[-1]


def kept(looks: Sequence[Look], newest: Look) -> tuple[Look, ...]:
    """The looks that say something of now. Where the backend began anew its counters go on from where they were."""
    young = [look for look in looks if newest.at_s - look.at_s <= LONGEST_S]
    told = next((look for look in reversed(young) if look.counts), None)
    if told is None or not _began_anew(told, newest):
        return (*young, newest)
    return (*(_before(told, look) for look in young), replace(newest, began_anew=True))


def last_minute(detector: str, looks: Sequence[Look]) -> Window | None:
    """Or less, where nobody has looked so long."""
    found = None
    for found in _windows(detector, looks):
        if found.seconds >= MINUTE_S:
            break
    return found


def newest_interval(detector: str, looks: Sequence[Look]) -> Window | None:
    return next(_windows(detector, looks), None)


def long_enough(detector: str, looks: Sequence[Look]) -> Window | None:
    """The last minute, or as much more as it takes to hold some pictures: some cameras ask once in a while."""
    found = None
    for found in _windows(detector, looks):
        if found.seconds >= MINUTE_S and found.sent >= LEAST_ASKED:
            break
    return found


def _windows(detector: str, looks: Sequence[Look]) -> Iterator[Window]:
    """From each look that counted to the newest one, the shortest first; none where the newest did not."""
    if not looks or (now := looks[-1].counts.get(detector)) is None:
        return
    for look in reversed(looks[:-1]):
        if (then := look.counts.get(detector)) is not None:
            yield _between(then, now, looks[-1].at_s - look.at_s, looks[-1].edges_s)


def _between(then: Counts, now: Counts, seconds: float, edges_s: tuple[float, ...]) -> Window:
    grown = now.less(then)
    outcomes = {name: count for name, count in grown.outcomes.items() if count}
    return Window(seconds, outcomes, grown.durations, edges_s)


def _before(told: Look, look: Look) -> Look:
    """This look, as those that count from `told` on would have it: less than nought, in most."""
    anew = {name: counts.less(told.counts.get(name, counts)) for name, counts in look.counts.items()}
    return replace(look, counts=anew)


def _began_anew(before: Look, now: Look) -> bool:
    return any(
        counts.fell_below(before.counts[name]) for name, counts in now.counts.items() if name in before.counts
    )
