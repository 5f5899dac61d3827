"""What a comparison came to: do they agree, in words; the report's document and page; a few lines for a terminal."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ai.core.labels import COCO_80
from backend.comparing.errors import CannotCompare
from backend.comparing.tally import EPOCH, Tally
from backend.comparing.worst import Worst
from backend.private_files import replace_with
from backend.ramp.looks import Answer
from backend.report.page import page
from backend.report.report import Material
from backend.report.words import ms, percent
from backend.sides import LEGACY, SIDES, TRITON, Side

HTML, JSON = "report.html", "report.json"
SHOWN_KINDS = 5

Verdict = Literal["agree", "open", "differ"]
_TONES: Mapping[Verdict, str] = {"agree": "good", "open": "open", "differ": "bad"}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is told of a comparison beside its figures."""

    names: Mapping[Side, str]
    source: str
    asked_for: int | None  # pictures
    stopped: bool  # before the footage ended
    took_s: float
    threshold: float
    parity: Mapping[str, str]


def verdict_of(answer: Answer) -> Verdict:
    """They differ when the evidence says so; they agree when so much is shown; between the two it is open."""
    if answer.ill >= answer.ill_at:
        return "differ"
    return "agree" if answer.high is not None and answer.high <= answer.bound else "open"


def sentence(answer: Answer, names: Mapping[Side, str]) -> str:
    low = percent(max(0.0, answer.low or 0.0))
    high, bound = percent(answer.high), percent(answer.bound)
    sees = f"{names[TRITON]} sees otherwise than {names[LEGACY]}"
    match verdict_of(answer):
        case "differ":
            return f"They differ: {sees} in {percent(answer.rate)} of the samples, and {bound} is tolerated."
        case "agree":
            return f"They agree: {sees} in at most {high} of the samples, and {bound} is tolerated."
    more = max(0, answer.needed - answer.asked)
    hint = f" About {more:,} more without a difference would show that it is under {bound}." if more else ""
    return f"They agree as far as {answer.asked:,} samples can tell: {sees} in {low} to {high}.{hint}"


def material_of(tally: Tally, worst: Worst, about: Circumstances) -> Material:
    if not tally.evidence.asked:
        raise CannotCompare(_why_nothing(tally, about.names))
    answer = tally.answer
    words = {
        "kind": "compare",
        "verdict": sentence(answer, about.names),
        "tone": _TONES[verdict_of(answer)],
        **{f"name.{side}": name for side, name in about.names.items()},
        "source": about.source,
        "frames": _frames(tally, about),
        "threshold": f"{about.threshold:g}, the least score that counts as seen",
        "took": f"{about.took_s:,.0f} s, {tally.pairs / max(about.took_s, 1e-9):.1f} pictures/s",
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        **about.parity,
    }
    return Material(
        tally.detector, None, {EPOCH: dict(tally.counts)}, tally.look(), (), worst.samples, worst.pictures, words,
        time.time(), _labels(tally.labels), drawn=False,
    )  # fmt: skip


def write(folder: Path, report: Mapping[str, Any], pictures: Mapping[str, bytes]) -> None:
    """The document, and the page beside it: for this user only, it shows somebody's home."""
    try:
        replace_with(folder / JSON, f"{json.dumps(report, indent=1)}\n".encode())
        replace_with(folder / HTML, page(report, pictures).encode())
    except OSError as error:
        raise CannotCompare(f"the report cannot be written: {error}") from error


def require_writable(folder: Path) -> None:
    """Found before hours of comparing, not after them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        taken = [name for name in (HTML, JSON) if (folder / name).is_dir()]
    except OSError as error:
        raise CannotCompare(f"--out {folder} cannot be written to: {error.strerror}") from error
    if taken:
        raise CannotCompare(f"--out {folder} cannot be written to: {taken[0]} is a folder there")


def summary(report: Mapping[str, Any]) -> list[str]:
    found, latency, names = report["disagreement"], report["latency"], report["names"]
    kinds = sorted(
        (
            (count, f"{one['kind']} {label}")
            for one in report["kinds"]
            for label, count in one["classes"].items()
        ),
        reverse=True,
    )
    return [
        report["verdict"]["sentence"],
        "",
        f"  pictures      {report['about']['frames']}",
        f"  disagreement  {percent(found['rate'])} of {found['samples']:,} samples, band {percent(found['low'])} to "
        f"{percent(found['high'])}",
        f"  differences   {', '.join(f'{words} {count:,}' for count, words in kinds[:SHOWN_KINDS]) or 'none'}",
        *(f"  time          p50 {ms(latency[side]['p50_ms'])}, p95 {ms(latency[side]['p95_ms'])} ({names[side]})"
          for side in SIDES),
        *(f"  unanswered    {one['name']} {one['count']:,}" for one in report["errors"]),
    ]  # fmt: skip


def places(folder: Path) -> list[str]:
    return ["", f"  {folder / HTML}", f"  {folder / JSON}"]


def _frames(tally: Tally, about: Circumstances) -> str:
    words = f"{tally.pairs:,} compared"
    if about.asked_for and about.stopped:
        words += f" of {about.asked_for:,}, stopped before the end"
    if tally.unreadable:
        words += f"; {tally.unreadable:,} that neither side can read"
    return words


def _why_nothing(tally: Tally, names: Mapping[Side, str]) -> str:
    if tally.pairs:
        return f"nothing could be compared: {names[LEGACY]} answered none of {tally.pairs:,} pictures twice"
    if tally.unreadable:
        return f"nothing could be compared: neither side can read any of the {tally.unreadable:,} pictures"
    return "nothing could be compared: the footage was stopped before its first picture"


def _labels(seen: Mapping[int, str]) -> tuple[str, ...]:
    """By class id: COCO's where the models did not say otherwise."""
    count = max([len(COCO_80), *(number + 1 for number in seen)])
    known = dict(enumerate(COCO_80)) | dict(seen)
    return tuple(known.get(number, f"class {number}") for number in range(count))
