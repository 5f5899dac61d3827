"""What a ramp, or a comparison of one's own footage, has shown so far: gathered from the store, one document.

`report_of` is what `/api/rollout/report` answers as JSON and what `report_page` makes a page of. Counts are summed
over the epochs of one ramp; what the two sides are called stands in `names`.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ai.core.labels import COCO_80
from backend.ramp.looks import Look, look_record
from backend.report import criteria, figures
from backend.report.about import NAMES
from backend.rollout.books import Counts
from backend.rollout.ramps import Ramp
from backend.rollout.state import InvalidState, RolloutState
from backend.rollout.store import Change, Sample, Store
from backend.sides import SIDES

SCHEMA = 1
IDLE = "idle"
HISTORY = 500  # changes that are searched for this ramp's …
PAGE = 10  # … so many at a time
SAMPLES = 200  # pairs from which the worst are taken
PICTURES = 12  # that go into a page; each has some 50 KB
_NOTHING: Mapping[str, str] = MappingProxyType({})
# What is missed costs a caller more than what is marked twice.
KIND_WEIGHTS: Mapping[str, int] = {"missed": 5, "swapped": 4, "extra": 3, "misplaced": 2, "duplicate": 1}


@dataclass(frozen=True, slots=True)
class Material:
    """All that a report is made of."""

    detector: str
    ramp: Ramp | None
    books: Mapping[str, Counts]  # by epoch, in order
    look: Look | None = None
    changes: tuple[Change, ...] = ()  # oldest first
    samples: tuple[Sample, ...] = ()  # worst first
    pictures: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))  # JPEG, by sample
    about: Mapping[str, str] = field(default_factory=lambda: _NOTHING)  # the words of `report_about`
    made_at: float = 0.0  # unix seconds
    labels: tuple[str, ...] = COCO_80  # by class id
    drawn: bool = True  # both sides' boxes are in the pictures, as `drawing` leaves them

    @property
    def counts(self) -> Counts:
        """Of all epochs together."""
        total: Counter[str] = Counter()
        for counts in self.books.values():
            total.update(counts)
        return total


def gather(store: Store, detector: str, state: RolloutState, about: Mapping[str, str] = _NOTHING) -> Material:
    """For the rollout's own thread (`Rollout.ask`); what cannot be read of a look or a sample is left out."""
    ramp = state.ramps.get(detector)
    samples = worst(_of_ramp(store.samples(SAMPLES, detector=detector), ramp))[:PICTURES]
    pictures = {one.id: store.picture(one.id) for one in samples}
    return Material(
        detector,
        ramp,
        {epoch: store.counts(f"{detector}/{epoch}") for epoch in _epochs(store.books(), detector, ramp)},
        _look(store.record(look_record(detector))),
        _changes(store, detector, ramp),
        samples,
        {name: picture for name, picture in pictures.items() if picture is not None},
        about,
        time.time(),
    )


def report_of(material: Material) -> dict[str, Any]:
    """JSON-able. Every number has its unit in its name; a share is from 0 to 1."""
    counts = material.counts
    return {
        "schema": SCHEMA,
        "detector": material.detector,
        "made_at": material.made_at,
        "names": {side: material.about.get(f"name.{side}", NAMES[side]) for side in SIDES},
        "labels": _labels(material),
        "about": dict(material.about),
        "verdict": criteria.verdict(material.ramp, material.look, material.about),
        "ramp": material.ramp.to_table() if material.ramp else None,
        "look": material.look.to_table() if material.look else None,
        "criteria": criteria.criteria(material.ramp, material.look, counts, material.about),
        "steps": [_step(change, material.detector) for change in material.changes],
        "latency": figures.latency(counts, material.ramp),
        "disagreement": figures.disagreement(material.books, material.look, _fractions(material)),
        **figures.tables(counts, material.samples),
        "drawn": material.drawn,
        "worst": [_worst(sample, material.pictures) for sample in material.samples],
    }


