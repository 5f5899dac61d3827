"""Ways to spoil bytes that know nothing of what the bytes mean."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

Spoiler = Callable[[bytes, random.Random], bytes]

MAX_SPOILED_BYTES = 256 * 1024  # a case that grows under repeated doubling stays a small one
_EXTREMES = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63,
    2**64 - 1,
)


def place(data: bytes, rng: random.Random) -> int:
    """Half of the damage goes to the first bytes, where it does more than change a colour."""
    end = len(data) if rng.random() < 0.5 else min(len(data), 64)
    return rng.randrange(end) if end else 0


def flip(data: bytes, rng: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if spoiled else 0):
        spoiled[place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def overwrite(data: bytes, rng: random.Random) -> bytes:
    at, new = place(data, rng), rng.randbytes(rng.choice((1, 2, 4, 16)))
    return data[:at] + new + data[at + len(new) :]


def insert(data: bytes, rng: random.Random) -> bytes:
    at = place(data, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 3, 40))) + data[at:]


def remove(data: bytes, rng: random.Random) -> bytes:
    at = place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 100)) :]


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: place(data, rng)]


def repeat(data: bytes, rng: random.Random) -> bytes:
    at = place(data, rng)
    part = data[at : at + rng.choice((1, 4, 30, 300))]
    return (data[:at] + part * rng.choice((2, 3, 200)) + data[at:])[:MAX_SPOILED_BYTES]


def extreme(data: bytes, rng: random.Random) -> bytes:
    """A number somewhere becomes one of those that programs trip over."""
    size, order = rng.choice((1, 2, 3, 4, 8)), rng.choice(("big", "little"))
    at, number = place(data, rng), rng.choice(_EXTREMES) & (1 << 8 * size) - 1
    return data[:at] + number.to_bytes(size, order) + data[at + size :]


def splicing(others: Sequence[bytes]) -> Spoiler:
    """A part of another file in place of a part of this one."""

    def splice(data: bytes, rng: random.Random) -> bytes:
        other = rng.choice(others)
        start = place(other, rng)
        part = other[start : start + rng.choice((8, 40, 400, 10_000))]
        at = place(data, rng)
        return (data[:at] + part + data[at + rng.choice((0, len(part))) :])[:MAX_SPOILED_BYTES]

    return splice


BLIND: tuple[Spoiler, ...] = (flip, flip, overwrite, insert, remove, truncate, repeat, extreme, extreme)


def spoiled(data: bytes, rng: random.Random, ways: Sequence[Spoiler]) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = rng.choice(ways)(data, rng)
    return data
