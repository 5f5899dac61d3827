"""`crossfade batch DIR --out FILE`: every picture below a folder through the backend, a line of JSON for each."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import Any

from ai.core.errors import CrossfadeError
from ai.terminal.progress import progress
from backend.batch.asking import Asking
from backend.batch.names import Shard
from backend.batch.run import Run, Source, Tally
from backend.batch.throttle import MOST, Adaptive, Fixed, Throttle
from backend.batch.work import Order, Work, prepared
from backend.commands.asking import add_asking, backend_of
from backend.commands.statuses import Status, status_of
from backend.commands.words import Commands, complain, complain_of, share, tell, tell_document
from backend.settings import DETECTORS, Settings
from backend.sides import SIDES
from backend.stack.backend_api import BackendApi
from backend.stack.signals import asked_to_end, ended_by_signals

AUTO = "auto"
PATIENCE_S = 300.0


def add_words(commands: Commands) -> None:
    batch = add_asking(
        commands, "batch", _batch, "every picture below a folder through the backend, a line of JSON for each",
        "  crossfade batch pictures/ --out results.jsonl\n"
        "  crossfade batch pictures/ --out results.jsonl --resume           after whatever ended it: nothing twice\n"
        "  crossfade batch pictures/ --out part-2.jsonl --shard 2/8         the third of eight parts, by name\n"
        "Exit status 0: each picture has its line, and no other run would change one; 1: some errors may pass,\n"
        "or a file cannot be written; 3: no backend answered for --patience seconds; 4: it refuses what is\n"
        "asked. After all of them --resume goes on. docs/batch.md says more.",
    )  # fmt: skip
    _add_places(batch)
    batch.add_argument(
        "--shard", type=_shard, default=Shard(), metavar="I/N", help="part I of N, I from 0 to N-1"
    )
    batch.add_argument("--backend", choices=(AUTO, *SIDES), default=AUTO, help="auto: as the rollout decides")
    batch.add_argument("--detector", help=f"{' or '.join(DETECTORS)} (TRITON_MODEL, rtdetr)")
    batch.add_argument(
        "--min-confidence", type=share, metavar="SCORE", help="(TRITON_CONFIDENCE_THRESHOLD, 0.5)"
    )
    batch.add_argument(
        "--concurrency",
        type=_count,
        metavar="N",
        help="always so many at once (as many as help, and none in the way)",
    )
    batch.add_argument(
        "--patience", type=_seconds, default=PATIENCE_S, metavar="S",
        help=f"how long a backend that answers nothing is asked again ({PATIENCE_S:.0f})",
    )  # fmt: skip
    batch.add_argument("--json", action="store_true", help="a summary as JSON, and no progress")


def _add_places(batch: argparse.ArgumentParser) -> None:
    batch.add_argument("folder", type=Path, metavar="DIR")
    batch.add_argument(
        "--out", type=_file, required=True, metavar="FILE", help="a line of JSON for each answer"
    )
    batch.add_argument("--resume", action="store_true", help="go on with FILE, or begin where there is none")
    batch.add_argument(
        "--errors", type=_file, metavar="FILE", help="a line for each picture without one (OUT.errors.jsonl)"
    )


def _batch(args: argparse.Namespace, settings: Settings) -> int:
    try:
        with ended_by_signals(), prepared(_order(args)) as work:
            return _worked(args, settings, work)
    except CrossfadeError as error:
        complain_of(error, "crossfade batch")
        return status_of(error)


def _worked(args: argparse.Namespace, settings: Settings, work: Work) -> int:
    """However it ends, it says how far it came."""
    began_s, tally = time.monotonic(), Tally()
    _tell_missed(work)
    try:
        asyncio.run(_run(args, settings, work, tally))
        status = _status(tally, work)
    except CrossfadeError as error:
        complain_of(error, "crossfade batch")
        status = status_of(error)
    summary = {
        "pictures": work.pictures, "done_before": work.pictures - work.waiting, "answered": tally.answered,
        "refused": tally.refused, "failed": tally.failed, "unreadable_folders": len(work.listing.unreadable),
        "turned_away": tally.turned_away, "seconds": round(time.monotonic() - began_s, 3), "status": int(status),
        "out": str(args.out), "errors": str(_errors(args)),
    }  # fmt: skip
    if args.json:
        tell_document(summary)
    else:
        tell(*_words(summary, status))
    return status


async def _run(args: argparse.Namespace, settings: Settings, work: Work, tally: Tally) -> None:
    api = backend_of(args, settings)
    source = Source(args.folder, work.names, settings.max_image_bytes)
    with progress("batch", work.waiting, unit="pictures", quiet=args.json) as bar:
        run = Run(source, _asking(args, api), _throttle(args), work.sheets, bar, args.patience, tally)
        with asked_to_end(run.stop):
            await run.run()


def _asking(args: argparse.Namespace, api: BackendApi) -> Asking:
    query = {"detector": args.detector, "min_confidence": args.min_confidence, "backend": _side(args)}
    return Asking(api.url, api.headers, query)


def _throttle(args: argparse.Namespace) -> Throttle:
    return Fixed(args.concurrency) if args.concurrency else Adaptive(time.monotonic())


def _order(args: argparse.Namespace) -> Order:
    return Order(
        args.folder, _real(args.out), _real(_errors(args)), args.shard, args.resume, args.detector, _side(args),
        args.min_confidence,
    )  # fmt: skip


def _real(path: Path) -> Path:
    """The notes that lock it lie beside the file itself, whatever link it is reached by."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _errors(args: argparse.Namespace) -> Path:
    out: Path = args.out
    return args.errors or out.with_name(f"{out.name.removesuffix('.jsonl')}.errors.jsonl")


