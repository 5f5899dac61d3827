"""Ways to spoil a picture that know how its format is laid out: sizes, parts doubled or swapped, EXIF nonsense."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence

from ai.core.errors import InvalidImage
from ai.core.header import jpeg_segments, png_chunks, webp_chunks
from tests import pictures
from tests.fuzz.picture_seeds import FORMATS, seeds
from tests.fuzz.spoiling import BLIND, MAX_SPOILED_BYTES, Spoiler, splicing, spoiled

_SIDES = (
    0,
    1,
    2,
    47,
    48,
    49,
    255,
    256,
    4_999,
    5_000,
    5_001,
    16_383,
    16_384,
    65_535,
    65_536,
    1 << 24,
    2**31 - 1,
    2**32 - 1,
)

Part = tuple[int, int]  # where it starts and ends, its header and its checksum included


def spoiled_picture(codec: str, rng: random.Random) -> bytes:
    """One case; half of them get right lengths and checksums again, so that the damage goes deeper."""
    data = spoiled(rng.choice(seeds(codec)), rng, _WAYS[codec])
    return _MENDED[codec](data) if rng.random() < 0.5 else data


# --- sizes ------------------------------------------------------------------------------------------------


def _put(data: bytes, at: int, field: bytes) -> bytes:
    return data[:at] + field + data[at + len(field) :] if 0 <= at <= len(data) - len(field) else data


def _side(rng: random.Random, bits: int) -> int:
    return rng.choice(_SIDES) & (1 << bits) - 1


def _say_size(data: bytes, rng: random.Random) -> bytes:
    """Another width or height where the format states it; where it states two, perhaps only one of them."""
    places = _size_places(data)
    for at, size_bytes, order in rng.sample(places, rng.randint(1, len(places))) if places else ():
        data = _put(data, at, _side(rng, 8 * size_bytes).to_bytes(size_bytes, order))
    return data


def _size_places(data: bytes) -> list[tuple[int, int, str]]:
    if data.startswith(b"\x89PNG"):
        return [(16, 4, "big"), (20, 4, "big")]
    if data.startswith(b"RIFF"):
        return [place for start, _ in _parts(data) for place in _webp_sizes(data, start)]
    frames = [
        start for start, _ in _parts(data) if data[start + 1 : start + 2] in (b"\xc0", b"\xc1", b"\xc2")
    ]
    return [(start + offset, 2, "big") for start in frames for offset in (5, 7)]


def _webp_sizes(data: bytes, start: int) -> list[tuple[int, int, str]]:
    kind, body = data[start : start + 4], start + 8
    offsets = {
        b"VP8X": ((4, 3), (7, 3)),
        b"VP8 ": ((6, 2), (8, 2)),
        b"VP8L": ((1, 4),),
        b"ANMF": ((6, 3), (9, 3)),
    }
    return [(body + at, size, "little") for at, size in offsets.get(kind, ())]


def _say_kind(data: bytes, rng: random.Random) -> bytes:
    """Depth, colour, interlace of a PNG; the frame's kind or sampling of a JPEG; the flags of a WebP."""
    if data.startswith(b"\x89PNG"):
        return _put(data, rng.randint(24, 28), bytes([rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))]))
    if data.startswith(b"RIFF"):
        return _put(data, 20, bytes([rng.randrange(256)]))
    frames = [start for start, _ in _parts(data) if 0xC0 <= data[start + 1] <= 0xCF]
    at = rng.choice(frames) if frames else 0
    return _put(
        data,
        at + rng.choice((1, 4, 9, 10, 11, 12, 14)),
        bytes([rng.choice((0, 1, 3, 4, 0x11, 0x41, 0xC2, 0xC9, 255))]),
    )


# --- parts ------------------------------------------------------------------------------------------------


def _jpeg_parts(data: bytes) -> list[Part]:
    return [(start - 4, end) for marker, start, end in jpeg_segments(data) if marker not in (0xD8, 0xD9)]


def _png_parts(data: bytes) -> list[Part]:
    return [(start - 8, min(end + 4, len(data))) for _, start, end in png_chunks(data)]


def _webp_parts(data: bytes) -> list[Part]:
    return [(start - 8, min(end + end % 2, len(data))) for _, start, end in webp_chunks(data)]


def _parts(data: bytes) -> list[Part]:
    walk = (
        _png_parts
        if data.startswith(b"\x89PNG")
        else _webp_parts
        if data.startswith(b"RIFF")
        else _jpeg_parts
    )
    try:
        return walk(data)[:200]
    except InvalidImage:
        return []


