"""What is fuzzed: something that makes cases out of a random source and takes each of them in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

ACCEPTED = "accepted"


class BrokenPromise(AssertionError):
    """What came back may not come back; any other exception that escapes is as bad."""


class Target(Protocol):
    name: str
    memory_bound_mb: float  # that one case may take beyond what the controls took
    time_bound: float  # as a multiple of the slowest control

    def make(self, number: int, rng: random.Random) -> bytes:
        """The case of this number; the first few may be made by hand, whatever the random source says."""

    def ask(self, data: bytes) -> str:
        """ACCEPTED or the name of the refusal; whatever else comes out of it is a defect."""

    def controls(self) -> Sequence[bytes]:
        """Whole and allowed, and as heavy as is allowed: what time and memory are measured against."""

    def close(self) -> None: ...


def random_of(seed: int, target: str, number: int) -> random.Random:
    return random.Random(f"{seed}:{target}:{number}")


def hold(promise: bool, otherwise: str) -> None:
    if not promise:
        raise BrokenPromise(otherwise)
