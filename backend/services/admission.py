"""How many calls a side is given at once, and who yields when there are not enough places.

Places are given in rounds. A round lasts until every camera that was turned away, and still asks, has had its turn; a
camera that had its own yields to those meanwhile. So however often a camera asks, it gets no more turns than the others
while they want them; and places that nobody else wants are anybody's. A camera that asks too seldom to be in line is
helped by a reserve, which is kept, once one such was turned away, from those that were served a moment ago.

Camera names are the callers' and may be invented. A name that was never heard before shares its turns with all others
of its kind: a caller with a new name for each request gets one camera's share, and crowds nobody out of the memory,
which keeps names heard twice apart from those heard once (so a new camera has turns of its own when it comes back). A
caller with thousands of names, each used again and again, gets thousands of cameras' shares: nobody can tell him from
thousands of cameras.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, TypeVar

Clock = Callable[[], float]
Refusal = Literal["full", "share"]
Value = TypeVar("Value", int, float)

PATIENCE_S = 2.0  # a camera that was turned away is waited for; who is told to come back in 1 s is in time
ROUND_S = 1.0  # the length of a round in which nobody is waited for
RESERVED_S = 60.0  # the reserve is kept so long after it was last needed
MOST_RESERVED = 1 / 4  # of the places
REMEMBERED = 4096  # names of each kind

_NEVER = -2  # a round before every other
_STRANGERS = "\0strangers"  # one camera, as far as turns go


class Admission:
    def __init__(self, limit: int, clock: Clock = time.monotonic) -> None:
        self.count = 0
        self.limit, self._clock = limit, clock
        self._held: dict[str, int] = {}  # camera → its places
        self._cameras = _Cameras()
        self._turns = _Turns()
        self._reserve = 0  # places that are kept for those who ask seldom
        self._reserved_until = -math.inf

    def refusal(self, camera: str, places: int | None = None) -> Refusal | None:
        """Why not, if it cannot have a place; `places`: all that there are just now, where less than the limit."""
        now = self._clock()
        places = self.limit if places is None else min(places, self.limit)
        free = places - self.count
        self._turns.look(now)
        who = self._cameras.heard(camera, self._turns.round)
        if free >= self._needed(who, free, places, now):
            return None
        self._turns.turned_away(who, self._cameras.served_in(who), now)
        return "full" if free <= 0 else "share"

    def enter(self, camera: str) -> None:
        self.count += 1
        self._held[camera] = self._held.get(camera, 0) + 1
        who = self._cameras.served(camera, self._turns.round)
        self._turns.served(who)

    def leave(self, camera: str) -> None:
        """KeyError for one that has no place: a count that drifts would open the door wider, or shut it for ever."""
        left = self._held.pop(camera) - 1
        if left:
            self._held[camera] = left
        self.count -= 1

    def _needed(self, who: str, free: int, places: int, now: float) -> int:
        """So many places must be free for this one to get one of them."""
        if now >= self._reserved_until:
            self._reserve = 0
        rounds_ago = self._turns.round - self._cameras.served_in(who)
        if rounds_ago > 1:
            self._keep_for_the_seldom(free, places, now)
            return 1
        waiting = self._turns.waiting if rounds_ago == 0 else 0
        return 1 + self._reserve + min(waiting, places // 2)  # to wait for all would leave the side idle

    def _keep_for_the_seldom(self, free: int, places: int, now: float) -> None:
        """One place more whenever one of them found none, as long as there is need for it now and then."""
        if free <= 0:
            self._reserve = min(self._reserve + 1, int(places * MOST_RESERVED))
        if free <= self._reserve:
            self._reserved_until = now + RESERVED_S


class _Turns:
    """Rounds: who is waited for in this one, and who will be in the next."""

    def __init__(self) -> None:
        self.round = 0
        self._began_at = -math.inf
        self._line: OrderedDict[str, float] = OrderedDict()  # camera → when it was turned away last
        self._next_line: OrderedDict[str, float] = OrderedDict()

    @property
    def waiting(self) -> int:
        return len(self._line)

    def look(self, now: float) -> None:
        """Nobody is waited for in vain, and with nobody left to wait for the next round begins."""
        _drop_before(self._line, now - PATIENCE_S)
        _drop_before(self._next_line, now - PATIENCE_S)
        if not self._line and (self._next_line or now - self._began_at >= ROUND_S):
            self.round += 1
            self._began_at = now
            self._line, self._next_line = self._next_line, self._line

    def turned_away(self, who: str, served_in: int, now: float) -> None:
        line = self._next_line if served_in == self.round else self._line
        _put_last(line, who, now)

    def served(self, who: str) -> None:
        self._line.pop(who, None)
        self._next_line.pop(who, None)


class _Cameras:
    """The round that each was served in last. Names heard once are kept apart, and count as one camera together."""

    def __init__(self) -> None:
        self._served_in: OrderedDict[str, int] = OrderedDict()
        self._heard_once: OrderedDict[str, int] = OrderedDict()
        self._strangers_served_in = _NEVER

    def heard(self, camera: str, in_round: int) -> str:
        if camera in self._served_in:
            self._served_in.move_to_end(camera)
        elif self._heard_once.pop(camera, None) is not None:
            _put_last(
                self._served_in, camera, in_round
            )  # as if served: a name used twice wins nothing either
        else:
            _put_last(self._heard_once, camera, in_round)
            return _STRANGERS
        return camera

    def served(self, camera: str, in_round: int) -> str:
        if camera in self._served_in:
            self._served_in[camera] = in_round
            return camera
        self._strangers_served_in = in_round
        return _STRANGERS

    def served_in(self, who: str) -> int:
        return self._served_in.get(who, self._strangers_served_in)


def _put_last(names: OrderedDict[str, Value], name: str, value: Value) -> None:
    names[name] = value
    names.move_to_end(name)
    if len(names) > REMEMBERED:
        names.popitem(last=False)


def _drop_before(line: OrderedDict[str, float], time_s: float) -> None:
    while line and next(iter(line.values())) < time_s:
        line.popitem(last=False)
