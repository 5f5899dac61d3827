"""docs/performance.md: each part's words by hand, its figures from kept results; a part without one is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

from docs.making.markdown import begun, joined, table

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
WORDS = Path(__file__).with_name("performance.parts.md")
VERDICT = re.compile(r"^- (MET|NOT MET|UNDECIDED[^:]*): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    heading: str  # of its words in performance.parts.md, and on the page
    kept: str  # which results are its own
    page: str  # the module whose `figures` shows one of them, or module:function
    suite: str  # that measures it again


PARTS = (
    Part("Triton on a processor", "cpu-*.json", "benchmarks.cpu.page", "cpu"),
    Part("Triton on a GPU", "gpu-*.json", "benchmarks.gpu.page", "gpu"),
    Part("Open loop: what each side holds", "rate-*.json", "benchmarks.rate.page", "rate"),
    Part("What everything around it costs", "overhead-*.json", "benchmarks.overhead.page", "overhead"),
    Part("What the backend costs", "backend-overhead.json", "benchmarks.pages.backend", "backend"),
    Part(
        "What the client costs", "client-overhead.json", "benchmarks.overhead.page:client_figures", "client"
    ),
    Part("An outside judge", "judge-*.json", "benchmarks.judge.page", "judge"),
    Part("The load generator itself", "load-*.json", "benchmarks.load.page", "load"),
    Part("The baseline", "baseline-*.json", "benchmarks.pages.baseline", "baseline"),
)


@dataclass(frozen=True)
class Kept:
    """One result of a part."""

    part: Part
    file: Path

    @cached_property
    def figures(self) -> str:
        module, _, function = self.part.page.partition(":")
        show = getattr(import_module(module), function or "figures")
        return str(show(json.loads(self.file.read_text(encoding="utf-8")))).strip("\n")

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        """MET or not, and the sentence."""
        return VERDICT.findall(self.figures)

    @property
    def shown(self) -> Iterator[str]:
        name = f"../benchmarks/results/{self.file.name}"
        yield f"From [{self.file.stem}]({name}), by `crossfade bench {self.part.suite}`:"
        yield self.figures
        if self.file.with_suffix(".png").exists():
            yield f"![{self.part.heading}]({Path(name).with_suffix('.png')})"


def page(results: Path = RESULTS) -> str:
    kept = {part: [Kept(part, file) for file in sorted(results.glob(part.kept))] for part in PARTS}
    shown = {part: own for part, own in kept.items() if own}
    return joined(
        begun("How fast", "the kept runs in benchmarks/results, docs/making/performance.parts.md", "performance"),
        *_targets([one for own in shown.values() for one in own]),
        *(text for part, own in shown.items() for text in _part(part, own)),
    )  # fmt: skip


def _targets(kept: list[Kept]) -> Iterator[str]:
    """What was met and what not, of all parts: each again under its own heading, with the figures around it."""
    yield "## What was wanted, and what came of it"
    rows = [
        (f"[{one.part.heading}](#{_anchor(one.part.heading)})", f"**{word}**" if word != "MET" else word, sentence)
        for one in kept for word, sentence in one.verdicts
    ]  # fmt: skip
    if rows:
        met = sum(word == "MET" for _, word, _ in rows)
        yield f"{met} of {len(rows)} targets were met. Why the others were not stands with their figures."
        yield table(("part", "", "target"), rows)
    else:
        yield "No run with a target is kept yet."


def _part(part: Part, kept: list[Kept]) -> Iterator[str]:
    yield f"## {part.heading}"
    if words := words_by_hand().get(part.heading):
        yield words
    for one in kept:
        yield from one.shown


def words_by_hand(file: Path = WORDS) -> dict[str, str]:
    """By heading."""
    pieces = re.split(r"^## (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {heading: words.strip("\n") for heading, words in zip(pieces[1::2], pieces[2::2], strict=True)}


def _anchor(heading: str) -> str:
    """As GitHub makes one."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
