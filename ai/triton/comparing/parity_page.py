"""The page beside a certificate: the verdict, the figures, and the pictures in which the sides are farthest apart.

One file without scripts. Whatever comes from outside (labels, file names, a server's words) is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

import cv2
import simplejpeg

from ai.core.image import decode
from ai.core.matching import BORDER, DIFFERENCES, MIN_IOU, Seen
from ai.triton.comparing.agreement import THRESHOLD
from ai.triton.comparing.certificate import (
    MAX_DISAGREEMENT,
    MAX_MAP_DIFFERENCE,
    MAX_SCORE_DIFFERENCE,
    Certificate,
    Level,
    Reference,
)
from ai.triton.comparing.parity_exam import Example, Report

SHOWN_WIDTH_PX = 800
JPEG_QUALITY = 80
SHOWN_UNANSWERED = 10

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1d2430; --quiet: #5b6573; --line: #d8dde4;
  --good: #12703a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181e; --text: #e4e8ee; --quiet: #9aa5b3;
  --line: #333c47; --good: #5fd38d; --bad: #ff8a80; } }
body { margin: 0 auto; max-width: 1100px; padding: 1.5rem; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .quiet { color: var(--quiet); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--quiet); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .9rem; }
dt { color: var(--quiet); } dd { margin: 0; }
figure { margin: 1.5rem 0; } figcaption { color: var(--quiet); font-size: .9rem; margin-bottom: .4rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; }
@media (max-width: 700px) { .pair { grid-template-columns: 1fr; } }
.pair p { margin: .2rem 0; font-size: .85rem; } svg { display: block; width: 100%; max-height: 32rem; }
svg rect { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
svg text { font-family: system-ui, sans-serif; font-weight: 600; paint-order: stroke; stroke: #000;
  fill: #fff; }
.same { stroke: #4cd07d; } .missed { stroke: #ff5252; } .extra { stroke: #ffb300; } .swapped { stroke: #ff5cf4; }
.misplaced { stroke: #4fc3ff; } .duplicate { stroke: #ffb300; stroke-dasharray: 2 3; }
.borderline { stroke: #c5ccd6; stroke-dasharray: 5 4; }
"""


def page(report: Report) -> str:
    certificate = report.certificate
    title = f"{certificate.subject.model} on {certificate.subject.engine}: parity"
    parts = [
        _verdict(certificate),
        _levels(certificate),
        _classes(certificate),
        _pictures("Where the two sides are farthest apart", report.worst, "worst"),
        _pictures("Ordinary pictures", report.ordinary, "ordinary"),
        _about(certificate),
    ]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
    )
    return f"{head}<body>{''.join(parts)}</body></html>\n"


def _verdict(certificate: Certificate) -> str:
    subject, data = certificate.subject, certificate.data
    word = '<span class="good">passed</span>' if certificate.passed else '<span class="bad">failed</span>'
    reasons = "".join(f"<li>{escape(problem)}</li>" for problem in certificate.problems)
    truth = (
        "Both are measured with the labels of these pictures."
        if data.truth == "labels"
        else f"Nothing that this detector knows is labelled here, so what legacy is sure of (score {THRESHOLD} "
        "or more) is the truth that both are measured with."
    )
    return (
        f"<h1>{escape(subject.model)} on {escape(subject.engine)}: parity {word}</h1>"
        f"{f'<ul class=bad>{reasons}</ul>' if reasons else ''}"
        f"<p>Legacy ({escape(certificate.reference.engine)} on {escape(certificate.reference.device)}) and Triton "
        f"({escape(subject.engine)}, {escape(subject.precision)}, on {escape(certificate.device)}) looked at the same "
        f"{data.pictures} pictures with {data.objects} objects. {truth}</p>"
        f'<p class="quiet">To pass: mAP50-95 differs by at most {MAX_MAP_DIFFERENCE}, scores by at most '
        f"{MAX_SCORE_DIFFERENCE} on average, at most {MAX_DISAGREEMENT:.0%} of the objects are missed, extra, "
        "misplaced or of another class, no class is gone and no picture unanswered, at every batch size.</p>"
    )


def _levels(certificate: Certificate) -> str:
    reference = certificate.reference
    levels = certificate.levels
    legacy = (
        f"{reference.map50_95:.4f}",
        "",
        f"{reference.map50:.4f}",
        *[""] * (len(_FIGURES) - 5),
        str(len(reference.unanswered)),
    )
    columns = [(*legacy, ""), *(_level(level, reference) for level in levels)]
    heads = ("", "legacy", *(f"Triton, batch {level.batch}" for level in levels))
    rows = [(name, *cells) for name, cells in zip(_FIGURES, zip(*columns, strict=True), strict=True)]
    return f"<h2>Figures</h2>{_table(heads, rows)}{_unanswered(certificate)}"


_KINDS = (*DIFFERENCES, "borderline")
_FIGURES = (
    "mAP50-95", "difference to legacy", "mAP50", "difference to legacy",
    "IoU of pairs, mean", "99 % are over", "least",
    "score difference, mean", "99 % are under", "greatest",
    *_KINDS, "unanswered pictures", "batches that ran",
)  # fmt: skip


