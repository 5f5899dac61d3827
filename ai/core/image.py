"""A picture's bytes, decoded to upright RGB, or InvalidImage. Nothing is decoded that `read_header` forbids.

For PNG and WebP OpenCV gets only a proven, minimal file: the chunks that decide the pixels, or one frame. So
no metadata bomb is inflated, no animation parsed (a broken one could crash OpenCV's PNG decoder,
https://github.com/opencv/opencv/issues/27744), and libpng finds nothing to complain about on stderr.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ai.core.errors import CorruptImage, ImageTooLarge
from ai.core.header import (
    DEFAULT_LIMITS,
    MAX_IMAGE_BYTES,
    MAX_IMAGE_PIXELS,
    PNG_SIGNATURE,
    Bytes,
    ImageHeader,
    ImageLimits,
    Size,
    png_chunks,
    read_header,
    webp_chunks,
    webp_frame_size,
)
from ai.core.jpeg import Pixels, decode_jpeg

__all__ = [
    "MAX_IMAGE_BYTES",
    "MAX_IMAGE_PIXELS",
    "ImageHeader",
    "ImageLimits",
    "Pixels",
    "decode",
    "read_header",
]


def decode(data: Bytes, limits: ImageLimits = DEFAULT_LIMITS, least: Size | None = None) -> Pixels:
    """Contiguous RGB [height, width, 3] of the upright picture.

    With `least`, the width and height that are needed, a JPEG may come at a half, a quarter or an eighth of its size.
    """
    data = bytes(data)
    header = read_header(data, limits)
    with _foreign_errors_as_ours(header):
        if header.format == "jpeg":
            lying = least and (least[::-1] if header.orientation >= 5 else least)
            pixels = decode_jpeg(data, header.stored_size, lying)
        else:
            pixels = _DECODERS[header.format](data, header.stored_size)
        return _upright(pixels, header.orientation)


@contextmanager
def _foreign_errors_as_ours(header: ImageHeader) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        size = f"{header.width:,} x {header.height:,} pixels"
        raise ImageTooLarge(f"There is not enough memory left to decode the picture of {size}.") from error
    except cv2.error as error:
        raise CorruptImage(
            f"The {header.format.upper()} is cut short or broken: it cannot be decoded."
        ) from error
    except (ValueError, RuntimeError, zlib.error) as error:
        raise CorruptImage(f"The {header.format.upper()} is cut short or broken: {error}.") from error


# --- PNG --------------------------------------------------------------------------------------------------

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
# Deflate grows data at most 1032-fold, so that one bite of a bomb is at most 17 MB of nothing.
_BITE_BYTES = 16 * 1024


def _decode_png(data: bytes, size: Size) -> Pixels:
    chunks = _checked_png_chunks(data)
    colour, raw_bytes = _read_ihdr(chunks[b"IHDR"][0], size)
    _check_inflates_to(chunks[b"IDAT"], raw_bytes)
    palette = chunks[b"PLTE"][:1] if colour == 3 else []
    transparency = _usable_transparency(colour, palette, chunks[b"tRNS"][:1])
    essence = {
        b"IHDR": chunks[b"IHDR"][:1],
        b"PLTE": palette,
        b"tRNS": transparency,
        b"IDAT": chunks[b"IDAT"],
        b"IEND": [b""],
    }
    png = PNG_SIGNATURE + b"".join(
        _png_chunk(kind, body) for kind, bodies in essence.items() for body in bodies
    )
    return _cv2_decode(png, size, alpha=bool(transparency) or colour >= 4)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return b"".join(
        (struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))))
    )


def _checked_png_chunks(data: bytes) -> dict[bytes, list[bytes]]:
    """The bodies of the chunks that decide the pixels, each whole and with a right checksum."""
    bodies: dict[bytes, list[bytes]] = {kind: [] for kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")}
    for kind, start, end in png_chunks(data):
        if kind in bodies:
            if zlib.crc32(data[start - 4 : end]).to_bytes(4, "big") != data[end : end + 4]:
                raise CorruptImage(
                    f"The PNG is cut short or broken: a chunk {kind.decode()} has a wrong checksum."
                )
            bodies[kind].append(data[start:end])
        elif not kind[0] & 0x20:
            raise CorruptImage(f"The PNG is broken: it needs an unknown chunk {kind!r}.")
    if not bodies[b"IEND"] or not bodies[b"IDAT"]:
        raise CorruptImage("The PNG is cut short: it needs at least one IDAT chunk, and IEND as its last.")
    return bodies


def _read_ihdr(ihdr: bytes, size: Size) -> tuple[int, int]:
    """Colour type, and how many bytes its rows inflate to: each a filter byte and packed samples."""
    depth, colour, compression, filtering, interlace = ihdr[8:13]
    if depth not in _PNG_DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise CorruptImage(
            f"The PNG is broken: its header names no known way to store pixels ({ihdr[8:].hex(' ')})."
        )
    bits = depth * _PNG_CHANNELS[colour]
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    sizes = [(-((x - size[0]) // dx), -((y - size[1]) // dy)) for x, y, dx, dy in passes]
    return colour, sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0)


def _check_inflates_to(idats: list[bytes], expected_bytes: int) -> None:
    """libpng only warns of a wrong checksum and of too many pixels; so look before it does."""
    inflater = zlib.decompressobj()
    inflated_bytes = 0
    for idat in idats:
        for at in range(0, len(idat), _BITE_BYTES):
            inflated_bytes += len(inflater.decompress(idat[at : at + _BITE_BYTES]))
            if inflated_bytes > expected_bytes:
                raise CorruptImage("The PNG is broken: it holds more pixels than its header says.")
    if not inflater.eof or inflated_bytes < expected_bytes:
        raise CorruptImage("The PNG is cut short: it holds fewer pixels than its header says.")


def _usable_transparency(colour: int, palette: list[bytes], transparency: list[bytes]) -> list[bytes]:
    """tRNS as far as it fits the picture. OpenCV knows no transparent gray, so that one stays opaque."""
    if colour == 3:
        if not palette or len(palette[0]) % 3 or not 3 <= len(palette[0]) <= 768:
            raise CorruptImage("The PNG is broken: its pixels refer to a palette that it does not have.")
        return [alphas[: len(palette[0]) // 3] for alphas in transparency if alphas]
    return [key for key in transparency if colour == 2 and len(key) == 6]


# --- WebP -------------------------------------------------------------------------------------------------

_ANIMATED, _ALPHA = 0x02, 0x10
_LEAST_WEBP_BYTES = 32  # OpenCV refuses a smaller one, and says so on stderr; one black pixel takes 28


def _decode_webp(data: bytes, size: Size) -> Pixels:
    riff_bytes = 8 + int.from_bytes(data[4:8], "little")
    if riff_bytes > len(data):
        raise CorruptImage(
            f"The WebP is cut short: it says {riff_bytes:,} bytes, and {len(data):,} are there."
        )
    if data[12:16] == b"VP8X" and data[20] & _ANIMATED:
        return _decode_first_frame(data, size)
    return _decode_webp_frame(data, 12, size)


def _decode_first_frame(data: bytes, size: Size) -> Pixels:
    """The animation's first frame, on black where it does not cover the canvas."""
    frame = next((data[start:end] for kind, start, end in webp_chunks(data) if kind == b"ANMF"), b"")
    if len(frame) < 16:
        raise CorruptImage("The WebP is cut short: it is an animation without a frame.")
    left, top, width, height = (int.from_bytes(frame[at : at + 3], "little") for at in (0, 3, 6, 9))
    left, top, width, height = 2 * left, 2 * top, 1 + width, 1 + height
    if left + width > size[0] or top + height > size[1]:
        raise CorruptImage("The WebP is broken: its first frame reaches beyond the picture.")
    pixels = _decode_webp_frame(frame, 16, (width, height))
    if (width, height) == size:
        return pixels
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def _decode_webp_frame(data: bytes, at: int, size: Size) -> Pixels:
    kind, frame, alphas = _find_webp_frame(data, at)
    # Else a file that says 10 x 10 could hold a frame of 16,383 x 16,383.
    if webp_frame_size(kind, frame[:10]) != size:
        raise CorruptImage("The WebP is broken: it states two sizes.")
    parts = [_webp_chunk(kind, frame)]
    if alphas:
        sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
        parts = [_webp_chunk(b"VP8X", bytes((_ALPHA, 0, 0, 0)) + sides), _webp_chunk(b"ALPH", alphas), *parts]
    alpha = bool(alphas) or (kind == b"VP8L" and bool(frame[4] & _ALPHA))
    file = _webp_chunk(b"RIFF", b"WEBP" + b"".join(parts))
    return _cv2_decode(file.ljust(_LEAST_WEBP_BYTES, b"\0"), size, alpha)


