"""`crossfade ramp`: Triton's share grows by itself, step by step, as far as the evidence goes."""

from __future__ import annotations

import argparse
from typing import Any

from backend.commands.asking import add_asking, backend_of
from backend.commands.ramp_watch import screen_for, watched
from backend.commands.ramp_words import described
from backend.commands.words import Commands, add_group, share, tell, tell_document
from backend.settings import Settings
from backend.stack.backend_api import table

PATH = "/api/rollout/ramp"


def add_words(commands: Commands) -> None:
    words = add_group(
        commands, "ramp", "let Triton's share grow as the evidence allows: start, watch, pause, end it",
        "  crossfade models parity && crossfade ramp start --reason 'certified on Monday'\n"
        "  crossfade ramp watch\n"
        "  crossfade ramp abort --reason 'the night was too quiet'",
    )  # fmt: skip
    start = add_asking(words, "start", _start, "begin, from the share that Triton has now",
                 "  crossfade ramp start --reason 'certified on Monday'\n"
                 "  crossfade ramp start --detector yolo26 --steps 0.1,0.5,1 --gate 1      the last step asks first\n"
                 "  crossfade ramp start --dry-run         decides and tells, moves nothing\n"
                 "It needs a parity certificate of what Triton serves; --force with a --reason does without."
                 )  # fmt: skip
    start.add_argument("--steps", type=_shares, metavar="F,F,…", help="rising shares (RAMP_STEPS)")
    start.add_argument("--gate", type=share, action="append", metavar="F", dest="gates",
                       help="a step that waits for `approve`; may be named several times (RAMP_GATES)")  # fmt: skip
    start.add_argument("--dry-run", action="store_true", help="decide and tell, and move nothing")
    start.add_argument(
        "--force", action="store_true", help="without certificate and headroom; needs --reason"
    )
    _order(words, "pause", "promote nothing; evidence still counts, and still rolls back", "night shift")
    _order(words, "resume", "go on after a pause", "the day shift is here")
    _order(words, "approve", "the next step that waits for it, and no further one", "looked at the gallery")
    _order(words, "abort", "end it; Triton's share stays as it is", "the nights are too quiet")
    add_asking(words, "show", _show, "where each ramp stands, and what it waits for",
               "  crossfade ramp show --detector yolo26")  # fmt: skip
    watch = add_asking(
        words, "watch", _watch, "follow the ramps until they are done",
        "  crossfade ramp watch\n"
        "  crossfade ramp watch --json | jq -c .ramps.yolo26.look.words\n"
        "Exit status 0 when every ramp has reached its last step, 1 when one was rolled back or aborted.",
    )  # fmt: skip
    watch.add_argument("--once", action="store_true", help="as it stands now, and end")
    for asking in ("start", "pause", "resume", "approve", "abort"):
        words.choices[asking].add_argument("--reason", default="", help="for the history")
    for each in words.choices.values():
        each.add_argument("--detector", help="this one only (default: every one)")
        each.add_argument(
            "--json", action="store_true", help='{"ramps": …} by detector; of `watch` a line at each change'
        )


def _order(words: Commands, action: str, summary: str, reason: str) -> None:
    example = f"  crossfade ramp {action} --detector yolo26 --reason '{reason}'"
    add_asking(words, action, _ordered, summary, example).set_defaults(action=action)


def _start(args: argparse.Namespace, settings: Settings) -> int:
    wishes = {"steps": args.steps, "gates": args.gates, "dry_run": args.dry_run, "force": args.force}
    return _given(args, settings, {"action": "start", **wishes})


def _ordered(args: argparse.Namespace, settings: Settings) -> int:
    return _given(args, settings, {"action": args.action})


def _given(args: argparse.Namespace, settings: Settings, order: dict[str, Any]) -> int:
    asked = {**order, "detector": args.detector, "reason": args.reason}
    return _told(args, table(backend_of(args, settings).ask("POST", PATH, json=asked)))


def _show(args: argparse.Namespace, settings: Settings) -> int:
    return _told(args, table(backend_of(args, settings).ask("GET", PATH)))


def _watch(args: argparse.Namespace, settings: Settings) -> int:
    return watched(backend_of(args, settings), args.detector, screen_for(args.json), args.once)


def _told(args: argparse.Namespace, document: dict[str, Any]) -> int:
    ramps = {name: one for name, one in document["ramps"].items() if args.detector in (None, name)}
    if args.json:
        tell_document({"ramps": ramps})
    else:
        tell(*described(ramps))
    return 0


def _shares(text: str) -> list[float]:
    return [share(word) for word in text.split(",")]


_shares.__name__ = "list of numbers from 0 to 1"  # argparse shows it
