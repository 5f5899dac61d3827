"""What a parity run found, and whether that is enough. Numbers are kept, the verdict is always made anew from them.

The ramp asks `standing(path, wanted)`: a certificate counts for the weights, the engine and the version that it was
made with, and for no others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ai.core.errors import CrossfadeError

SCHEMA = 1
FILE, PAGE = "parity.json", "index.html"

MAX_MAP_DIFFERENCE = 0.001
# mAP sees the order of scores, not their size: an engine that halves every score has the same mAP and loses
# half of what is shown. Measured: FP32 differs by 0.00001 on average, scores that are 1 % off by 0.0075.
MAX_SCORE_DIFFERENCE = 0.005
# mAP looks at labelled classes only. Of everything that a side is sure of, this much may be seen otherwise.
MAX_DISAGREEMENT = 0.01
MIN_OBJECTS = 10  # fewer prove nothing
# On few pictures mAP moves in steps, and FP16's rounding alone can take some: 0.0024 on 64 scenes, 0.0008 on 400.
FEW_PICTURES, NARROW = 400, 0.004
LOST_FROM = 3  # a class that legacy is sure of so often, and the other side never sees, is gone

Truth = Literal["labels", "reference"]


class BadCertificate(CrossfadeError):
    pass


@dataclass(frozen=True, slots=True)
class Subject:
    """What a certificate is about."""

    detector: str
    model: str  # as Triton calls it
    version: str
    engine: str
    precision: str
    fingerprint: str  # of the weights and their export

    def differs_from(self, other: Subject) -> str | None:
        """The first thing in which they differ, in words."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if mine != theirs:
                name = "weights" if one.name == "fingerprint" else one.name
                return f"{name} {_short(mine)}, not {_short(theirs)}"
        return None

    @property
    def folder(self) -> Path:
        """Where its certificate lies among others: `yolo26/openvino`; what is out of the ordinary adds to that."""
        own = self.model.removeprefix(self.detector).strip("_") or "tensor"
        parts = (
            self.engine,
            "" if self.precision in {"f32", "f16"} else self.precision,
            "" if own == "jpeg" else own,
        )
        return Path(self.detector) / "-".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Data:
    """The pictures. Where nothing is labelled that the detector knows, what legacy is sure of is the truth."""

    source: str
    truth: Truth
    pictures: int
    objects: int
    classes: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Tally:
    """One class, over all pictures."""

    same: int = 0
    missed: int = 0
    extra: int = 0
    swapped: int = 0  # counted under the class that legacy gave
    borderline: int = 0
    misplaced: int = 0  # until this had a name, it was one missed and one extra
    duplicate: int = 0  # … and this was extra

    @property
    def disagreements(self) -> int:
        return self.missed + self.extra + self.swapped + self.misplaced + self.duplicate

    @property
    def lost(self) -> bool:
        return self.same == 0 and self.missed + self.swapped + self.misplaced >= LOST_FROM


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the two sides' boxes are. A figure of pairs is None where there is no pair."""

    pairs: int = 0
    iou_mean: float | None = None
    iou_p1: float | None = None
    iou_min: float | None = None
    score_difference_mean: float | None = None
    score_difference_p99: float | None = None
    score_difference_max: float | None = None
    by_class: Mapping[str, Tally] = field(default_factory=dict)

    @property
    def disagreements(self) -> int:
        return sum(tally.disagreements for tally in self.by_class.values())

    @property
    def seen(self) -> int:
        """Objects that at least one side is sure of."""
        return sum(tally.same + tally.disagreements for tally in self.by_class.values())