def _side(args: argparse.Namespace) -> str | None:
    return None if args.backend == AUTO else args.backend


def _tell_missed(work: Work) -> None:
    if links := work.listing.links_to_folders:
        complain(f"{links:,} links to folders are not followed")
    if unreadable := work.listing.unreadable:
        complain(f"{len(unreadable):,} folders cannot be read; they stand among the errors")


def _status(tally: Tally, work: Work) -> Status:
    if tally.was_stopped:
        return Status.INTERRUPTED
    return Status.NOT_DONE if tally.failed or work.listing.unreadable else Status.DONE


def _words(summary: dict[str, Any], status: Status) -> list[str]:
    rate = summary["answered"] / max(summary["seconds"], 1e-9)
    before = f", {summary['done_before']:,} were done before" if summary["done_before"] else ""
    lines = [f"{summary['answered']:,} pictures answered ({rate:.1f}/s){before}: {summary['out']}"]
    if summary["refused"] or summary["failed"]:
        lines += [
            f"{summary['refused']:,} refused for what they are, {summary['failed']:,} failed and may be tried again: "
            f"{summary['errors']}"
        ]
    if status is not Status.DONE:
        lines += [_NEXT.get(status, "what is told stays; --resume goes on")]
    return lines


_NEXT = {
    Status.INTERRUPTED: "stopped; --resume goes on",
    Status.REFUSED: "mend what was asked; with the same words --resume goes on",
}


def _file(text: str) -> Path:
    if not (path := Path(text)).name:
        raise ValueError
    return path


def _shard(text: str) -> Shard:
    return Shard.parse(text)


def _count(text: str) -> int:
    if not 1 <= (count := int(text)) <= MOST:
        raise ValueError
    return count


def _seconds(text: str) -> float:
    if not 0 < (seconds := float(text)) <= 86_400:
        raise ValueError
    return seconds


_file.__name__ = "name of a file"
_shard.__name__ = "part I/N, such as 0/8 or 7/8"  # argparse shows it
_count.__name__ = f"whole number from 1 to {MOST}"
_seconds.__name__ = "number of seconds, up to a day"
