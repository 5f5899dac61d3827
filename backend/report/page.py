"""The report as one page: no script, nothing from elsewhere, to be opened, sent on and printed.

Names of cameras and classes, reasons and models' versions come from outside; all of them are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from backend.report import plots
from backend.report.pairs import worst_pairs
from backend.report.style import STYLE
from backend.report.words import ms, percent, rows_table, share_of, surely, whole
from backend.sides import LEGACY, SIDES, TRITON

SHOWN_ROWS = 12  # of a plot; its table has them all
TABLE_ROWS = 200
_TONES = {"met": "good", "not met": "bad"}
_NONE = '<p class="quiet">None.</p>'
_ABOUT = ("source", "frames", "threshold", "light", "took", "machine")

Report = Mapping[str, Any]


def page(report: Report, pictures: Mapping[str, bytes]) -> str:
    title = f"{report['detector']}: {report['names'][LEGACY]} and {report['names'][TRITON]}"
    body = [
        _banner(report, title),
        _criteria(report),
        _latency(report),
        _disagreement(report),
        _coverage(report),
        _differences(report),
        _troubles(report),
        _steps(report),
        worst_pairs(report, pictures),
        _footer(report),
    ]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # What somebody smuggled in could still ask for nothing: the page has no need of any other host.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
    )
    text = f"{head}<body><main>{''.join(body)}</main></body></html>\n"
    return text.encode(
        "utf-8", "backslashreplace"
    ).decode()  # half a sign of a file's name has no bytes of its own


def _banner(report: Report, title: str) -> str:
    verdict, found, latency = report["verdict"], report["disagreement"], report["latency"]
    band = surely(found["low"], found["high"])
    p95 = [ms(latency[side]["p95_ms"]) for side in SIDES]
    tiles = (
        (percent(found["rate"]), f"disagreement, {band}"),
        (whole(found["samples"]), "samples that are evidence"),
        (p95[1], f"p95 of {report['names'][TRITON]}; {report['names'][LEGACY]} {p95[0]}"),
        _last_tile(report),
    )
    shown = "".join(f'<div class="tile"><b>{escape(a)}</b><span>{escape(b)}</span></div>' for a, b in tiles)
    return (
        f'<header class="banner {_tone(verdict["tone"])}"><h1>{escape(title)}</h1>'
        f'<p class="sentence">{escape(verdict["sentence"])}</p>'
        f'<p class="quiet">As of {_when(report["made_at"])}</p><div class="tiles">{shown}</div></header>'
    )


def _last_tile(report: Report) -> tuple[str, str]:
    """A comparison knows of pictures; a ramp of what was promised."""
    if report["about"].get("kind") == "compare":
        pairs = sum(report["pairs"].values())
        return f"{report['differing_pairs']:,} of {pairs:,}", "pictures differ"
    verdicts = [one["verdict"] for one in report["criteria"]]
    met, failed = verdicts.count("met"), verdicts.count("not met")
    unknown = len(verdicts) - met - failed
    return f"{met} of {len(verdicts)}", f"criteria met, {failed} not met, {unknown} not known here"


def _criteria(report: Report) -> str:
    cards = "".join(
        f'<div class="card"><div class="claim"><b>{one["number"]}. {escape(one["claim"])}</b>'
        f'<span class="word {_TONES.get(one["verdict"], "open")}">{escape(one["verdict"])}</span></div>'
        f'<p class="figure">{escape(one["figure"])}</p><p class="quiet">{escape(one["how"])}</p></div>'
        for one in report["criteria"]
    )
    return f'<section><h2>What was promised</h2><div class="grid">{cards}</div></section>'


def _latency(report: Report) -> str:
    latency, names = report["latency"], _names(report)
    bins = [
        plots.Bin(one["from_ms"], one["to_ms"], (one[LEGACY], one[TRITON])) for one in latency["histogram"]
    ]
    marks = [
        plots.Mark(latency[side]["p95_ms"], number, f"p95 {ms(latency[side]['p95_ms'])}")
        for number, side in enumerate(SIDES) if latency[side]["p95_ms"]
    ]  # fmt: skip
    plot = plots.histogram(bins, names, "How long callers waited", lambda at: f"{at:,.4g} ms", marks)
    rows = [
        (
            names[number],
            whole(latency[side]["count"]),
            *(ms(latency[side][q]) for q in ("p50_ms", "p95_ms", "p99_ms")),
        )
        for number, side in enumerate(SIDES)
    ]
    slow = latency["slow_from_ms"]
    note = f"Slow is what takes longer than {ms(slow)}: legacy's p95 before the ramp." if slow else ""
    table = rows_table(("", "times", "p50", "p95", "p99"), rows)
    return _section("Latency", f'<div class="grid">{_card(plot)}{_card(table, note)}</div>')


def _disagreement(report: Report) -> str:
    found = report["disagreement"]
    points = [plots.BandPoint(one["samples"], one["rate"], one["low"], one["high"]) for one in found["trail"]]
    plot = plots.band(points, found["bound"], "Disagreement as samples came in", lambda at: f"{at:,.0f}")
    whole_ramp = {"epoch": "all", "fraction": None, **found}
    rows = [
        (_epoch(one), whole(one["samples"]), whole(one["worse"]), whole(one["better"]), percent(one["rate"]),
         f"{percent(one['low'])} to {percent(one['high'])}")
        for one in ([*found["epochs"], whole_ramp] if len(found["epochs"]) > 1 else found["epochs"])
    ]  # fmt: skip
    table = rows_table(("epoch", "samples", "worse", "better", "rate", "band"), rows)
    legacy, triton = _names(report)
    note = (
        f"A sample is worse where {triton} saw otherwise than {legacy}, and better where {legacy}, asked twice, "
        "disagreed with itself. The band holds at all times together, with 95 %."
    )
    return _section("Disagreement", f'<div class="grid">{_card(plot)}{_card(table, note)}</div>')


def _coverage(report: Report) -> str:
    covered = report["coverage"]
    heads = ("", "evidence samples", "objects seen", "different", "share")
    classes = _covered_rows(covered["class"])
    plot = plots.bars(
        [plots.BarRow(one["name"], one["seen"], one["different"], share_of(one["different"], one["seen"]))
         for one in covered["class"][:SHOWN_ROWS]],
        "Objects by class", "How many objects of each class were seen, and how many of them differed, in red.",
    )  # fmt: skip
    cameras = [
        (one["name"], whole(one["evidence"]), whole(one["kept_pictures"])) for one in covered["camera"]
    ]
    cards = [
        _card(plot and f"<h3>By class: how often seen, and how often different</h3>{plot}"),
        _card(rows_table(heads, classes[:TABLE_ROWS])),
        _card(rows_table(("camera", "evidence samples", "differing pictures kept"), cameras[:TABLE_ROWS])),
        _card(rows_table(("light", *heads[1:]), _covered_rows(covered["light"]))),
    ]
    return _section("Coverage", f'<div class="grid">{"".join(cards)}</div>')


def _differences(report: Report) -> str:
    kinds = report["kinds"]
    most = max((one["count"] for one in kinds), default=0)
    plot = plots.bars(
        [plots.BarRow(one["kind"], one["count"], one["count"], whole(one["count"])) for one in kinds],
        "Kinds of differences", "How often each kind of difference was found.",
    ) if most else ""  # fmt: skip
    rows = [(one["kind"], whole(one["count"]), _classes(one["classes"])) for one in kinds]
    swaps = [(one["legacy"], one["triton"], whole(one["count"])) for one in report["swaps"][:TABLE_ROWS]]
    heads = (f"{report['names'][LEGACY]} says", f"{report['names'][TRITON]} says", "times")
    pairs = ", ".join(
        f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(report["pairs"].items())
    )
    cards = [
        _card(plot or "<p>No difference was found.</p>", f"Pairs of answers: {pairs or 'none yet'}."),
        _card(rows_table(("kind", "count", "classes"), rows)),
        _card(rows_table(heads, swaps)),
    ]
    return _section("Kinds of differences", f'<div class="grid">{"".join(cards)}</div>')


def _troubles(report: Report) -> str:
    tables = (
        ("Errors, by reason", "errors"),
        ("Comparisons that were not made", "drops"),
        ("Versions that answered", "versions"),
    )
    cards = [_card(f"<h3>{title}</h3>{_counts(report[name]) or _NONE}") for title, name in tables]
    return _section("Errors, drops and versions", f'<div class="grid">{"".join(cards)}</div>')


def _steps(report: Report) -> str:
    rows = [
        (_when(one["at"]), percent(one["fraction"]), one["phase"] or "", one["who"], one["reason"])
        for one in report["steps"]
    ]
    if not rows:
        return ""
    table = rows_table(("when", "share of Triton", "ramp", "who", "why"), rows)
    return _section("Steps", _card(table))


def _footer(report: Report) -> str:
    about = report["about"]
    rows = "".join(f"<dt>{name}</dt><dd>{escape(about[name])}</dd>" for name in _ABOUT if name in about)
    made = f"Crossfade's report on {escape(report['detector'])}, made {_when(report['made_at'])}."
    return f'<footer><dl>{rows}</dl><p class="quiet">{made} The same figures as JSON lie beside this page.</p></footer>'


# --- pieces -----------------------------------------------------------------------------------------------


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _card(content: str, note: str = "") -> str:
    """Nothing at all where there is nothing to show."""
    told = f'<p class="quiet">{escape(note)}</p>' if note else ""
    return f'<div class="card"><div class="wide">{content}</div>{told}</div>' if content else ""


def _covered_rows(covered: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (one["name"], whole(one["evidence"]), whole(one["seen"]), whole(one["different"]),
         share_of(one["different"], one["seen"]))
        for one in covered
    ]  # fmt: skip


def _counts(rows: Sequence[Mapping[str, Any]]) -> str:
    return rows_table(("", "times"), [(one["name"], whole(one["count"])) for one in rows[:TABLE_ROWS]])


def _classes(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{label} {count:,}" for label, count in list(counts.items())[:SHOWN_ROWS])


def _names(report: Report) -> tuple[str, str]:
    return report["names"][LEGACY], report["names"][TRITON]


def _epoch(one: Mapping[str, Any]) -> str:
    return one["epoch"] if one["fraction"] is None else f"{one['epoch']} (at {one['fraction']:.0%})"


def _tone(tone: str) -> str:
    return tone if tone in {"good", "bad"} else "open"


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
