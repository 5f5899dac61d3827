"""What a worker has counted and the store has not: each count arrives once, however often it must be sent.

What is under way is sealed: it keeps its serial until the store has it. Everything else goes on being added up, so that
a store that is away for long costs no more than one that is away for a moment.
"""

from __future__ import annotations

from collections import defaultdict, deque

from backend.rollout.store import Store


class Outbox:
    """`of` and `seal` belong to the event loop, `send` to the store's thread."""

    def __init__(self, writer: str) -> None:
        """`writer` is of no other outbox, ever: its serials begin anew."""
        self._writer = writer
        self._serial = 0
        self._open: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._sealed: deque[tuple[int, str, dict[str, int]]] = deque()

    def of(self, book: str) -> defaultdict[str, int]:
        """The counts of a book, to be added to at once: the next seal takes them."""
        return self._open[book]

    def seal(self) -> bool:
        """Whether there is anything to send."""
        if not self._sealed:
            for book, counts in self._open.items():
                if counts:
                    self._serial += 1
                    self._sealed.append((self._serial, book, dict(counts)))
            self._open.clear()
        return bool(self._sealed)

    def send(self, store: Store) -> None:
        """StoreAway leaves what is not known to have arrived."""
        while self._sealed:
            serial, book, counts = self._sealed[0]
            store.add(book, counts, self._writer, serial)
            self._sealed.popleft()
