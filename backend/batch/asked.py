"""What a batch was asked, kept beside its results: who goes on must ask the same, and only one at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from backend.batch.errors import CannotBatch
from backend.batch.sheet import in_words

SCHEMA = 1
MAX_BYTES = 64 * 1024
_MOVED = " (a folder that was only moved: write its path into {})"
_WORDS = {"folder": "DIR", "min_confidence": "--min-confidence"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Of the backend, of whom: everything that makes a line another one."""

    folder: str
    out: str
    errors: str  # from the results' folder, so that both can move together
    detector: str | None
    backend: str | None
    min_confidence: float | None
    shard: str
    schema: int = SCHEMA

    def require_same(self, before: object, out: Path) -> None:
        now = asdict(self)
        if not isinstance(before, dict):
            raise CannotBatch(f"{notes_of(out)} does not say what {out} was asked for")
        for name, value in now.items():
            if before.get(name) != value:
                word = _WORDS.get(name, f"--{name}")
                raise CannotBatch(
                    f"{out} was begun with {word} {_said(before.get(name))}, not {_said(value)}: "
                    f"go on with the same, or begin another --out{_MOVED.format(notes_of(out)) * (name == 'folder')}"
                )


def notes_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.batch")


@contextmanager
def claimed(out: Path, asked: Asked, *, resume: bool) -> Iterator[None]:
    """The block is the only one that writes there; CannotBatch where another does, or where it would not go on."""
    with in_words(notes_of(out)):
        file = os.open(notes_of(out), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with in_words(notes_of(out)):
            _lock(file, out)
            _agree(file, out, asked, resume)
        yield
    finally:
        os.close(file)


def require_place(out: Path, *, resume: bool) -> None:
    if not out.parent.is_dir():
        raise CannotBatch(f"there is no folder {out.parent} for {out.name}")
    if out.exists() and not out.is_file():
        raise CannotBatch(f"{out} is no file")
    if out.exists() and not resume:
        raise CannotBatch(f"{out} is there already, and stays: --resume goes on with it")


def _lock(file: int, out: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CannotBatch(f"another batch writes into {out} at the moment") from error


def _agree(file: int, out: Path, asked: Asked, resume: bool) -> None:
    """With what was begun, or this begins. The notes are on the disk before the first line is."""
    require_place(out, resume=resume)  # another one may have begun and ended meanwhile
    before = os.pread(file, MAX_BYTES, 0)
    has_lines = out.exists() and out.stat().st_size > 0
    if has_lines:
        asked.require_same(_read(before), out)
        return
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(asdict(asked)).encode() + b"\n", 0)
    os.fsync(file)


def _read(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _said(value: object) -> str:
    return "unsaid" if value is None else str(value)