def _level(level: Level, reference: Reference) -> tuple[str, ...]:
    found = level.agreement
    counts = (sum(getattr(tally, kind) for tally in found.by_class.values()) for kind in _KINDS)
    return (
        f"{level.map50_95:.4f}", f"{level.map50_95 - reference.map50_95:+.5f}",
        f"{level.map50:.4f}", f"{level.map50 - reference.map50:+.5f}",
        *map(_digits, (found.iou_mean, found.iou_p1, found.iou_min)),
        *map(_digits, (found.score_difference_mean, found.score_difference_p99, found.score_difference_max)),
        *map(str, counts), str(len(level.unanswered)),
        ", ".join(f"{count} of {size}" for size, count in level.batches_seen.items()),
    )  # fmt: skip


def _classes(certificate: Certificate) -> str:
    if not certificate.levels:
        return ""
    level = max(certificate.levels, key=lambda one: one.agreement.disagreements)
    rows = [
        (label, *(str(getattr(tally, kind)) for kind in ("same", *_KINDS)))
        for label, tally in level.agreement.by_class.items()
    ]
    names = ("", "same", *_KINDS)
    note = (
        f"Of batch {level.batch}, where the sides differ most. Pairs of one class share {MIN_IOU} of their area or "
        f"more; what scores within {BORDER} of {THRESHOLD} is borderline, and no error."
    )
    return f'<h2>By class</h2><p class="quiet">{note}</p>{_table(names, rows)}'


def _unanswered(certificate: Certificate) -> str:
    told = [("legacy", certificate.reference.unanswered)]
    told += [(f"Triton, batch {level.batch}", level.unanswered) for level in certificate.levels]
    items = [f"{who}: {reason}" for who, reasons in told for reason in reasons[:SHOWN_UNANSWERED]]
    return f"<ul class=bad>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""


def _pictures(title: str, examples: Sequence[Example], prefix: str) -> str:
    figures = "".join(_figure(example, f"{prefix}-{index}") for index, example in enumerate(examples))
    return f"<h2>{escape(title)}</h2>{figures}" if figures else ""


def _figure(example: Example, name: str) -> str:
    """The picture is in the page once; the second half refers to it."""
    pixels = decode(example.picture.encoded)
    height, width = pixels.shape[:2]
    if width > SHOWN_WIDTH_PX:
        size = (SHOWN_WIDTH_PX, max(1, round(height * SHOWN_WIDTH_PX / width)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    encoded = base64.b64encode(simplejpeg.encode_jpeg(pixels, quality=JPEG_QUALITY)).decode()
    again = f'<use href="#{name}"/>'
    image = f'<image id="{name}" width="{width}" height="{height}" href="data:image/jpeg;base64,{encoded}"/>'
    comparison = example.comparison
    told = (
        f"{example.picture.name}, batch {example.batch}: {comparison.disagreements} differences; "
        f"the {len(comparison.pairs)} pairs differ by {comparison.drift:.4f} at most (1 − IoU + score difference)"
    )
    return (
        f'<figure><figcaption>{escape(told)}</figcaption><div class="pair">'
        f"{_half('legacy', image, comparison.legacy, width, height)}"
        f"{_half('Triton', again, comparison.other, width, height)}</div></figure>"
    )


def _half(who: str, image: str, seen: Sequence[Seen], width: int, height: int) -> str:
    boxes = "".join(_box(one, width, height) for one in seen)
    words = ", ".join(_words(one) for one in seen) or "nothing"
    return (
        f'<div><svg viewBox="0 0 {width} {height}" role="img" aria-label="{who}">{image}{boxes}</svg>'
        f"<p><b>{who}</b> sees {escape(words)}</p></div>"
    )


def _box(seen: Seen, width: int, height: int) -> str:
    """What both see is named above its box, what one side sees alone below: their names meet less often."""
    one, size = seen.detection, max(9.0, width / 50)
    y = one.y1 - size / 3 if seen.kind == "same" else one.y2 + size
    x, anchor = (one.x2, "end") if one.x1 > width * 0.7 else (one.x1, "start")
    return (
        f'<rect class="{seen.kind}" x="{one.x1:.1f}" y="{one.y1:.1f}" width="{one.width:.1f}" '
        f'height="{one.height:.1f}"/><text x="{x:.1f}" y="{min(max(y, size), height - size / 3):.1f}" '
        f'text-anchor="{anchor}" font-size="{size:.1f}" stroke-width="{size / 5:.1f}">{escape(_words(seen))}</text>'
    )


def _words(seen: Seen) -> str:
    kind = "" if seen.kind == "same" else f"{seen.kind}: "
    return f"{kind}{seen.detection.label} {seen.detection.score:.2f}"


def _about(certificate: Certificate) -> str:
    subject, data = certificate.subject, certificate.data
    facts = {
        "model": f"{subject.model}, version {subject.version}",
        "weights": subject.fingerprint,
        "pictures": f"{data.source}: {data.pictures}, with {data.objects} objects ({', '.join(data.classes)})",
        "hash of the pictures": data.digest,
        "machine": certificate.machine,
        "versions": ", ".join(f"{name} {version}" for name, version in certificate.versions.items()),
        "made": f"{certificate.made_at}, in {certificate.took_s:.0f} s",
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<h2>About this run</h2><dl>{rows}</dl>"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.5f}"
