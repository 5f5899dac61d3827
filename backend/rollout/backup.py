"""A store in a file, and back: one JSON object a line, a first line that says what it is, a last one that it is whole.

A restored state is always a change on top of what stands in the store, so that workers who live obey it rather than
put back what they know. Into an empty store the whole file is loaded with it; where there is content, its history,
evidence and pictures stay. A ramp that was on comes back paused, and its evidence begins anew: what was measured before
is about another time. Workers or journals that know a newer version than the file's still fill an empty store with it,
as always; to restore once more is then a change on top of that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from ai.core.errors import CrossfadeError
from backend.private_files import drafted
from backend.rollout.checked import number
from backend.rollout.owed import changes_since, has_more, is_settled
from backend.rollout.patching import words
from backend.rollout.state import InvalidState, RolloutState
from backend.rollout.store import Change, HasContent, Store, StoreAway
from backend.rollout.stores.dump import kept_of, row_of

FORMAT = 1
TRIES = 50  # against others that change the flags at the same moment

_WRONG = (ValueError, KeyError, TypeError, AttributeError, OverflowError, InvalidState)


class BadBackup(CrossfadeError):
    """A file that cannot be written, or that is no backup."""


def back_up(store: Store, path: Path, about: str, *, force: bool) -> int:
    """How many rows; `about` names the store. The file is there as a whole, for this user only, or not at all."""
    if store.read().change is None:
        raise BadBackup("The store is empty; there is nothing to keep.")
    if path.exists() and not force:
        raise BadBackup(f"{path} is there already; --force replaces it.")
    try:
        with drafted(path, force=force) as file:
            return _written(store, file, about)
    except OSError as error:
        raise BadBackup(f"{path} cannot be written: {error}") from error


def _written(store: Store, file: BinaryIO, about: str) -> int:
    def write(row: Mapping[str, Any]) -> None:
        file.write(f"{json.dumps(row)}\n".encode())

    write({"crossfade": "backup", "format": FORMAT, "at": store.now(), "store": about})
    rows = 0
    for row in store.dump():
        write(row)
        rows += 1
    write({"rows": rows})
    return rows


class WouldGiveMore(BadBackup):
    """Triton would get a share again that was taken from it after the backup was made."""


@dataclass(frozen=True, slots=True)
class Backup:
    path: Path
    when: str
    newest: Change

    @classmethod
    def read(cls, path: Path) -> Backup:
        """BadBackup where it is none, or not whole, or there is a row in it that no store could keep."""
        try:
            return cls._read(path)
        except OSError as error:
            raise BadBackup(f"{path} cannot be read: {error}") from error
        except RecursionError as error:
            raise BadBackup(f"{path} is no backup of a store: a line of it is nested too deeply.") from error
        except _WRONG as error:
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
        for number_of_line, last in enumerate(lines, start=2):
            rows += 1
            if "row" in last:
                newest = _checked(last, newest, number_of_line)
        if newest is None or last.get("rows") != rows:
            raise BadBackup(f"{path} is cut short; it is not used.")
        return cls(path, _when(number("at", head["at"])), newest)

    def rows(self) -> Iterator[dict[str, Any]]:
        return (row for row in _lines(self.path) if "row" in row)

    def changes(self) -> Iterator[Change]:
        return (kept for kept in map(kept_of, self.rows()) if isinstance(kept, Change))

    def state(self, now: float) -> RolloutState:
        """As it comes back. InvalidState where it is none."""
        state = self.newest.state
        why = f"restored from {self.path.name}"
        ramps = {
            name: ramp.begun_anew(now, paused=why) if ramp.is_on else ramp
            for name, ramp in state.ramps.items()
        }
        return replace(state, ramps=ramps)


def restore(
    store: Store,
    backup: Backup,
    who: str,
    known: Iterable[Change] = (),
    owed: Iterable[Change] = (),
    *,
    may_give_more: bool = True,
) -> Change:
    """The change that it became. An empty store gets it together with the rows: no ramp runs in between.

    `known` is what this machine knows besides the store, which may be lost or behind: the change stands over that too,
    and over rollbacks that are `owed`, however old, where neither the store nor the file has heard of them.
    Unless it `may_give_more`, what was taken from Triton since the backup stays taken: WouldGiveMore.
    """
    known, owed = tuple(known), tuple(owed)
    for _ in range(TRIES):
        current = store.read().change
        newest = max(
            filter(None, (current, *known, *owed, backup.newest)), key=lambda one: (one.version, one.at)
        )
        if not may_give_more:
            _require_no_more(store, backup, filter(None, (current, *known)), owed)
        change = _change_on_top(newest, store.now(), backup, who)
        if current is None:
            with suppress(HasContent):  # somebody was faster
                store.load(chain(backup.rows(), [row_of(change)]))
                return change
        elif store.write(change, current.version):
            return change
    raise StoreAway("The flags are changed by others all the time; nothing was restored.")


def _require_no_more(store: Store, backup: Backup, known: Iterable[Change], owed: Iterable[Change]) -> None:
    kept = backup.newest
    since = (one for one in known if one.version > kept.version or one.at > kept.at)
    unheard = (one for one in owed if not is_settled(one, chain(backup.changes(), changes_since(store, one))))
    for one in chain(since, unheard):
        if _gives_more(kept.state, one.state):
            why = f" ({one.reason})" if one.reason else ""
            raise WouldGiveMore(
                f"Triton has less since this backup: version {one.version}, {_when(one.at)}, by {one.who}{why}. "
                "Nothing was restored."
            )


def _gives_more(kept: RolloutState, now: RolloutState) -> bool:
    """Requests or comparisons; what is switched off gives nothing."""
    if not kept.enabled:
        return False
    return not now.enabled or kept.shadow > now.shadow or has_more(kept, now)


def _change_on_top(current: Change, now: float, backup: Backup, who: str) -> Change:
    state = replace(backup.state(now), version=current.version + 1)
    reason = f"restored from {backup.path.name} of {backup.when}"
    return Change(state.version, now, words(who), words(reason), current.after, state.to_table())


def _checked(row: Mapping[str, Any], newest: Change | None, line: int) -> Change | None:
    """The newest change, with this row. ValueError where no store could keep it, or nobody could obey it."""
    try:
        kept = kept_of(row)
        if not isinstance(kept, Change):
            return newest
        if kept.state.version != kept.version:
            raise ValueError(f"version {kept.version} holds a state of version {kept.state.version}")
        if kept.before is not None:
            RolloutState.from_table(kept.before)
        if newest is not None and kept.version <= newest.version:
            raise ValueError(f"version {kept.version} comes after {newest.version}")
    except _WRONG as error:
        raise ValueError(f"line {line}: {error}") from error
    return kept


def _when(at: float) -> str:
    """ValueError or OverflowError for a time that no calendar has."""
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a line of it is no table")
            yield row
