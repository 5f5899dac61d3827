"""How much a batch asks for at once of a server whose capacity is known, and how patient it is. No clock runs."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from backend.batch.asking import Later
from backend.batch.patience import MOST_S, TRIES, Heard, Patience, Verdict
from backend.batch.throttle import CROWDED, Adaptive, Throttle

ALONE_S = 0.02


@dataclass
class Server:
    """Answers a call in ALONE_S, `wide` at once; what is more waits in line, beyond `places` it is turned away."""

    wide: int
    places: int = 10_000
    others: Callable[[float], int] = lambda _: 0  # of other callers, in the line all the time
    now_s: float = 0.0
    under_way: list[tuple[float, float]] = field(default_factory=list)  # until, since
    answered: int = 0
    turned_away: int = 0
    most: int = 0

    def run(self, throttle: Throttle, until_s: float) -> None:
        while self.now_s < until_s:
            while len(self.under_way) < throttle.limit:
                if not self._take():
                    throttle.turned_away(self.now_s, self.now_s)
                    break
            self.most = max(self.most, len(self.under_way))
            self.now_s, since_s = heapq.heappop(self.under_way)
            self.answered += 1
            throttle.answered(since_s, self.now_s)

    def _take(self) -> bool:
        beside = len(self.under_way) + self.others(self.now_s)
        if beside >= self.places:
            self.turned_away += 1
            return False
        took_s = ALONE_S * max(1.0, (beside + 1) / self.wide)
        heapq.heappush(self.under_way, (self.now_s + took_s, self.now_s))
        return True


def settled(server: Server, throttle: Adaptive, seconds: float = 30.0) -> float:
    """Answers per second once it has found its place."""
    server.run(throttle, server.now_s + seconds)
    before, began_s = server.answered, server.now_s
    server.run(throttle, began_s + seconds)
    return (server.answered - before) / (server.now_s - began_s)


@pytest.mark.parametrize("wide", [1, 3, 8, 40])
def test_a_server_is_kept_busy_however_many_it_answers_at_once(wide: int) -> None:
    server, throttle = Server(wide), Adaptive(0.0)
    assert settled(server, throttle) > 0.9 * wide / ALONE_S
    assert throttle.limit <= CROWDED * wide + 1


def test_what_brings_no_more_answers_is_not_asked_for() -> None:
    server, throttle = Server(1), Adaptive(0.0)
    settled(server, throttle)
    assert server.most <= CROWDED + 1


def test_it_is_turned_away_seldom_and_every_time_asks_for_half() -> None:
    server, throttle = Server(wide=64, places=20), Adaptive(0.0)
    rate = settled(server, throttle)
    print(
        f"{server.turned_away} turned away beside {server.answered} answers, {rate:.0f}/s of {20 / ALONE_S:.0f}"
    )
    assert server.turned_away < 0.01 * server.answered
    assert rate > 0.6 * 20 / ALONE_S
    limit = throttle.limit
    throttle.turned_away(server.now_s, server.now_s)
    assert throttle.limit == max(1, limit // 2)


def test_of_one_crowd_that_is_turned_away_only_the_first_counts() -> None:
    throttle = Adaptive(0.0)
    settled(Server(wide=32), throttle)
    limit, now_s = throttle.limit, 100.0
    for _ in range(5):
        throttle.turned_away(now_s, now_s + 0.1)
    assert throttle.limit == limit // 2


def test_it_yields_to_others_and_takes_the_room_again_when_they_are_gone() -> None:
    others_at = (60.0, 120.0)
    server = Server(4, others=lambda now_s: 40 if others_at[0] <= now_s < others_at[1] else 0)
    throttle = Adaptive(0.0)
    server.run(throttle, others_at[0])
    alone = throttle.limit
    server.run(throttle, others_at[1])
    beside = throttle.limit
    server.run(throttle, 240.0)
    print(f"at once: {alone} alone, {beside} beside 40 others, {throttle.limit} when they are gone")
    assert alone >= 4
    assert beside == 1
    assert throttle.limit >= 4


def test_a_model_that_became_slower_for_good_is_believed_in_the_end() -> None:
    throttle, server = Adaptive(0.0), Server(8)
    server.run(throttle, 60.0)
    server.others = lambda _: 56  # nobody can tell it from a server that is so much slower
    server.run(throttle, 120.0)
    assert throttle.limit == 1
    server.run(throttle, 3000.0)
    assert throttle.limit > 1


# --- patience ---------------------------------------------------------------------------------------------

BUSY = Later("full", 503, after_s=2.0)
AWAY = Later("cannot be reached")
LATE = Later("the deadline passed", 504)


def verdicts(later: Later, heard_every_s: float | None, until_s: float, patience_s: float = 60.0) -> Verdict:
    """Of a picture that is put off every second; others are answered meanwhile, or nobody is."""
    heard = Heard(0.0)
    patience = Patience(heard, 0.5, patience_s)
    now_s = 0.5
    while now_s < until_s:
        if heard_every_s and now_s - heard.at_s >= heard_every_s:
            heard.at_s = now_s
        if (verdict := patience.verdict(later, now_s)) is not Verdict.AGAIN:
            return verdict
        now_s += 1.0
    return Verdict.AGAIN


@pytest.mark.parametrize("later", [BUSY, AWAY, LATE], ids=["busy", "away", "late"])
def test_a_backend_that_answers_nothing_is_waited_for_and_no_picture_pays_for_it(later: Later) -> None:
    assert verdicts(later, None, 59.0) is Verdict.AGAIN
    assert verdicts(later, None, 70.0) is Verdict.AWAY


def test_no_place_is_no_error_while_patience_lasts_and_one_that_may_pass_after() -> None:
    assert verdicts(BUSY, 2.0, 59.0) is Verdict.AGAIN
    assert verdicts(BUSY, 2.0, 70.0) is Verdict.FAILED


def test_a_picture_that_alone_is_never_answered_is_given_up_after_some_tries() -> None:
    assert verdicts(LATE, 1.0, TRIES - 1.0) is Verdict.AGAIN
    assert verdicts(LATE, 1.0, TRIES + 2.0) is Verdict.FAILED


def test_the_pause_is_what_the_backend_says_at_least_and_grows_where_it_says_nothing() -> None:
    patience = Patience(Heard(0.0), 0.0, 60.0)
    pauses = []
    for _ in range(12):
        patience.verdict(AWAY, 0.0)
        pauses.append(patience.pause_s(AWAY, lambda: 1.0))
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.5
    assert pauses[-1] == MOST_S
    assert Patience(Heard(0.0), 0.0, 60.0, tries=1).pause_s(BUSY, lambda: 0.0) == 2.0