@dataclass(frozen=True, slots=True)
class Reference:
    """The legacy side, asked one picture at a time, as its service is."""

    engine: str
    device: str
    map50_95: float
    map50: float
    unanswered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """The other side at one batch size."""

    batch: int
    batches_seen: Mapping[int, int]  # how many executions of each size the server counted
    map50_95: float
    map50: float
    agreement: Agreement
    unanswered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    subject: Subject
    device: str
    data: Data
    reference: Reference
    levels: tuple[Level, ...]
    versions: Mapping[str, str]
    machine: str
    made_at: str
    took_s: float

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it does not pass, each a sentence; empty when it does."""
        return tuple(_problems(self))

    @property
    def passed(self) -> bool:
        return not self.problems

    @property
    def worst_map_difference(self) -> float:
        """The difference (other side minus legacy) that is farthest from nothing."""
        return max((level.map50_95 - self.reference.map50_95 for level in self.levels), key=abs, default=0.0)

    def to_json(self) -> str:
        verdict = {"schema": SCHEMA, "passed": self.passed, "problems": self.problems,
                   "map50_95_difference": self.worst_map_difference}  # fmt: skip
        return json.dumps({**verdict, **asdict(self)}, indent=1) + "\n"


@dataclass(frozen=True, slots=True)
class Standing:
    holds: bool
    reason: str


def standing(path: Path, wanted: Subject) -> Standing:
    """Whether a certificate lies there that lets `wanted` take traffic. Never raises: doubt means no."""
    try:
        return covers(load(path), wanted)
    except BadCertificate as error:
        return Standing(False, str(error))


def covers(certificate: Certificate, wanted: Subject) -> Standing:
    if difference := certificate.subject.differs_from(wanted):
        return Standing(False, f"the certificate is for {difference}")
    if certificate.problems:
        return Standing(False, f"parity failed: {certificate.problems[0]}")
    return Standing(True, f"parity of {certificate.data.pictures} pictures, {certificate.made_at}")


def load(path: Path) -> Certificate:
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadCertificate(
            f"there is no certificate at {path}; `crossfade models parity` makes one"
        ) from error
    except (OSError, ValueError, BadCertificate) as error:
        raise BadCertificate(f"{path}: {error}") from error


def from_json(text: str) -> Certificate:
    """The verdict that stands in the text is for readers, and not believed."""
    try:
        table: dict[str, Any] = json.loads(text)
        if table["schema"] != SCHEMA:
            raise BadCertificate(f"the certificate has schema {table['schema']}; this version reads {SCHEMA}")
        certificate = _certificate(table)
        _ = certificate.problems  # a figure that is no number shows here, not while a ramp asks
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadCertificate(f"this is no certificate: {type(error).__name__}: {error}") from error
    return certificate


def _certificate(table: dict[str, Any]) -> Certificate:
    data, reference = table["data"], table["reference"]
    return Certificate(
        Subject(**table["subject"]),
        table["device"],
        Data(**{**data, "classes": tuple(data["classes"])}),
        Reference(**{**reference, "unanswered": tuple(reference["unanswered"])}),
        tuple(_level(level) for level in table["levels"]),
        dict(table["versions"]),
        table["machine"],
        table["made_at"],
        float(table["took_s"]),
    )


def _level(table: dict[str, Any]) -> Level:
    tallies = {label: Tally(**tally) for label, tally in table["agreement"]["by_class"].items()}
    own = {
        "batches_seen": {int(size): count for size, count in table["batches_seen"].items()},
        "agreement": Agreement(**{**table["agreement"], "by_class": tallies}),
        "unanswered": tuple(table["unanswered"]),
    }
    return Level(**{**table, **own})


def _problems(certificate: Certificate) -> Iterator[str]:
    reference, data = certificate.reference, certificate.data
    yield from _unanswered("legacy", reference.unanswered, data.pictures)
    if data.objects < MIN_OBJECTS:
        yield (
            f"only {data.objects} objects in {data.pictures} pictures: at least {MIN_OBJECTS} are needed; "
            "give pictures of what this detector knows with --images and --labels"
        )
    if not certificate.levels:
        yield "the other side was not asked"
    batches: dict[str, list[int]] = {}
    for level in certificate.levels:
        for problem in _level_problems(level, certificate):
            batches.setdefault(problem, []).append(level.batch)
    for problem, sizes in batches.items():
        yield f"at batch {', '.join(map(str, sizes))}: {problem}"


def _level_problems(level: Level, certificate: Certificate) -> Iterator[str]:
    yield from _unanswered(certificate.subject.model, level.unanswered, certificate.data.pictures)
    if not level.batches_seen.get(level.batch):
        sizes = ", ".join(str(size) for size in sorted(level.batches_seen)) or "none"
        yield f"the server never ran a batch of {level.batch} (it ran: {sizes})"
    difference = level.map50_95 - certificate.reference.map50_95
    if not abs(difference) <= MAX_MAP_DIFFERENCE:  # NaN fails too
        pictures = certificate.data.pictures
        more = pictures < FEW_PICTURES and abs(difference) < NARROW
        yield (
            f"mAP50-95 differs by {difference:+.4f} ({certificate.reference.map50_95:.4f} → {level.map50_95:.4f}); "
            f"{MAX_MAP_DIFFERENCE} is allowed"
            + (f", and {pictures} pictures are few for so small a difference: --scenes 1000" if more else "")
        )
    yield from _agreement_problems(level.agreement)


def _agreement_problems(agreement: Agreement) -> Iterator[str]:
    apart = agreement.score_difference_mean
    if apart is not None and not apart <= MAX_SCORE_DIFFERENCE:
        yield f"scores differ by {apart:.4f} on average; {MAX_SCORE_DIFFERENCE} is allowed"
    if agreement.disagreements > MAX_DISAGREEMENT * agreement.seen:
        yield (
            f"{agreement.disagreements} of {agreement.seen} objects are missed, extra, misplaced or of another class; "
            f"{MAX_DISAGREEMENT:.0%} is allowed"
        )
    if lost := [label for label, tally in agreement.by_class.items() if tally.lost]:
        yield f"never seen: {', '.join(lost)}"


def _unanswered(who: str, reasons: tuple[str, ...], pictures: int) -> Iterator[str]:
    if reasons:
        yield f"{who} left {len(reasons)} of {pictures} pictures unanswered, the first: {reasons[0]}"


def _short(value: str) -> str:
    return value if len(value) <= 16 else f"{value[:12]}…"
