"""How much of an answer's bytes are tensors, counted before protobuf unpacks it.

Two bytes can declare an output, which unpacked takes eighty: 64 MiB of them would be 2.5 GB.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

_RAW_OUTPUT = 6 << 3 | 2  # the tag of ModelInferResponse.raw_output_contents
_DELIMITED = 2
_MAX_LENGTH_BYTES = 5  # of a number that says how long 2 GB are
_MAX_FIELDS = 1_000


def raw_bytes(content: bytes) -> int:
    """Of the tensors alone; it stops counting where it meets what such an answer does not hold."""
    at = total = 0
    for _ in range(_MAX_FIELDS):
        if at + 1 >= len(content) or content[at] & 7 != _DELIMITED or content[at] & 0x80:
            break
        tag = content[at]
        length, at = _number(content, at + 1)
        at += length
        if length < 0 or at > len(content):
            break
        if tag == _RAW_OUTPUT:
            total += length
    return total


def _number(content: bytes, at: int) -> tuple[int, int]:
    """And where what follows begins; -1 if there is none that can be a length."""
    number = 0
    for index, byte in enumerate(content[at : at + _MAX_LENGTH_BYTES]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, at + index + 1
    return -1, at
