"""What `crossfade compare` does once its words are understood: both sides asked, a report, a verdict."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ai.core.detections import Thresholds
from ai.core.errors import CrossfadeError
from ai.core.labels import COCO_80
from ai.terminal.progress import progress
from backend.commands.words import complain, complain_of, tell, tell_document
from backend.comparing import outcome
from backend.comparing.asking import Desks
from backend.comparing.contenders import Contender
from backend.comparing.errors import CannotCompare
from backend.comparing.feed import Feed
from backend.comparing.house import Addresses, Given, opened
from backend.comparing.outcome import Circumstances
from backend.comparing.progress import Progress
from backend.comparing.run import Comparing, InMemory
from backend.comparing.tally import Tally
from backend.comparing.worst import Worst
from backend.footage import Footage, open_footage
from backend.report.about import parity_of
from backend.report.report import report_of
from backend.settings import Settings
from backend.sides import LEGACY, TRITON
from backend.stack.signals import asked_to_end, ended_by_signals

AGREE, DIFFER, CANNOT = 0, 1, 2


def compare(args: argparse.Namespace, settings: Settings) -> int:
    try:
        return _compared(args, settings)
    except CrossfadeError as error:
        complain_of(error, "crossfade compare")
        return CANNOT


def _compared(args: argparse.Namespace, settings: Settings) -> int:
    """What can be wrong with the words is found before anything is started."""
    a, b = (Contender.parse(text, args.detector, settings) for text in (args.a, args.b))
    if a == b:
        raise CannotCompare(f"--a and --b are both {a.name}: there is nothing to compare")
    footage = open_footage(args.source, args.frames, args.every)
    folder = _folder(args, settings)
    given = Given(args.legacy_url, args.triton_url)
    with ended_by_signals():
        with opened(args.detector, (a, b), given, settings, complain) as addresses:
            tally, worst, about = asyncio.run(_looked(args, settings, (a, b), footage, addresses))
        material = outcome.material_of(tally, worst, about)
        report = report_of(material)
        try:
            outcome.write(folder, report, material.pictures)
        except CannotCompare:
            _tell(args, report, [])  # what took hours is not lost with a disk that is full
            raise
    _tell(args, report, outcome.places(folder))
    return DIFFER if outcome.verdict_of(tally.answer) == "differ" else AGREE


def _tell(args: argparse.Namespace, report: dict[str, Any], places: Sequence[str]) -> None:
    if args.json:
        tell_document(report)
    else:
        tell(*outcome.summary(report), *places)


async def _looked(
    args: argparse.Namespace, settings: Settings, sides: tuple[Contender, Contender], footage: Footage,
    addresses: Addresses,
) -> tuple[Tally, Worst, Circumstances]:  # fmt: skip
    tally = Tally(args.detector, args.tolerance, settings.ramp_promote_alpha, settings.ramp_rollback_alpha)
    worst = Worst(InMemory(), settings.image_limits)
    feed, began = Feed(footage), time.monotonic()
    with (
        asked_to_end(feed.stop),
        progress("compare", footage.count, "pictures", quiet=args.json, short_s=0) as bar,
    ):
        async with Desks(*sides, addresses, args.detector) as desks:
            await Comparing(desks.of, tally, _thresholds(settings), worst, Progress(tally, bar)).run(feed)
    return tally, worst, Circumstances(
        {LEGACY: sides[0].name, TRITON: sides[1].name}, footage.name, footage.count, feed.was_stopped,
        time.monotonic() - began, settings.triton_confidence_threshold,
        parity_of(settings.crossfade_var / "parity", args.detector) if sides[0].side == LEGACY else {},
    )  # fmt: skip


def _folder(args: argparse.Namespace, settings: Settings) -> Path:
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{args.detector}"
    folder: Path = args.out or settings.crossfade_var / "compare" / stamp
    outcome.require_writable(folder)
    return folder


def _thresholds(settings: Settings) -> Thresholds:
    known = settings.triton_class_thresholds
    if unknown := sorted(set(known) - set(COCO_80)):
        raise CannotCompare(f"TRITON_CLASS_THRESHOLDS: {unknown[0]!r} is no class")
    by_class = {COCO_80.index(label): least for label, least in known.items()}
    return Thresholds(settings.triton_confidence_threshold, by_class)
