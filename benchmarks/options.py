"""What may be asked of a run: types for argparse that say in words what they allow."""

from __future__ import annotations

from collections.abc import Callable

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


def size(text: str) -> str:
    return str(Size.of(text))
