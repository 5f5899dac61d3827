"""What a ramp decides by, in Redis: who leads, its records, the books, whose turn it is.

The lease ends by the server's own clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain

from backend.rollout.books import Counts
from backend.rollout.store import MAX_TURNS, Turn
from backend.rollout.stores.redis_client import Word
from backend.rollout.stores.redis_link import RedisLink
from backend.rollout.stores.redis_scripts import ADD, KEEP, LEAD, RESIGN, TAKE_TURN
from backend.rollout.stores.words import turn_of

SERIALS_FORGOTTEN_AFTER_S = 86_400  # nobody sends again what is so old
TURNS_FORGOTTEN_AFTER_S = 86_400  # all of them, when no camera took one for so long


class RedisEvidence(RedisLink):
    # --- one leader ---------------------------------------------------------------------------------------

    def lead(self, worker: str, for_s: float) -> bool:
        return bool(self._run(LEAD, ["lease"], worker, max(1, round(for_s * 1000))))

    def resign(self, worker: str) -> None:
        self._run(RESIGN, ["lease"], worker)

    def record(self, name: str) -> str | None:
        text = self._ask("HGET", self._key("records"), name)
        return None if text is None else text.decode()

    def keep(self, name: str, text: str, leader: str) -> bool:
        return bool(self._run(KEEP, ["lease", "records"], leader, name, text))

    # --- evidence -----------------------------------------------------------------------------------------

    def add(self, book: str, counts: Counts, writer: str, serial: int) -> None:
        keys = [f"book:{book}", "books", f"serial:{len(book)}:{book}:{writer}"]
        pairs: Iterable[Word] = chain.from_iterable(counts.items())
        self._run(ADD, keys, book, serial, SERIALS_FORGOTTEN_AFTER_S, *pairs)

    def counts(self, book: str) -> Counts:
        counted = self._ask("HGETALL", self._key(f"book:{book}"))
        with self._redis():
            return {name.decode(): int(count) for name, count in counted.items()}

    def books(self) -> tuple[str, ...]:
        return tuple(sorted(name.decode() for name in self._ask("SMEMBERS", self._key("books"))))

    def forget_books(self, prefixes: Sequence[str]) -> None:
        gone = [name for name in self.books() if not name.startswith(tuple(prefixes))]
        if gone:
            counters = [self._key(f"book:{name}") for name in gone]
            self._ask_together(("SREM", self._key("books"), *gone), ("DEL", *counters))

    def turn(self, name: str) -> Turn | None:
        text = self._ask("HGET", self._key("turns"), name)
        with self._redis():
            return None if text is None else _turn(text)

    def take_turn(self, name: str, turn: Turn, expected_at: float | None) -> bool:
        expected = "" if expected_at is None else _number(expected_at)
        seen = json.dumps([list(box) for box in turn.seen])
        limits = MAX_TURNS, TURNS_FORGOTTEN_AFTER_S
        taken = self._run(TAKE_TURN, ["turns", "turns_at"], name, _number(turn.at), seen, expected, *limits)
        return bool(taken)

    def _turns(self) -> Iterable[tuple[str, Turn]]:
        kept = self._ask("HGETALL", self._key("turns"))
        with self._redis():
            return [(name.decode(), _turn(text)) for name, text in sorted(kept.items())]


def _turn(text: bytes) -> Turn:
    at, _, seen = text.partition(b" ")
    return turn_of(float(at), json.loads(seen))


def _number(at: float) -> str:
    """The same number always gives the same text, by which Redis compares."""
    return repr(float(at))
