"""`crossfade store`: what the workers agree on, kept in a file and brought back. It asks no backend."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.commands.words import Commands, add, add_group, tell, tell_document
from backend.rollout.backup import Backup, BadBackup, WouldGiveMore, back_up, restore
from backend.rollout.journal import Journal
from backend.rollout.patching import require_served
from backend.rollout.store import Change, Store
from backend.rollout.stores.opening import file_of, open_store, store_name
from backend.settings import Settings


def add_words(commands: Commands) -> None:
    what = add_group(
        commands, "store", "what the workers agree on: keep it in a file, bring it back",
        "  crossfade store backup crossfade-$(date +%F).jsonl\n"
        "  ROLLOUT_STORE=redis://10.0.0.5 crossfade store restore crossfade-2026-11-21.jsonl",
    )  # fmt: skip
    keep = add(what, "backup", _backup, "write all of it into a file: flags, history, evidence, pictures",
               "The file is for this user only: it holds the pictures of pairs that differ.\n"
               "  crossfade store backup crossfade-$(date +%F).jsonl")  # fmt: skip
    keep.add_argument("file", type=Path, metavar="FILE", help="made here, for this user only")
    keep.add_argument("--force", action="store_true", help="replace a file that is there")
    keep.add_argument("--json", action="store_true", help="what was kept, as a JSON table")
    back = add(what, "restore", _restore, "bring back what a backup holds, from any kind of store to any",
               "The state of the file becomes a change that every worker obeys. An empty store gets the\n"
               "rest as well; where there is content, it stays. A ramp that was on comes back paused,\n"
               "and measures anew.\n"
               "  crossfade store restore crossfade-2026-11-21.jsonl")  # fmt: skip
    back.add_argument("file", type=Path, metavar="FILE", help="one that `backup` made")
    back.add_argument(
        "--give-triton-more", action="store_true",
        help="also what was taken from Triton since the backup, by a rollback for instance",
    )  # fmt: skip
    back.add_argument("--json", action="store_true", help="what was brought back, as a JSON table")


def _backup(args: argparse.Namespace, settings: Settings) -> int:
    path = file_of(settings.store_url)
    if path is not None and not path.exists():
        raise BadBackup(f"There is no store at {path} yet; nothing to keep.")
    with _store_of(settings) as store:
        rows = back_up(store, args.file, store_name(settings.store_url), force=args.force)
    if args.json:
        tell_document({"file": str(args.file), "rows": rows, "store": store_name(settings.store_url)})
    else:
        tell(f"{args.file}: {rows} rows of {store_name(settings.store_url)}")
    return 0


def _restore(args: argparse.Namespace, settings: Settings) -> int:
    backup = Backup.read(args.file)
    if not settings.legacy_enabled:
        require_served(backup.newest.state)
    with _store_of(settings) as store:
        change = _restored(store, backup, settings, more=args.give_triton_more)
    paused, name = (
        [name for name, ramp in change.state.ramps.items() if ramp.is_on],
        store_name(settings.store_url),
    )
    if args.json:
        tell_document({"store": name, "flags_of": backup.when, "version": change.version, "paused": paused,
                       "enabled": change.state.enabled, "fraction": change.state.fraction})  # fmt: skip
        return 0
    tell(
        f"{name}: the flags are as they were on {backup.when} (version {change.version}): "
        f"Triton {'on' if change.state.enabled else 'off'}, fraction {change.state.fraction:.2%}"
    )
    if paused:
        tell(f"paused: the ramp of {', '.join(paused)}; crossfade ramp resume goes on")
    return 0


def _restored(store: Store, backup: Backup, settings: Settings, *, more: bool) -> Change:
    try:
        known, owed = _known(settings)
        return restore(store, backup, _user(), known, owed, may_give_more=more)
    except WouldGiveMore as error:
        raise WouldGiveMore(f"{error} --give-triton-more restores it nonetheless.") from error


def _user() -> str:
    """A container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def _known(settings: Settings) -> tuple[list[Change], list[Change]]:
    """What this machine's journal knows of the flags, in whichever store they stood, and rollbacks that a store never
    heard of."""
    journal = Journal(settings.crossfade_var / "rollout-history.jsonl", store_name(settings.store_url))
    try:
        newest = journal.newest() or journal.newest_of_the_store_before()
        return [change for change in (newest, journal.latest()) if change], journal.owed_anywhere()
    except OSError as error:
        raise BadBackup(f"The journal of this machine cannot be read: {error}") from error


@contextmanager
def _store_of(settings: Settings) -> Iterator[Store]:
    if settings.store_url == "memory:":
        raise BadBackup("ROLLOUT_STORE=memory: is a worker's own; from outside there is nothing to see.")
    store = open_store(settings.store_url)
    try:
        yield store
    finally:
        store.close()
