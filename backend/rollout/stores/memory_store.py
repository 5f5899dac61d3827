"""The flags of one process, for a try and for tests: gone with it, but for the journal."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from backend.rollout.books import Counts
from backend.rollout.quota import Quota
from backend.rollout.store import MAX_TURNS, Beat, Change, HasContent, Sample, SampleLimits, Snapshot, Turn
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
from backend.rollout.stores.words import is_asked_for, sample_text

MAX_CHANGES = 10_000


class MemoryStore:
    """Used from any number of threads: workers of a test share one."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._wakes: list[Callable[[], None]] = []
        self._changes: list[Change] = []
        self._beats: dict[str, Beat] = {}
        self._quotas: dict[str, Quota] = {}
        self._lease: tuple[str, float] | None = None  # whose, and until when
        self._records: dict[str, str] = {}
        self._books: dict[str, Counter[str]] = {}
        self._serials: dict[tuple[str, str], int] = {}  # of a book and a writer
        self._turns: dict[str, Turn] = {}  # the one that was taken last is the last
        self._samples: dict[str, tuple[Sample, bytes]] = {}

    def changed(self) -> bool:
        return True

    def read(self) -> Snapshot:
        with self._lock:
            return Snapshot(self._changes[-1] if self._changes else None, dict(self._quotas))

    def write(self, change: Change, expected: int | None) -> bool:
        with self._lock:
            current = self._changes[-1].version if self._changes else None
            if current != expected:
                return False
            self._changes = [*self._changes, change][-MAX_CHANGES:]
        self._wake()
        return True

    def history(self, limit: int, before: int | None = None) -> tuple[Change, ...]:
        with self._lock:
            older = [one for one in self._changes if before is None or one.version < before]
        return tuple(older[::-1][:limit])

    def beat(self, beat: Beat) -> float | None:
        with self._lock:
            before = self._beats.get(beat.worker)
            self._beats[beat.worker] = beat
            return before.at if before else None

    def forget(self, worker: str) -> None:
        with self._lock:
            self._beats.pop(worker, None)

    def beats(self) -> tuple[Beat, ...]:
        with self._lock:
            return tuple(self._beats[worker] for worker in sorted(self._beats))

    def publish(self, quotas: Mapping[str, Quota]) -> None:
        with self._lock:
            self._quotas = dict(quotas)
        self._wake()

    def now(self) -> float:
        return self._clock()

    def subscribe(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()

    # --- one leader ---------------------------------------------------------------------------------------

    def lead(self, worker: str, for_s: float) -> bool:
        with self._lock:
            if not self._leads(worker) and self._lease is not None and self._clock() < self._lease[1]:
                return False
            self._lease = worker, self._clock() + for_s
            return True

    def resign(self, worker: str) -> None:
        with self._lock:
            if self._leads(worker):
                self._lease = None

    def record(self, name: str) -> str | None:
        return self._records.get(name)

    def keep(self, name: str, text: str, leader: str) -> bool:
        with self._lock:
            if not self._leads(leader):
                return False
            self._records[name] = text
            return True

    def _leads(self, worker: str) -> bool:
        return self._lease is not None and self._lease[0] == worker and self._clock() < self._lease[1]

    # --- evidence -----------------------------------------------------------------------------------------

    def add(self, book: str, counts: Counts, writer: str, serial: int) -> None:
        with self._lock:
            if serial <= self._serials.get((book, writer), -1):
                return
            self._serials[book, writer] = serial
            if counts:
                self._books.setdefault(book, Counter()).update(counts)

    def counts(self, book: str) -> Counts:
        with self._lock:
            return dict(self._books.get(book, {}))

    def books(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(self._books))

    def forget_books(self, prefixes: Sequence[str]) -> None:
        kept = tuple(prefixes)
        with self._lock:
            self._books = {name: book for name, book in self._books.items() if name.startswith(kept)}
            self._serials = {key: serial for key, serial in self._serials.items() if key[0].startswith(kept)}

    def turn(self, name: str) -> Turn | None:
        return self._turns.get(name)

    def take_turn(self, name: str, turn: Turn, expected_at: float | None) -> bool:
        with self._lock:
            last = self._turns.get(name)
            if (last.at if last else None) != expected_at:
                return False
            self._put_turn(name, turn)
            return True

    def _put_turn(self, name: str, turn: Turn) -> None:
        self._turns[name] = turn
        for oldest in sorted(self._turns, key=lambda one: self._turns[one].at)[:-MAX_TURNS]:
            del self._turns[oldest]

    # --- samples ------------------------------------------------------------------------------------------

    def add_sample(self, sample: Sample, picture: bytes, limits: SampleLimits) -> None:
        with self._lock:
            if len(sample_text(sample)) + len(picture) > limits.total_bytes:
                return
            self._samples[sample.id] = sample, picture
            for oldest in sorted(self._samples):
                if self._samples_hold(limits, self._samples[oldest][0]):
                    return
                del self._samples[oldest]

    def _samples_hold(self, limits: SampleLimits, oldest: Sample) -> bool:
        held = sum(len(sample_text(sample)) + len(picture) for sample, picture in self._samples.values())
        young = oldest.at >= self._clock() - limits.age_s
        return young and len(self._samples) <= limits.count and held <= limits.total_bytes

    def samples(
        self, limit: int, detector: str = "", camera: str = "", kind: str = "", label: str = ""
    ) -> tuple[Sample, ...]:
        with self._lock:
            newest = [self._samples[name][0] for name in sorted(self._samples, reverse=True)]
        return tuple(one for one in newest if is_asked_for(one, detector, camera, kind, label))[:limit]

    def picture(self, sample_id: str) -> bytes | None:
        with self._lock:
            return self._samples[sample_id][1] if sample_id in self._samples else None

    def remove_samples(self, camera: str | None) -> int:
        with self._lock:
            gone = [name for name, (one, _) in self._samples.items() if camera in (None, one.camera)]
            for name in gone:
                del self._samples[name]
            return len(gone)

    # --- as a whole ---------------------------------------------------------------------------------------

    def dump(self) -> Iterator[dict[str, Any]]:
        with self._lock:
            everything = list(self._everything())
        return map(row_of, everything)

    def _everything(self) -> Iterator[Kept]:
        yield from self._changes
        yield from (KeptQuota(*one) for one in sorted(self._quotas.items()))
        yield from (KeptRecord(*one) for one in sorted(self._records.items()))
        yield from (KeptBook(name, dict(book)) for name, book in sorted(self._books.items()))
        yield from (KeptTurn(*one) for one in sorted(self._turns.items()))
        yield from (KeptSample(*self._samples[name]) for name in sorted(self._samples))

    def load(self, rows: Iterable[Mapping[str, Any]]) -> None:
        kept = [kept_of(row) for row in rows]
        with self._lock:
            if self._changes:
                raise HasContent("The store has content already; it stays as it is.")
            for one in kept:
                self._put(one)
            self._changes.sort(key=lambda change: change.version)
        self._wake()

    def _put(self, kept: Kept) -> None:
        match kept:
            case Change():
                self._changes.append(kept)
            case KeptQuota(detector, quota):
                self._quotas[detector] = quota
            case KeptRecord(name, text):
                self._records[name] = text
            case KeptBook(name, counts):
                self._books[name] = Counter(counts)
            case KeptTurn(name, turn):
                self._put_turn(name, turn)
            case KeptSample(sample, picture):
                self._samples[sample.id] = sample, picture

    def close(self) -> None:
        """What it holds stays: workers of a test may share it."""
