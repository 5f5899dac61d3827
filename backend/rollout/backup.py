"""A store in a file, and back: one JSON object a line, a first line that says what it is, a last one that it is whole.

A restored state is always a change on top of what stands in the store, so that workers who live obey it rather than
put back what they know. Into an empty store the whole file is loaded before; where there is content, its history,
evidence and pictures stay. A ramp that was on comes back paused, and its evidence begins anew: what was measured before
is about another time. Workers or journals that know a newer version than the file's still fill an empty store with it,
as always; to restore once more is then a change on top of that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ai.core.errors import CrossfadeError
from backend.rollout.patching import words
from backend.rollout.state import RolloutState
from backend.rollout.store import Change, HasContent, Store, StoreAway

FORMAT = 1
TRIES = 50  # against others that change the flags at the same moment


class BadBackup(CrossfadeError):
    """A file that cannot be written, or that is no backup."""


def back_up(store: Store, path: Path, about: str, *, force: bool) -> int:
    """How many rows; `about` names the store. The file is there as a whole, for this user only, or not at all."""
    if store.read().change is None:
        raise BadBackup("The store is empty; there is nothing to keep.")
    if path.exists() and not force:
        raise BadBackup(f"{path} is there already; --force replaces it.")
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        rows = _written(store, fresh, about)
        if force:
            fresh.replace(path)
        else:
            os.link(fresh, path)
        return rows
    except OSError as error:
        raise BadBackup(f"{path} cannot be written: {error}") from error
    finally:
        fresh.unlink(missing_ok=True)


def _written(store: Store, path: Path, about: str) -> int:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    rows = 0
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        head = {"crossfade": "backup", "format": FORMAT, "at": store.now(), "store": about}
        file.write(json.dumps(head) + "\n")
        for row in store.dump():
            file.write(json.dumps(row) + "\n")
            rows += 1
        file.write(json.dumps({"rows": rows}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return rows


@dataclass(frozen=True, slots=True)
class Backup:
    path: Path
    at: float  # unix seconds
    newest: Change

    @classmethod
    def read(cls, path: Path) -> Backup:
        """BadBackup where it is none, or not whole."""
        try:
            return cls._read(path)
        except OSError as error:
            raise BadBackup(f"{path} cannot be read: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadBackup(f"{path} is no backup of a store: {error}") from error

    @classmethod
    def _read(cls, path: Path) -> Backup:
        lines = _lines(path)
        head = next(lines, {})
        if head.get("crossfade") != "backup":
            raise BadBackup(f"{path} is no backup of a store.")
        if head["format"] > FORMAT:
            raise BadBackup(
                f"{path} was made by a newer Crossfade (format {head['format']}; this one knows {FORMAT})."
            )
        rows, newest, last = -1, None, head
        for last in lines:
            rows += 1
            if last.get("row") == "change" and (newest is None or last["version"] > newest.version):
                newest = Change.from_table(last)
        if newest is None or last.get("rows") != rows:
            raise BadBackup(f"{path} is cut short; it is not used.")
        return cls(path, float(head["at"]), newest)

    def rows(self) -> Iterator[dict[str, Any]]:
        return (row for row in _lines(self.path) if "row" in row)

    @property
    def when(self) -> str:
        return datetime.fromtimestamp(self.at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")

    def state(self, now: float) -> RolloutState:
        """As it comes back. InvalidState where it is none."""
        state = self.newest.state
        why = f"restored from {self.path.name}"
        ramps = {
            name: ramp.begun_anew(now, paused=why) if ramp.is_on else ramp
            for name, ramp in state.ramps.items()
        }
        return replace(state, ramps=ramps)


def restore(store: Store, backup: Backup, who: str) -> Change:
    """The change that it became."""
    if store.read().change is None:
        with suppress(HasContent):  # somebody was faster
            store.load(backup.rows())
    reason = f"restored from {backup.path.name} of {backup.when}"
    for _ in range(TRIES):
        current = store.read().change
        if current is None:
            break
        state = replace(backup.state(store.now()), version=current.version + 1)
        change = Change(
            state.version, store.now(), words(who), words(reason), current.after, state.to_table()
        )
        if store.write(change, current.version):
            return change
    raise StoreAway("The flags are changed by others all the time; nothing was restored.")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a line of it is no table")
            yield row
