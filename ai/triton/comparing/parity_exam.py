"""The comparison itself, between any two sides: the same labelled pictures, the same judge, one certificate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pycocotools.coco import COCO

from ai.core.detections import Detections
from ai.core.matching import Comparison, compare
from ai.demo.scoring import Scores, Truth, coco_of, found_in, score
from ai.terminal.progress import Bars, progress
from ai.triton.comparing import parity_about
from ai.triton.comparing.agreement import THRESHOLD, summary
from ai.triton.comparing.certificate import Certificate, Data, Level, Reference, Subject
from ai.triton.comparing.certificate import Truth as TruthKind
from ai.triton.comparing.parity_data import LabelledSet, Picture, truth_of
from ai.triton.comparing.parity_sides import Answer, Side, Unanswered

# Under this mAP the weights do not know the labelled classes, and two sides that both find nothing would agree.
KNOWS_ITS_LABELS = 0.1
WORST, ORDINARY = 8, 4  # pictures on the page
AT_ONCE = 4  # times the batch size: so many pictures are asked for before the next look at what came
MAX_RUNS = 3  # of one batch size, until the server has made a batch of it
COUNTED_AFTER_S = (0.0, 0.01, 0.05, 0.2, 0.5)  # looks at what the server counted, and the wait before each


@dataclass(frozen=True, slots=True)
class Legacy:
    """What the legacy side answered, and the truth that both sides are measured with."""

    reference: Reference
    answers: tuple[Answer, ...]
    truth: COCO
    data: Data


@dataclass(frozen=True, slots=True)
class Candidate:
    subject: Subject
    device: str
    side: Side
    batches: tuple[int, ...]
    server: str | None = None  # Triton's version


@dataclass(frozen=True, slots=True)
class Example:
    picture: Picture
    comparison: Comparison
    batch: int


@dataclass(frozen=True, slots=True)
class Report:
    certificate: Certificate
    worst: tuple[Example, ...]
    ordinary: tuple[Example, ...]


async def ask_legacy(
    side: Side,
    engine: str,
    device: str,
    labels: tuple[str, ...],
    pictures: LabelledSet,
    bars: Bars = progress,
) -> Legacy:
    """`labels` are the detector's own."""
    answers = await _ask_all("legacy", side, pictures, 1, bars)
    kind, truths = _truth(answers, pictures.truths_for(labels), labels)
    truth = coco_of(truths, labels)
    scores = _score(truth, answers)
    found = sorted({labels[category] for one in truths for category in one.class_ids.tolist()})
    return Legacy(
        Reference(engine, device, scores.map50_95, scores.map50, _unanswered(pictures, answers)),
        tuple(answers),
        truth,
        Data(pictures.source, kind, len(answers), scores.objects, tuple(found), pictures.digest),
    )


def _truth(
    answers: Sequence[Answer], labelled: list[Truth], labels: tuple[str, ...]
) -> tuple[TruthKind, list[Truth]]:
    if _score(coco_of(labelled, labels), answers).map50_95 >= KNOWS_ITS_LABELS:
        return "labels", labelled
    return "reference", [truth_of(_seen(answer)) for answer in answers]


async def examine(
    legacy: Legacy, candidate: Candidate, pictures: LabelledSet, bars: Bars = progress
) -> Report:
    began = time.monotonic()
    levels: list[Level] = []
    examples: dict[int, Example] = {}
    for batch in candidate.batches:
        answers, sizes = await _ask_in_batches(candidate, pictures, batch, bars)
        comparisons = _compared(legacy.answers, answers)
        levels.append(_level(batch, sizes, legacy.truth, answers, list(comparisons.values()), pictures))
        for index, comparison in comparisons.items():
            example = Example(pictures.pictures[index], comparison, batch)
            examples[index] = max(examples.get(index, example), example, key=_apart)
    certificate = Certificate(
        subject=candidate.subject,
        device=candidate.device,
        data=legacy.data,
        reference=legacy.reference,
        levels=tuple(levels),
        versions=parity_about.versions(candidate.server),
        machine=parity_about.machine(),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        took_s=round(time.monotonic() - began, 1),
    )
    return Report(certificate, *_chosen(list(examples.values())))