def _double(data: bytes, rng: random.Random) -> bytes:
    parts = _parts(data)
    if not parts:
        return data
    (start, end), (at, _) = rng.choice(parts), rng.choice(parts)
    return (data[:at] + data[start:end] * rng.choice((1, 1, 2, 70)) + data[at:])[:MAX_SPOILED_BYTES]


def _drop(data: bytes, rng: random.Random) -> bytes:
    start, end = rng.choice(_parts(data) or [(0, 0)])
    return data[:start] + data[end:]


def _swap(data: bytes, rng: random.Random) -> bytes:
    parts = _parts(data)
    if len(parts) < 2:
        return data
    (a, b), (c, d) = sorted(rng.sample(parts, 2))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:] if b <= c else data


def _say_length(data: bytes, rng: random.Random) -> bytes:
    """Another length for one part, or for the whole file of a WebP."""
    start = rng.choice(_parts(data) or [(0, 0)])[0]
    length = rng.choice((0, 1, 2, 7, len(data), 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF))
    if data.startswith(b"\x89PNG"):
        return _put(data, start, length.to_bytes(4, "big"))
    if data.startswith(b"RIFF"):
        return _put(data, rng.choice((4, start + 4)), length.to_bytes(4, "little"))
    return _put(data, start + 2, (length & 0xFFFF).to_bytes(2, "big"))


# --- EXIF and other labels --------------------------------------------------------------------------------


def nonsense_exif(rng: random.Random) -> bytes:
    """A TIFF block whose orientation, offsets, counts, types and order are whatever they are."""
    entries = [
        struct.pack(
            "<HHIHH", rng.choice((0x0112, 0x0112, 0x0112, 0x8769, 0x0100)), rng.choice((3, 3, 3, 4, 1, 0, 65_535)),
            rng.choice((1, 1, 1, 0, 2, 2**32 - 1)), rng.choice((*range(10), 255, 256, 65_535)), rng.choice((0, 0, 1)),
        )
        for _ in range(rng.choice((1, 1, 2, 5)))
    ]  # fmt: skip
    count = rng.choice((len(entries), len(entries), 0, 1, 512, 65_535))
    offset = rng.choice((8, 8, 8, 0, 4, 7, 60_000, 2**32 - 1))
    magic = rng.choice((b"II*\0", b"II*\0", b"MM\0*", b"II\0*", b"XX*\0"))
    block = magic + struct.pack("<IH", offset, count) + b"".join(entries) + b"\0" * rng.choice((0, 4))
    return block[: rng.choice((len(block), len(block), 3, 9, 14))]


def with_exif(data: bytes, tiff: bytes) -> bytes:
    """The same picture with this label; a WebP becomes an extended one."""
    if data.startswith(b"\x89PNG"):
        chunk = struct.pack(">I", len(tiff)) + b"eXIf" + tiff
        return data[:33] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + data[33:]
    if data.startswith(b"RIFF"):
        label = b"EXIF" + struct.pack("<I", len(tiff)) + tiff + b"\0" * (len(tiff) % 2)
        return _mended_webp(data + label)
    return pictures.jpeg_with([(0xE1, b"Exif\0\0" + tiff)], data)


def _label(data: bytes, rng: random.Random) -> bytes:
    return with_exif(data, nonsense_exif(rng))


# --- made whole again -------------------------------------------------------------------------------------


def _mended_png(data: bytes) -> bytes:
    """With right checksums, and half of the time with right lengths it had before."""
    at, parts = 8, [data[:8]]
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        parts += [data[at:end], zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")]
        at = end + 4
    return b"".join(parts)


def _mended_webp(data: bytes) -> bytes:
    return _put(data, 4, struct.pack("<I", max(0, len(data) - 8)))


def _mended_jpeg(data: bytes) -> bytes:
    """With an end."""
    return data if data.endswith(b"\xff\xd9") else data + b"\xff\xd9"


_MENDED = {"jpeg": _mended_jpeg, "png": _mended_png, "webp": _mended_webp}
_LAID_OUT: Sequence[Spoiler] = (_say_size, _say_kind, _double, _drop, _swap, _say_length, _label)
_WAYS: dict[str, tuple[Spoiler, ...]] = {
    codec: (*BLIND, *_LAID_OUT, splicing([seed for other in FORMATS for seed in seeds(other)]))
    for codec in FORMATS
}
