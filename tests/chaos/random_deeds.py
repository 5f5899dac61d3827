"""What was done in a random run, and when: a line of deeds.jsonl each."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.random_faults import Words


@dataclass
class Deed:
    """An act as it was done (unix time): begun, in force, its end begun, and over."""

    track: str
    name: str
    words: Words
    began: float
    in_force: float = 0.0
    ending: float = 0.0
    ended: float = 0.0
    outcome: dict[str, Any] = field(default_factory=dict)


class Book:
    """The deeds, in a file: one line each, when it is over."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w")
        self._lock = threading.Lock()

    def write(self, deed: Deed) -> None:
        with self._lock:
            self._file.write(json.dumps(asdict(deed)) + "\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()
