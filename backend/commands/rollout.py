"""`crossfade rollout`: where the migration stands, and how far it goes. The backend decides, these words ask it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from backend.commands.detect import add_address, backend_of
from backend.commands.words import Command, Commands, add, tell
from backend.settings import Settings
from backend.stack.backend_api import BackendApi, NotAnswered, table
from backend.stack.errors import StackError

PATH = "/api/rollout"
_TRIES = 3
_PATIENCE_S, _POLL_S = 3.0, 0.1


def add_words(commands: Commands) -> None:
    rollout = commands.add_parser("rollout", help="how much Triton serves: show it, change it, roll it back")
    words = rollout.add_subparsers(required=True, metavar="WHAT")
    show = _add(words, "show", _show, "the state that all workers obey")
    show.add_argument("--json", action="store_true", help="as the API tells it")
    change = _add(words, "set", _set, "change shares; what is not named stays",
                  "  crossfade rollout set --fraction 0.25 --reason 'a quiet week'\n"
                  "  crossfade rollout set --fraction 0.5 --detector yolo26")  # fmt: skip
    change.add_argument("--fraction", type=share, metavar="F", help="of the requests, to Triton: 0 to 1")
    change.add_argument("--detector", help="the fraction is for this one only")
    change.add_argument(
        "--shadow",
        type=share,
        metavar="S",
        help="of the requests, chosen for the comparison that is to come: 0 to 1",
    )
    _add(words, "enable", _enable, "the switch on: the fractions hold again")
    _add(words, "disable", _disable, "the switch off: nothing touches Triton")
    _add(words, "rollback", _rollback, "everything back to legacy, acknowledged by every worker")
    history = _add(words, "history", _history, "who changed what, when and why")
    history.add_argument("-n", dest="limit", type=int, default=20, help="the last so many (20)")
    history.add_argument("--json", action="store_true", help="as the API tells it")
    for asking in (change, words.choices["enable"], words.choices["disable"], words.choices["rollback"]):
        asking.add_argument("--reason", default="", help="for the history")


def _add(
    words: Commands, name: str, command: Command, summary: str, more: str = ""
) -> argparse.ArgumentParser:
    parser = add(words, name, command, summary, more)
    add_address(parser)
    return parser


def _show(args: argparse.Namespace, settings: Settings) -> int:
    state = table(backend_of(args, settings).ask("GET", PATH))
    tell(json.dumps(state, indent=2) if args.json else _described(state))
    return 0


def _set(args: argparse.Namespace, settings: Settings) -> int:
    if args.fraction is None and args.shadow is None:
        raise StackError("say what to set: --fraction, --shadow, or both")
    if args.detector and args.fraction is None:
        raise StackError("--detector says whose --fraction it is; name one")

    def patch(state: dict[str, Any]) -> dict[str, Any]:
        asked: dict[str, Any] = {} if args.shadow is None else {"shadow": args.shadow}
        if args.detector:
            return asked | {"overrides": {**state["overrides"], args.detector: args.fraction}}
        return asked if args.fraction is None else asked | {"fraction": args.fraction}

    return _change(backend_of(args, settings), patch, args.reason)


def _enable(args: argparse.Namespace, settings: Settings) -> int:
    return _change(backend_of(args, settings), lambda _: {"enabled": True}, args.reason)


def _disable(args: argparse.Namespace, settings: Settings) -> int:
    return _change(backend_of(args, settings), lambda _: {"enabled": False}, args.reason)


def _rollback(args: argparse.Namespace, settings: Settings) -> int:
    """Exit status 1 while a worker has not confirmed it."""
    done = table(backend_of(args, settings).ask("POST", f"{PATH}/rollback", json={"reason": args.reason}))
    tell(_described(done))
    return _told_who_obeys(done["pending"])


def _history(args: argparse.Namespace, settings: Settings) -> int:
    answer = backend_of(args, settings).ask("GET", f"{PATH}/history", params={"limit": args.limit})
    changes = table(answer)["changes"]
    if args.json:
        tell(json.dumps(changes, indent=2))
        return 0
    for change in changes:
        about = f"{change['version']:>5}  {_when(change['at'])}  {change['who']:14}"
        tell(f"{about} {_difference(change)}  {change['reason']}".rstrip())
    return 0


def _change(api: BackendApi, patch: Callable[[dict[str, Any]], dict[str, Any]], reason: str) -> int:
    """On top of what was just read; somebody else's change in between is read again, once or twice."""
    for tries_left in reversed(range(_TRIES)):
        seen = api.ask("GET", PATH)
        body = {**patch(table(seen)), "reason": reason}
        try:
            answer = api.ask("PUT", PATH, headers={"If-Match": seen.headers["ETag"]}, json=body)
        except NotAnswered as error:
            if error.status != httpx.codes.PRECONDITION_FAILED or not tries_left:
                raise
        else:
            changed = table(answer)
            tell(_described(changed))
            return _told_who_obeys(_pending(api, changed["version"]))
    raise AssertionError("the last try returns or raises")


def _pending(api: BackendApi, version: int) -> list[str]:
    """The live workers that do not obey this version yet, after a moment's patience."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        workers = table(api.ask("GET", PATH))["workers"]
        pending = [one["worker"] for one in workers if one["version"] < version]
        if not pending or time.monotonic() > deadline:
            return pending
        time.sleep(_POLL_S)


def _told_who_obeys(pending: Sequence[str]) -> int:
    if pending:
        tell(f"not yet acknowledged by: {', '.join(pending)}")
        return 1
    tell("acknowledged by every live worker")
    return 0


def _described(state: dict[str, Any]) -> str:
    """What was asked for, and what becomes of it where that is something else."""
    lines = [
        f"Triton is {'on' if state['enabled'] else 'off'} (version {state['version']}){_but(state)}",
        f"  fraction  {state['fraction']:.2%}",
        *(f"  {name:9} {fraction:.2%}" for name, fraction in sorted(state["overrides"].items())),
        f"  shadow    {state['shadow']:.2%}",
        *(f"  now       {name} {share:.2%}" for name, share in sorted(state["effective"].items())),
    ]
    if pins := state["pins"]:
        suspended = ", those to Triton suspended by a rollback" if state["pins_suspended"] else ""
        lines.append(f"  pins      {len(pins)}{suspended}")
    return "\n".join(lines)


def _but(state: dict[str, Any]) -> str:
    thrown = "; the kill switch TRITON_ENABLED=false stands before it" if state["kill_switch"] else ""
    return thrown + ("; STALE: the store cannot be read" if state["stale"] else "")


def _difference(change: dict[str, Any]) -> str:
    before, after = change.get("before") or {}, change["after"]
    changed = [name for name, value in after.items() if name != "version" and before.get(name) != value]
    return ", ".join(f"{name} {before.get(name, '-')} → {after[name]}" for name in changed) or "nothing new"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def share(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise ValueError
    return value


share.__name__ = "number from 0 to 1"  # argparse shows it
