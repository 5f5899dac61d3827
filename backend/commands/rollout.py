"""`crossfade rollout`: where the migration stands, and how far it goes. The backend decides, these words ask it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from backend.commands.asking import add_asking, backend_of
from backend.commands.ramp_words import one_line
from backend.commands.rollout_seen import add_seen
from backend.commands.terminal import colour
from backend.commands.words import Commands, add_group, share, tell, tell_document
from backend.settings import Settings
from backend.stack.backend_api import BackendApi, NotAnswered, table
from backend.stack.errors import StackError

PATH = "/api/rollout"
_TRIES = 3
_PATIENCE_S, _POLL_S = 3.0, 0.1

Patch = Callable[[dict[str, Any]], dict[str, Any]]


def add_words(commands: Commands) -> None:
    words = add_group(
        commands, "rollout", "how much Triton serves: show it, change it, roll it back",
        "  crossfade rollout show\n"
        "  crossfade rollout set --fraction 0.25 --reason 'a quiet week'\n"
        "  crossfade rollout rollback --reason 'people were missed'\n"
        "  crossfade rollout history -n 5",
    )  # fmt: skip
    show = add_asking(words, "show", _show, "the state that all workers obey",
                "  crossfade rollout show --json | jq .effective")  # fmt: skip
    show.add_argument("--json", action="store_true", help=f"the state, as GET {PATH} tells it")
    _add_set(words)
    add_asking(words, "enable", _enable, "the switch on: the fractions hold again",
               "  crossfade rollout enable --reason 'the new driver is in'")  # fmt: skip
    add_asking(words, "disable", _disable, "the switch off: nothing touches Triton",
               "  crossfade rollout disable --reason 'its machine is updated'\n"
               "The fractions stay as they are, and hold again when it is on.")  # fmt: skip
    add_asking(words, "rollback", _rollback, "everything back to legacy, acknowledged by every worker",
               "  crossfade rollout rollback --reason 'people were missed'\n"
               "Exit status 1 while a worker has not confirmed it: its name is told.")  # fmt: skip
    add_seen(words)
    for asking in (words.choices[name] for name in ("set", "enable", "disable", "rollback")):
        asking.add_argument("--reason", default="", help="for the history")
        asking.add_argument(
            "--json", action="store_true", help="the new state, and `pending`: workers that do not obey yet"
        )


def _add_set(words: Commands) -> None:
    change = add_asking(words, "set", _set, "change shares; what is not named stays",
                  "  crossfade rollout set --fraction 0.25 --reason 'a quiet week'\n"
                  "  crossfade rollout set --fraction 0.5 --detector yolo26\n"
                  "  crossfade rollout set --follow yolo26                    back to the common fraction\n"
                  "A ramp whose share is changed by hand pauses; `crossfade ramp resume` lets it go on.")  # fmt: skip
    change.add_argument("--fraction", type=share, metavar="F", help="of the requests, to Triton: 0 to 1")
    change.add_argument("--detector", help="the fraction is for this one only")
    change.add_argument(
        "--shadow",
        type=share,
        metavar="S",
        help="of the requests, to be compared with the other side: 0 to 1",
    )
    change.add_argument(
        "--follow", metavar="DETECTOR", help="take away its own fraction: the common one holds for it"
    )


def _show(args: argparse.Namespace, settings: Settings) -> int:
    state = table(backend_of(args, settings).ask("GET", PATH))
    if args.json:
        tell_document(state)
    else:
        tell(*_described(state))
    return 0


def _set(args: argparse.Namespace, settings: Settings) -> int:
    if args.fraction is None and args.shadow is None and args.follow is None:
        raise StackError("say what to set: --fraction, --shadow or --follow")
    if args.detector and args.fraction is None:
        raise StackError("--detector says whose --fraction it is; name one")
    return _change(args, settings, lambda state: _patch(args, state))


def _patch(args: argparse.Namespace, state: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {} if args.shadow is None else {"shadow": args.shadow}
    own = dict(state["overrides"])
    if args.follow is not None:
        if own.pop(args.follow, None) is None:
            raise StackError(f"{args.follow} has no fraction of its own; it follows the common one already")
        patch["overrides"] = own
    if args.detector:
        patch["overrides"] = own | {args.detector: args.fraction}
    elif args.fraction is not None:
        patch["fraction"] = args.fraction
    return patch


def _enable(args: argparse.Namespace, settings: Settings) -> int:
    return _change(args, settings, lambda _: {"enabled": True})


def _disable(args: argparse.Namespace, settings: Settings) -> int:
    return _change(args, settings, lambda _: {"enabled": False})


def _rollback(args: argparse.Namespace, settings: Settings) -> int:
    """Exit status 1 while a worker has not confirmed it."""
    done = table(backend_of(args, settings).ask("POST", f"{PATH}/rollback", json={"reason": args.reason}))
    return _told(args, done, done["pending"])


def _change(args: argparse.Namespace, settings: Settings, patch: Patch) -> int:
    """On top of what was just read; somebody else's change in between is read again, once or twice."""
    api = backend_of(args, settings)
    for tries_left in reversed(range(_TRIES)):
        seen = api.ask("GET", PATH)
        before = table(seen)
        body = {**patch(before), "reason": args.reason}
        try:
            answer = api.ask("PUT", PATH, headers={"If-Match": seen.headers.get("ETag", "")}, json=body)
        except NotAnswered as error:
            if error.status != httpx.codes.PRECONDITION_FAILED or not tries_left:
                raise
        else:
            changed = table(answer)
            return _told(args, changed, _pending(api, changed["version"]), _paused(before, changed))
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


def _told(
    args: argparse.Namespace, state: dict[str, Any], pending: Sequence[str], more: Sequence[str] = ()
) -> int:
    if args.json:
        tell_document({**state, "pending": list(pending)})
        return 1 if pending else 0
    obeyed = (
        f"not yet acknowledged by: {', '.join(pending)}" if pending else "acknowledged by every live worker"
    )
    tell(*_described(state), *more, obeyed)
    return 1 if pending else 0


def _paused(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The ramps that this change took the ground from."""
    return [
        f"the ramp of {name} pauses, and its evidence begins anew; `crossfade ramp resume` lets it go on"
        for name, ramp in sorted(after.get("ramps", {}).items())
        if name in before["ramps"] and ramp["tries"] > before["ramps"][name]["tries"] and ramp["paused"]
    ]


def _described(state: dict[str, Any]) -> list[str]:
    """What was asked for, and what becomes of it where that is something else."""
    switch = colour("on", "good") if state["enabled"] else colour("off", "warn")
    lines = [
        f"Triton is {switch} (version {state['version']}){_but(state)}",
        f"  fraction  {state['fraction']:.2%}",
        *(f"  {name:9} {fraction:.2%}" for name, fraction in sorted(state["overrides"].items())),
        f"  shadow    {state['shadow']:.2%}",
        *(f"  now       {name} {share:.2%}" for name, share in sorted(state["effective"].items())),
    ]
    if pins := state["pins"]:
        suspended = ", those to Triton suspended by a rollback" if state["pins_suspended"] else ""
        lines.append(f"  pins      {len(pins)}{suspended}")
    return lines + [
        f"  ramp      {one_line(name, ramp)}" for name, ramp in sorted(state.get("ramps", {}).items())
    ]


def _but(state: dict[str, Any]) -> str:
    thrown = "; the kill switch TRITON_ENABLED=false stands before it" if state["kill_switch"] else ""
    return colour(thrown, "warn") + colour(
        "; STALE: the store cannot be read" if state["stale"] else "", "bad"
    )
