"""A whole store as rows, the same words from every kind of store: what a backup is made of.

Only what lasts is among them. A lease, heartbeats and the serials of writers belong to those who run now.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from backend.rollout.books import Counts
from backend.rollout.checked import table, text, whole
from backend.rollout.quota import Quota
from backend.rollout.store import Change, Sample, Turn
from backend.rollout.stores.words import (
    quota_of,
    sample_of,
    sample_table,
    turn_of,
)


@dataclass(frozen=True, slots=True)
class KeptQuota:
    detector: str
    quota: Quota


@dataclass(frozen=True, slots=True)
class KeptRecord:
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class KeptBook:
    name: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class KeptTurn:
    name: str
    turn: Turn


@dataclass(frozen=True, slots=True)
class KeptSample:
    sample: Sample
    picture: bytes


Kept: TypeAlias = Change | KeptQuota | KeptRecord | KeptBook | KeptTurn | KeptSample


def row_of(kept: Kept) -> dict[str, Any]:
    match kept:
        case Change():
            return {"row": "change"} | kept.to_table()
        case KeptQuota(detector, quota):
            return {"row": "quota", "detector": detector, "cameras": [list(one) for one in quota.cameras]}
        case KeptRecord(name, text):
            return {"row": "record", "name": name, "text": text}
        case KeptBook(name, counts):
            return {"row": "book", "name": name, "counts": dict(counts)}
        case KeptTurn(name, turn):
            return {"row": "turn", "name": name, "at": turn.at, "seen": [list(box) for box in turn.seen]}
        case KeptSample(sample, picture):
            return {"row": "sample"} | sample_table(sample) | {"picture": base64.b64encode(picture).decode()}


def kept_of(row: Mapping[str, Any]) -> Kept:
    """KeyError, TypeError or ValueError where it is none."""
    match row["row"]:
        case "change":
            return Change.from_table(row)
        case "quota":
            return KeptQuota(text("detector", row["detector"]), quota_of(row["cameras"]))
        case "record":
            return KeptRecord(text("name", row["name"]), text("text", row["text"]))
        case "book":
            counts = table("counts", row["counts"])
            return KeptBook(
                text("name", row["name"]),
                {text("counts", name): whole(f"counts.{name}", count) for name, count in counts.items()},
            )
        case "turn":
            return KeptTurn(text("name", row["name"]), turn_of(row["at"], row["seen"]))
        case "sample":
            return KeptSample(sample_of(row), base64.b64decode(row["picture"], validate=True))
    raise ValueError(f"a row of the kind {row['row']!r}, which this Crossfade does not know")