def _labels(material: Material) -> dict[str, str]:
    """Of the classes in the worst pairs, by their id."""
    boxes = (box for one in material.samples for box in (*one.legacy, *one.triton) if len(box) >= 6)
    ids = sorted({int(box[5]) for box in boxes})
    return {str(number): material.labels[number] for number in ids if 0 <= number < len(material.labels)}


def worst(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Those with the gravest differences first, and of two the newer."""
    return tuple(sorted(samples, key=lambda one: (_gravity(one), one.at, one.id), reverse=True))


def _gravity(sample: Sample) -> int:
    return sum(KIND_WEIGHTS.get(kind, 0) for kind in sample.kinds)


def _of_ramp(samples: Iterable[Sample], ramp: Ramp | None) -> Sequence[Sample]:
    return [one for one in samples if ramp is None or one.epoch.startswith(f"{ramp.id}.")]


def _epochs(books: Iterable[str], detector: str, ramp: Ramp | None) -> list[str]:
    """Those of this ramp by their number; without one, what is counted while there is none."""
    own = [name.removeprefix(f"{detector}/") for name in books if name.startswith(f"{detector}/")]
    if ramp is None:
        return [epoch for epoch in own if epoch == IDLE]
    return sorted((epoch for epoch in own if epoch.startswith(f"{ramp.id}.")), key=_number)


def _number(epoch: str) -> int:
    last = epoch.rpartition(".")[2]
    return int(last) if last.isdigit() else 0


def _look(text: str | None) -> Look | None:
    try:
        return Look.from_table(json.loads(text)) if text else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _changes(store: Store, detector: str, ramp: Ramp | None) -> tuple[Change, ...]:
    """What was changed for this detector since its ramp began, oldest first."""
    since = ramp.started_at if ramp else 0.0
    told = [change for change in _history(store, since - 1) if _concerns(change, detector)]
    return tuple(sorted(told, key=lambda change: change.version))


def _history(store: Store, since: float) -> Iterator[Change]:
    """Newest first, a few at a time: each holds two whole states, and these may hold thousands of pins."""
    before: int | None = None
    for _ in range(HISTORY // PAGE):
        page = store.history(PAGE, before)
        yield from (change for change in page if change.at >= since)
        if len(page) < PAGE or page[-1].at < since:
            return
        before = page[-1].version


def _concerns(change: Change, detector: str) -> bool:
    if change.before is None:
        return True
    try:
        before, after = RolloutState.from_table(change.before), change.state
    except InvalidState:
        return False
    return (before.enabled, before.fraction_of(detector), before.ramps.get(detector)) != (
        after.enabled, after.fraction_of(detector), after.ramps.get(detector)
    )  # fmt: skip


def _ramp_after(change: Change, detector: str) -> Ramp | None:
    try:
        return change.state.ramps.get(detector)
    except InvalidState:
        return None


def _fractions(material: Material) -> dict[str, float]:
    """Of each epoch, as the history has it."""
    ramps = [_ramp_after(change, material.detector) for change in material.changes]
    return {ramp.epoch: ramp.fraction for ramp in (*ramps, material.ramp) if ramp is not None}


def _step(change: Change, detector: str) -> dict[str, Any]:
    ramp = _ramp_after(change, detector)
    try:
        fraction = change.state.fraction_of(detector)
    except InvalidState:
        fraction = None
    return {
        "at": change.at,
        "version": change.version,
        "who": change.who,
        "reason": change.reason,
        "fraction": fraction,
        "phase": ramp.phase if ramp else None,
        "figures": change.figures,
    }


def _worst(sample: Sample, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "id": sample.id,
        "at": sample.at,
        "camera": sample.camera,
        "light": sample.light,
        "model_version": sample.model_version,
        "kinds": list(sample.kinds),
        "labels": list(sample.labels),
        "legacy": [list(box) for box in sample.legacy],
        "triton": [list(box) for box in sample.triton],
        "width": sample.width,
        "height": sample.height,
        "has_picture": sample.id in pictures,
    }