async def _ask_in_batches(
    candidate: Candidate, pictures: LabelledSet, batch: int, bars: Bars
) -> tuple[list[Answer], dict[int, int]]:
    """The answers, and how many batches of each size were run for them."""
    side, what = candidate.side, f"{candidate.subject.model}, batch {batch}"
    for _ in range(MAX_RUNS):
        before = await side.batches()
        answers = await _ask_all(what, side, pictures, batch, bars)
        answered = sum(not isinstance(answer, Unanswered) for answer in answers)
        sizes = await _executed(side, before, answered)
        if batch in sizes:
            break
    return answers, sizes


async def _executed(side: Side, before: Mapping[int, int], answered: int) -> dict[int, int]:
    """How many batches of each size since `before`. Triton counts a batch a moment after its answers have left."""
    for pause_s in COUNTED_AFTER_S:
        await asyncio.sleep(pause_s)
        after = await side.batches()
        sizes = {size: new for size in sorted(after) if (new := after[size] - before.get(size, 0)) > 0}
        if sum(size * new for size, new in sizes.items()) >= answered:
            break
    return sizes


async def _ask_all(what: str, side: Side, pictures: LabelledSet, together: int, bars: Bars) -> list[Answer]:
    """One answer for each picture. A side that has stopped answering is not asked for all the others too."""
    encoded = [picture.encoded for picture in pictures.pictures]
    answers: list[Answer] = []
    step = max(8, AT_ONCE * together)
    with bars(what, len(encoded), "pictures") as bar:
        for first in range(0, len(encoded), step):
            part = await side.ask(encoded[first : first + step], together)
            answers += part
            if all(isinstance(answer, Unanswered) for answer in part):
                left = len(encoded) - len(answers)
                return answers + [Unanswered("not asked: the side had stopped answering")] * left
            bar.advance(len(part))
    return answers


def _compared(legacy: Sequence[Answer], other: Sequence[Answer]) -> dict[int, Comparison]:
    """By picture; those that a side left unanswered are told of elsewhere."""
    return {
        index: compare(one, two, THRESHOLD)
        for index, (one, two) in enumerate(zip(legacy, other, strict=True))
        if isinstance(one, Detections) and isinstance(two, Detections)
    }


def _level(
    batch: int, sizes: dict[int, int], truth: COCO, answers: list[Answer], comparisons: list[Comparison],
    pictures: LabelledSet,
) -> Level:  # fmt: skip
    scores = _score(truth, answers)
    unanswered = _unanswered(pictures, answers)
    return Level(batch, sizes, scores.map50_95, scores.map50, summary(comparisons), unanswered)


def _score(truth: COCO, answers: Sequence[Answer]) -> Scores:
    return score(truth, [row for index, one in enumerate(answers) for row in found_in(index, _seen(one))])


def _seen(answer: Answer) -> Detections:
    return Detections((), 1, 1) if isinstance(answer, Unanswered) else answer


def _unanswered(pictures: LabelledSet, answers: Sequence[Answer]) -> tuple[str, ...]:
    return tuple(
        f"{picture.name}: {answer.reason}"
        for picture, answer in zip(pictures.pictures, answers, strict=True)
        if isinstance(answer, Unanswered)
    )


def _chosen(examples: list[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Where the sides are farthest apart; and of the others some that show much."""
    ordered = sorted(examples, key=_apart, reverse=True)
    rest = sorted(ordered[WORST:], key=lambda one: len(one.comparison.pairs), reverse=True)
    return tuple(ordered[:WORST]), tuple(rest[:: max(1, len(rest) // ORDINARY)][:ORDINARY])


def _apart(example: Example) -> tuple[int, float]:
    return example.comparison.disagreements, example.comparison.drift
