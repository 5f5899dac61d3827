"""`crossfade rollout history`, `report` and `samples`: what was done, what it showed, and what differed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from backend.commands.asking import add_asking, backend_of
from backend.commands.terminal import Kind, colour
from backend.commands.terminal import table as table_of
from backend.commands.words import Commands, tell, tell_document
from backend.private_files import replace_with
from backend.settings import Settings
from backend.stack.backend_api import require_kind, table
from backend.stack.errors import StackError

PATH = "/api/rollout"
SHOWN_SAMPLES = 20


def add_seen(words: Commands) -> None:
    history = add_asking(
        words, "history", _history, "who changed what, when and why",
        "  crossfade rollout history --export rollout.jsonl     all of it, a change a line, newest first",
    )  # fmt: skip
    history.add_argument("-n", dest="limit", type=int, default=20, help="the last so many (20)")
    history.add_argument(
        "--export", type=Path, metavar="FILE", help="all of it, as JSON Lines, into this file"
    )
    report = add_asking(
        words, "report", _report, "what a ramp has shown so far",
        "  crossfade rollout report --detector yolo26 --html report.html     one page, to be sent on",
    )  # fmt: skip
    report.add_argument("--html", type=Path, metavar="FILE", help="as a page, into this file")
    samples = add_asking(
        words, "samples", _samples, "pairs that differ: what each side saw, and where the picture is",
        "  crossfade rollout samples --camera yard -n 5\n"
        "  crossfade rollout samples --camera yard --delete      pictures of a home, removed for good",
    )  # fmt: skip
    samples.add_argument("--camera", help="of this one only")
    samples.add_argument("-n", dest="limit", type=int, default=SHOWN_SAMPLES, help="the last so many (20)")
    samples.add_argument("--delete", action="store_true", help="remove for good: those of --camera, or --all")
    samples.add_argument("--all", action="store_true", help="with --delete: of every camera")
    for asking, what in (
        (history, "a list of changes, newest first"),
        (report, "verdict, criteria and figures as a table"),
        (samples, "a list of pairs; with --delete how many were removed"),
    ):
        asking.add_argument("--detector", help="what concerns this one only")
        asking.add_argument("--json", action="store_true", help=what)


# --- the history ------------------------------------------------------------------------------------------


def _history(args: argparse.Namespace, settings: Settings) -> int:
    api, asked = backend_of(args, settings), _asked(detector=args.detector)
    if args.export is not None:
        return _export(
            args, api.lines(f"{PATH}/history", "application/x-ndjson", params={**asked, "format": "jsonl"})
        )
    answer = api.ask("GET", f"{PATH}/history", params={**asked, "limit": args.limit})
    changes = table(answer)["changes"]
    if args.json:
        tell_document(changes)
        return 0
    tell(*table_of((), [_change(change) for change in changes])) if changes else tell(
        "nothing was changed yet"
    )
    return 0


def _change(change: Mapping[str, Any]) -> tuple[str, ...]:
    at, who = colour(_when(change["at"]), "soft"), str(change["who"])
    return str(change["version"]), at, who, _difference(change), str(change["reason"])


def _export(args: argparse.Namespace, lines: Iterable[str]) -> int:
    """A line that breaks off leaves what was there before."""
    path, count = args.export, 0

    def write(file: BinaryIO) -> None:
        nonlocal count
        for line in lines:
            file.write(f"{line}\n".encode())
            count += 1

    _replace(path, write)
    if args.json:
        tell_document({"file": str(path), "changes": count})
    else:
        tell(f"{count:,} changes, newest first: {path}")
    return 0


def _difference(change: Mapping[str, Any]) -> str:
    before, after = change.get("before") or {}, change["after"]
    changed = [name for name, value in after.items() if name != "version" and before.get(name) != value]
    told = [f"{name} {before.get(name, '-')} → {after[name]}" for name in changed if name != "ramps"]
    return ", ".join(told + _ramps(before.get("ramps") or {}, after.get("ramps") or {})) or "nothing new"


def _ramps(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    changed = [name for name, ramp in after.items() if before.get(name) != ramp]
    return [f"ramp of {name} {_stands(before.get(name))} → {_stands(after[name])}" for name in changed]


def _stands(ramp: Mapping[str, Any] | None) -> str:
    if ramp is None:
        return "-"
    paused = ", paused" if ramp["paused"] and ramp["phase"] != "ended" else ""
    return (f"step {ramp['step'] + 1}" if ramp["phase"] == "running" else str(ramp["phase"])) + paused


# --- the report -------------------------------------------------------------------------------------------


def _report(args: argparse.Namespace, settings: Settings) -> int:
    api, asked = backend_of(args, settings), _asked(detector=args.detector)
    if args.html is not None:
        page = api.ask("GET", f"{PATH}/report", params={**asked, "format": "html"})
        require_kind(page, "text/html")
        _replace(args.html, page.content)
        tell(json.dumps({"file": str(args.html)}) if args.json else f"the report: {args.html}")
        return 0
    report = table(api.ask("GET", f"{PATH}/report", params=asked))
    if args.json:
        tell_document(report)
    else:
        tell(*_summary(report))
    return 0


def _summary(report: Mapping[str, Any]) -> list[str]:
    lines = [f"{report['detector']}: {report['verdict']['sentence']}"]
    for one in report["criteria"]:
        verdict = colour(f"{one['verdict']:14}", _verdict_kind(one["verdict"]))
        lines.append(f"  {verdict}  {one['claim']}")
        lines += [f"  {'':14}  {one['figure']}"] if one["figure"] else []
    return [*lines, "--html FILE writes the whole of it as a page"]


def _verdict_kind(verdict: str) -> Kind:
    kinds: dict[str, Kind] = {"met": "good", "not met": "bad"}
    return kinds.get(verdict, "soft")


# --- the samples ------------------------------------------------------------------------------------------


def _samples(args: argparse.Namespace, settings: Settings) -> int:
    api = backend_of(args, settings)
    if args.delete:
        if args.detector or bool(args.camera) == args.all:
            raise StackError("say whose samples to remove: --camera NAME, or --all")
        whose = {"camera": args.camera} if args.camera else {"all": "true"}
        done = table(api.ask("DELETE", f"{PATH}/samples", params=whose))
        tell(json.dumps(done) if args.json else f"{done['removed']:,} samples removed for good")
        return 0
    asked = _asked(detector=args.detector, camera=args.camera, limit=args.limit)
    samples = table(api.ask("GET", f"{PATH}/samples", params=asked))["samples"]
    if args.json:
        tell_document(samples)
        return 0
    tell(*table_of((), [_sample(one, api.url) for one in samples])) if samples else tell(
        "no samples are kept"
    )
    return 0


def _sample(one: Mapping[str, Any], url: str) -> tuple[str, ...]:
    kinds, labels = ", ".join(one["kinds"]), ", ".join(one["labels"])
    at, place = colour(_when(one["at"]), "soft"), colour(f"{url}{one['picture']}", "soft")
    return at, one["detector"], one["camera"], one["light"], f"{kinds} ({labels})", place


def _replace(path: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    try:
        replace_with(path, content)
    except OSError as error:
        raise StackError(f"{path} cannot be written: {error}") from error


def _asked(**query: Any) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value}


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")
