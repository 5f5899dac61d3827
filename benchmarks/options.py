"""What may be asked of a run: types for argparse that say in words what they allow."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.pictures import Size


def number_between(low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not low <= float(text) <= high:
            raise ValueError
        return float(text)

    number.__name__ = f"number from {low:g} to {high:g}"  # argparse shows it
    return number


def whole_number_to(high: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not 1 <= int(text) <= high:
            raise ValueError
        return int(text)

    whole_number.__name__ = f"whole number from 1 to {high}"
    return whole_number


def with_output(
    parser: argparse.ArgumentParser,
    words: Sequence[str] | None,
    *,
    quick: Mapping[str, object],
    full: Mapping[str, object],
) -> argparse.Namespace:
    """Read, with the defaults of a quick run or of a full one."""
    parser.add_argument("--out", type=Path, help="folder of the result")
    parser.add_argument("--quick", action="store_true", help="into var/benchmarks")
    parser.set_defaults(**(quick if parser.parse_known_args(words)[0].quick else full))
    return parser.parse_args(words)


def size(text: str) -> str:
    return str(Size.of(text))
