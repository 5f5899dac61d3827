"""The store of a fleet: one Redis that the backends of all machines use.

Everything stands under one prefix. `changes` only ever grows, each begins with its version; `stamp` is
another one after every change of what is obeyed, and whoever listens is told; `schema` is the least that a reader must
know to use all this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any
from uuid import uuid4

from backend.rollout.quota import Quota
from backend.rollout.store import Beat, Change, HasContent, Snapshot, StoreAway
from backend.rollout.stores.dump import (
    Kept,
    KeptBook,
    KeptQuota,
    KeptRecord,
    KeptSample,
    KeptTurn,
    kept_of,
    row_of,
)
from backend.rollout.stores.redis_client import Word
from backend.rollout.stores.redis_evidence import RedisEvidence
from backend.rollout.stores.redis_samples import RedisSamples
from backend.rollout.stores.redis_scripts import BEAT, FILL, PUBLISH, WRITE
from backend.rollout.stores.words import (
    beat_from,
    beat_text,
    change_from,
    change_text,
    quota_from,
    quota_text,
)

READER = 1  # the newest `schema` that this Crossfade can use, and what it writes
FORGOTTEN_AFTER_S = 600  # a worker that ended without a word
CHANGES_AT_ONCE = 100
WAITS_S = 600  # a history that is being loaded

_FLAGS = ("changes", "stamp", "schema")


class RedisStore(RedisEvidence, RedisSamples):
    """Used from one thread at a time."""

    _stamp: bytes | None = b"not asked yet"

    def changed(self) -> bool:
        before, self._stamp = self._stamp, self._ask("GET", self._key("stamp"))
        return before != self._stamp

    def read(self) -> Snapshot:
        if self._ahead_s is None:
            self._look_at_clock()
        last, quotas, schema = self._ask_together(
            ("ZREVRANGE", self._key("changes"), 0, 0),
            ("HGETALL", self._key("quotas")),
            ("GET", self._key("schema")),
        )
        with self._redis():
            self._require_known(int(schema or 0))
            return Snapshot(_change(last[0]) if last else None, _quotas(quotas))

    def write(self, change: Change, expected: int | None) -> bool:
        wanted = "" if expected is None else expected
        words = _text(change), wanted, uuid4().hex, READER, self._channel, change.version
        done = self._run(WRITE, _FLAGS, *words)
        if done < 0:
            self._require_known(READER + 1)
        return bool(done)

    def _require_known(self, schema: int) -> None:
        if schema > READER:
            raise StoreAway(
                f"The store {self.name} was made by a newer Crossfade "
                f"(schema {schema} or later; this one knows {READER})."
            )

    def history(self, limit: int, before: int | None = None) -> tuple[Change, ...]:
        under = "+inf" if before is None else f"({before}"
        newest = self._ask("ZREVRANGEBYSCORE", self._key("changes"), under, "-inf", "LIMIT", 0, limit)
        with self._redis():
            return tuple(_change(text) for text in newest)

    def beat(self, beat: Beat) -> float | None:
        self._look_at_clock()
        when = repr(beat.at), repr(beat.at - FORGOTTEN_AFTER_S), FORGOTTEN_AFTER_S
        before = self._run(BEAT, ["beats", "beats_at"], beat.worker, beat_text(beat), *when)
        with self._redis():
            return None if before is None else beat_from(beat.worker, before).at

    def forget(self, worker: str) -> None:
        beats, beats_at = self._key("beats"), self._key("beats_at")
        self._ask_together(("HDEL", beats, worker), ("ZREM", beats_at, worker))

    def beats(self) -> tuple[Beat, ...]:
        kept = self._ask("HGETALL", self._key("beats"))
        with self._redis():
            found = [beat_from(worker.decode(), text) for worker, text in kept.items()]
            return tuple(sorted(found, key=lambda beat: beat.worker))

    def publish(self, quotas: Mapping[str, Quota]) -> None:
        pairs = chain.from_iterable((name, quota_text(quota)) for name, quota in quotas.items())
        self._run(PUBLISH, ["quotas", "stamp"], uuid4().hex, self._channel, *pairs)

    # --- as a whole ---------------------------------------------------------------------------------------

    def dump(self) -> Iterator[dict[str, Any]]:
        """Each row as of its own moment; what is added meanwhile may be among them or not."""
        return map(row_of, self._everything())

    def _everything(self) -> Iterator[Kept]:
        yield from self._all_changes()
        quotas, records = self._ask_together(
            ("HGETALL", self._key("quotas")), ("HGETALL", self._key("records"))
        )
        with self._redis():
            named = sorted(_quotas(quotas).items())
        yield from (KeptQuota(*one) for one in named)
        yield from (KeptRecord(name.decode(), text.decode()) for name, text in sorted(records.items()))
        yield from (KeptBook(name, self.counts(name)) for name in self.books())
        yield from (KeptTurn(*one) for one in self._turns())
        yield from (KeptSample(*one) for one in self._all_samples())

    def _all_changes(self) -> Iterator[Change]:
        start = 0
        while page := self._ask("ZRANGE", self._key("changes"), start, start + CHANGES_AT_ONCE - 1):
            with self._redis():
                changes = [_change(text) for text in page]
            yield from changes
            start += len(page)

    def load(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """All of it is looked at before the first is written, and the changes come last and at once: before them,
        nobody takes the store for one with content."""
        if self._ask("EXISTS", self._key("changes")):
            raise self._has_content()
        with self._redis():
            everything = [kept_of(row) for row in rows]
        for kept in everything:
            if not isinstance(kept, Change):
                self._put(kept)
        if changes := [kept for kept in everything if isinstance(kept, Change)]:
            self._fill(changes)

    def _fill(self, changes: Sequence[Change]) -> None:
        """A long history takes longer than a Redis is waited for: it comes in pieces, under a name that is forgotten
        if this ends in the midst of it, and is there at once."""
        waiting = f"changes-{uuid4().hex}"
        for first in range(0, len(changes), CHANGES_AT_ONCE):
            pairs: list[Word] = []
            for change in changes[first : first + CHANGES_AT_ONCE]:
                pairs += [change.version, _text(change)]
            self._ask_together(("ZADD", self._key(waiting), *pairs), ("EXPIRE", self._key(waiting), WAITS_S))
        if not self._run(FILL, (*_FLAGS, waiting), uuid4().hex, READER, self._channel):
            raise self._has_content()

    def _has_content(self) -> HasContent:
        return HasContent(f"The store {self.name} has content already; it stays as it is.")

    def _put(self, kept: Kept) -> None:
        match kept:
            case KeptQuota(detector, quota):
                self._ask("HSET", self._key("quotas"), detector, quota_text(quota))
            case KeptRecord(name, text):
                self._ask("HSET", self._key("records"), name, text)
            case KeptBook(name, counts) if counts:
                pairs: Iterable[Word] = chain.from_iterable(counts.items())
                book = self._key(f"book:{name}")
                self._ask_together(("DEL", book), ("HSET", book, *pairs), ("SADD", self._key("books"), name))
            case KeptTurn(name, turn):
                last = self.turn(name)
                self.take_turn(name, turn, last.at if last else None)
            case KeptSample(sample, picture):
                self._put_sample(sample, picture)


def _text(change: Change) -> str:
    return f"{change.version} {change_text(change)}"


def _change(text: bytes) -> Change:
    return change_from(text.partition(b" ")[2])


def _quotas(kept: Mapping[bytes, bytes]) -> dict[str, Quota]:
    return {name.decode(): quota_from(text) for name, text in kept.items()}
