"""What there is to do, made ready: pictures listed, the lines of an earlier run mended and counted, the sheets open.

The lines themselves say what is done, nothing beside them: whatever was killed when, they cannot contradict each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.batch.asked import Asked, claimed, notes_of, require_place
from backend.batch.errors import CannotBatch
from backend.batch.ledger import Ledger, scratch
from backend.batch.listing import Listing
from backend.batch.names import Shard, label, name_in
from backend.batch.run import Sheets, error_line
from backend.batch.sheet import Line, Sheet, in_words, mend

FOLDER = "folder"  # instead of "file", of one that cannot be read
AGAIN = "may_be_tried_again"


@dataclass(frozen=True, slots=True)
class Order:
    folder: Path
    out: Path
    errors: Path
    shard: Shard
    resume: bool
    detector: str | None = None
    backend: str | None = None
    min_confidence: float | None = None

    @property
    def asked(self) -> Asked:
        return Asked(
            os.fsencode(self.folder.resolve()).decode("utf-8", "backslashreplace"), self.out.name,
            os.path.relpath(self.errors, self.out.parent), self.detector, self.backend, self.min_confidence,
            str(self.shard),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    listing: Listing
    pictures: int  # of this shard
    waiting: int
    names: Iterator[bytes]
    sheets: Sheets


@contextmanager
def prepared(order: Order) -> Iterator[Work]:
    """CannotBatch where it must not begin; then nothing was made or changed."""
    _require_places(order)
    with ExitStack() as stack:
        ledger = stack.enter_context(scratch())
        listing = _list(order, ledger)
        for path in (order.out, order.errors):
            stack.enter_context(claimed(path, order.asked, resume=order.resume))
        mend(order.out, lambda line: ledger.tell(name_in(line)))
        mend(order.errors, lambda line: _stays(line, ledger))
        sheets = Sheets(*(stack.enter_context(closing(Sheet(path))) for path in (order.out, order.errors)))
        for name, why in listing.unreadable:
            of = {FOLDER: label(name)["file"]}
            sheets.errors.write(error_line(of, None, f"it cannot be read: {why}", again=True))
        yield Work(listing, ledger.listed, ledger.waiting, ledger.names(), sheets)


def _require_places(order: Order) -> None:
    both = order.out, order.errors
    with in_words(order.out):
        if len({os.path.realpath(path) for path in (*both, *map(notes_of, both))}) < 2 * len(both):
            raise CannotBatch(f"--errors must be another file than --out {order.out} and the notes beside it")
        for path in both:
            require_place(path, resume=order.resume)


def _list(order: Order, ledger: Ledger) -> Listing:
    """A folder that holds none is not mounted, or is another one than was meant: no success."""
    listing, seen = Listing(order.folder), 0

    def ours() -> Iterator[bytes]:
        nonlocal seen
        for name in listing.names():
            seen += 1
            if order.shard.has(name):
                yield name

    ledger.list(ours())
    if not seen:
        raise CannotBatch(f"there is no picture (JPEG, PNG or WebP, by name) in {order.folder}")
    return listing


def _stays(line: Line, ledger: Ledger) -> bool:
    """What may pass is tried again, and gets its line anew; so do folders, which are listed at each start."""
    if FOLDER in line:
        return False
    name = name_in(line)
    if line.get(AGAIN) and ledger.is_listed(name):
        return False
    return ledger.tell(name)
