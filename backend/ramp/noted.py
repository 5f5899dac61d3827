"""What a leader must know of earlier looks at the same epoch: kept in the store, so that its successor knows it too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from backend.ramp.evidence import Starts
from backend.ramp.looks import Question
from backend.rollout.books import Counts, part

SETTLED_S: Final = 5.0  # a version that has not answered for so long is gone


@dataclass(frozen=True, slots=True)
class Answered:
    """One model version of Triton."""

    count: int
    last_at: float  # when a look found that it had answered more


@dataclass(frozen=True, slots=True)
class Noted:
    epoch: str = ""
    size: int = 0  # of the book: it never shrinks, unless evidence was lost
    starts: Mapping[Question, Starts] = field(default_factory=dict)
    versions: Mapping[str, Answered] = field(default_factory=dict)
    clean: Counts = field(default_factory=dict)  # the book when nothing spoke against Triton yet

    def has_lost(self, counts: Counts) -> bool:
        return sum(counts.values()) < self.size

    def grown(self, counts: Counts, now: float) -> Noted:
        versions = {
            version: self.versions[version]
            if version in self.versions and self.versions[version].count == count
            else Answered(count, now)
            for version, count in part(counts, "version.").items()
        }
        return replace(self, size=sum(counts.values()), versions=versions)

    def since_clean(self, counts: Counts) -> Counts:
        return {name: count - self.clean.get(name, 0) for name, count in counts.items()}

    def current_version(self) -> str:
        """The one that answered last; empty while none has."""
        return max(
            self.versions, key=lambda one: (self.versions[one].last_at, self.versions[one].count), default=""
        )

    def to_json(self) -> str:
        return json.dumps(
            {
                "epoch": self.epoch,
                "size": self.size,
                "starts": {name: starts.to_table() for name, starts in self.starts.items()},
                "versions": {name: [one.count, one.last_at] for name, one in self.versions.items()},
                "clean": dict(self.clean),
            }
        )

    @classmethod
    def read(cls, text: str | None, epoch: str) -> Noted:
        """Of this epoch; nothing is noted yet where the text is of another one, or none."""
        try:
            table = json.loads(text or "{}")
            if table.get("epoch") != epoch:
                return cls(epoch)
            return cls(
                epoch,
                int(table["size"]),
                {name: Starts.from_table(one) for name, one in table["starts"].items()},
                {name: Answered(int(one[0]), float(one[1])) for name, one in table["versions"].items()},
                {name: int(count) for name, count in table["clean"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return cls(epoch)


def noted_record(detector: str) -> str:
    """The name of the store's record."""
    return f"noted/{detector}"