def _find_webp_frame(data: bytes, at: int) -> tuple[bytes, bytes, bytes]:
    """Kind and body of the first bitstream, and the alpha plane that precedes it."""
    alphas = b""
    for kind, start, end in webp_chunks(data, at):
        if end > len(data):
            break
        if kind == b"VP8L":
            return kind, data[start:end], b""
        if kind == b"VP8 ":
            return kind, data[start:end], alphas
        if kind == b"ALPH":
            alphas = data[start:end]
    raise CorruptImage("The WebP is cut short or broken: it has no whole frame.")


def _webp_chunk(kind: bytes, body: bytes) -> bytes:
    return b"".join((kind, struct.pack("<I", len(body)), body, b"\0" * (len(body) % 2)))


# --- pixels -----------------------------------------------------------------------------------------------


def _cv2_decode(data: bytes, size: Size, alpha: bool) -> Pixels:
    flags = cv2.IMREAD_UNCHANGED if alpha else cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None or pixels.shape[:2] != (size[1], size[0]):
        raise CorruptImage("The picture is cut short or broken: its pixels cannot be decoded.")
    return _on_black(pixels) if alpha else np.asarray(pixels, np.uint8)


def _on_black(bgra: npt.NDArray[np.integer[Any] | np.floating[Any]]) -> Pixels:
    """What cannot be seen must not be detected: editors leave whole pictures under transparent pixels."""
    shallow = np.asarray(
        cv2.convertScaleAbs(bgra, alpha=1 / 257) if bgra.dtype == np.uint16 else bgra, np.uint8
    )
    rgb = cv2.cvtColor(shallow, cv2.COLOR_BGRA2RGB)
    alpha = cv2.cvtColor(cv2.extractChannel(shallow, 3), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.multiply(rgb, alpha, dst=rgb, scale=1 / 255), np.uint8)


# What is left to flip once the pictures lying on their side (5 to 8) are transposed: 0 is top to bottom,
# 1 left to right, -1 both. https://exiftool.org/TagNames/EXIF.html (0x0112)
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    if orientation >= 5:
        pixels = np.asarray(cv2.transpose(pixels), np.uint8)
    if orientation in _FLIPS:
        pixels = np.asarray(cv2.flip(pixels, _FLIPS[orientation]), np.uint8)
    return pixels


_DECODERS: dict[str, Callable[[bytes, Size], Pixels]] = {
    "png": _decode_png,
    "webp": _decode_webp,
}
