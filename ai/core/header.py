"""What a picture's first bytes say of it: type, upright size and orientation. No pixel is decoded here.

The three walkers (`jpeg_segments`, `png_chunks`, `webp_chunks`) know how each container is laid out; `image`
walks with them too, so that header and decoder cannot disagree about where a thing lies.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ai.core.errors import CorruptImage, ImageTooLarge, InvalidImage, NotAnImage, UnsupportedImage

MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGE_PIXELS = 25_000_000
# The most that a JPEG can say. PNG can say more, but libpng stops at 10^6, and OpenCV at 2^20.
MAX_SIDE_PIXELS = 65_535
# Bounds the walk over a file of nothing but empty parts. A 10 MiB PNG of 1 KiB IDATs has about 10,000.
MAX_PARTS = 20_000
MAX_IFD_ENTRIES = 512
MIN_HEADER_BYTES = 12

Bytes = bytes | bytearray | memoryview
Format = Literal["jpeg", "png", "webp"]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ImageLimits:
    max_bytes: int = MAX_IMAGE_BYTES
    max_pixels: int = MAX_IMAGE_PIXELS


DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Width and height are those of the upright picture, after the EXIF orientation (1 to 8) is applied."""

    format: Format
    width: int
    height: int
    orientation: int

    @property
    def stored_size(self) -> Size:
        """Width and height as the file stores them, before the picture is turned upright."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(data: Bytes, limits: ImageLimits = DEFAULT_LIMITS) -> ImageHeader:
    """Type, upright size and orientation; raises InvalidImage for anything that may not be decoded."""
    data = bytes(data)
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"The picture has {len(data):,} bytes; at most {limits.max_bytes:,} are allowed.")
    kind = _sniff(data)
    (width, height), orientation = _READERS[kind](data)
    _check_size(width, height, limits)
    if orientation >= 5:
        width, height = height, width
    return ImageHeader(kind, width, height, orientation)


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if width == 0 or height == 0:
        raise CorruptImage(f"The picture's header says {width} x {height} pixels; both must be at least 1.")
    if width * height > limits.max_pixels:
        pixels = f"{width:,} x {height:,} pixels ({width * height:,})"
        raise ImageTooLarge(f"The picture has {pixels}; at most {limits.max_pixels:,} are allowed.")
    if max(width, height) > MAX_SIDE_PIXELS:
        sides = f"{width:,} x {height:,} pixels"
        raise ImageTooLarge(f"The picture has {sides}; at most {MAX_SIDE_PIXELS:,} are allowed on a side.")


# --- which type -------------------------------------------------------------------------------------------

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_FOREIGN = (
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"BM.{4}\0{4}", re.DOTALL), "BMP"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF"),
    (re.compile(rb"8BPS"), "Photoshop (PSD)"),
    (re.compile(rb"\0\0[\1\2]\0[^\0]"), "ICO"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"\0\0\0\x0cJXL |\xff\x0a"), "JPEG XL"),
    (re.compile(rb".{4}ftypavi[fs]", re.DOTALL), "AVIF"),
    (re.compile(rb".{4}ftyp(he[iv][a-z]|m[is]f1)", re.DOTALL), "HEIC"),
    (re.compile(rb".{4}ftyp", re.DOTALL), "MP4 video"),
    (re.compile(rb"%PDF-"), "PDF"),
    (re.compile(rb"\s*<svg[\s>]|\s*<(\?xml|!--|!doctype svg).*<svg[\s>]", re.DOTALL | re.IGNORECASE), "SVG"),
)
_TEXTS = (
    (re.compile(rb"\s*<(!doctype html|html|head|body)", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"\s*<"), "XML"),
    (re.compile(rb"\s*[{\[]"), "JSON"),
    (re.compile(rb"\s*data:"), "a data: URL (send the bytes that it encodes)"),
    (re.compile(rb""), "text"),
)
_SNIFFED_BYTES = 512
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


def _sniff(data: bytes) -> Format:
    if data.startswith(b"\xff\xd8\xff") and len(data) >= MIN_HEADER_BYTES:
        return "jpeg"
    if data.startswith(PNG_SIGNATURE) and len(data) >= MIN_HEADER_BYTES:
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    raise _stranger(data)


def _stranger(data: bytes) -> InvalidImage:
    head = data[:_SNIFFED_BYTES].removeprefix(b"\xef\xbb\xbf")
    for magic, name in _FOREIGN:
        if magic.match(head):
            return UnsupportedImage(f"The picture is of the type {name}; expected JPEG, PNG or WebP.")
    return NotAnImage(f"This is not a picture: {_looks_like(data, head)}; expected JPEG, PNG or WebP.")


def _looks_like(data: bytes, head: bytes) -> str:
    if not data:
        return "it is empty"
    if _is_text(head):
        return "it looks like " + next(name for text, name in _TEXTS if text.match(head))
    if len(data) < MIN_HEADER_BYTES:
        return f"it has only {len(data)} bytes"
    return f"it begins with the bytes {head[:8].hex(' ')}"


def _is_text(head: bytes) -> bool:
    if _CONTROL.search(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > _SNIFFED_BYTES - 4  # the cut may have split the last character
    return True


# --- JPEG -------------------------------------------------------------------------------------------------

SOI, EOI, SOS, APP1, APP14 = 0xD8, 0xD9, 0xDA, 0xE1, 0xEE
_TEM = 0x01
# C4, C8 and CC are tables, not frames.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Baseline, extended and progressive; the last two are their arithmetic-coded kin. The others are lossless or
# hierarchical, which libjpeg-turbo cannot make RGB of.
_DECODABLE_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
# FF 00 is a stuffed FF, FF D0 to D7 are restarts inside a scan, FF FF is filling.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment's body, to EOI; skips stray bytes and scans as libjpeg does."""
    at = 2
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, at)
        if found is None:
            return
        at = found.end()
        marker = data[at - 1]
        if marker not in (SOI, EOI, _TEM):
            start, at = at + 2, at + _uint(data, at, 2)
            if not start <= at <= len(data):
                raise CorruptImage("The JPEG is cut short or broken: a segment reaches beyond its end.")
            yield marker, start, at
        else:
            yield marker, at, at
        if marker == EOI:
            return
    raise CorruptImage(f"The JPEG is broken: it has more than {MAX_PARTS:,} segments.")


def _read_jpeg(data: bytes) -> tuple[Size, int]:
    size: Size | None = None
    orientation: int | None = None
    for marker, start, end in jpeg_segments(data):
        if marker in (SOS, EOI):
            break
        if size is None and marker in _FRAMES:
            size = _read_frame(marker, data[start:end])
        elif orientation is None and marker == APP1 and data.startswith(b"Exif\0\0", start, end):
            orientation = exif_orientation(data[start:end])
    if size is None:
        raise CorruptImage("The JPEG's header is cut short: it never says how large the picture is.")
    return size, orientation or 1


def _read_frame(marker: int, body: bytes) -> Size:
    precision, height, width = _uint(body, 0, 1), _uint(body, 1, 2), _uint(body, 3, 2)
    if marker not in _DECODABLE_FRAMES:
        raise UnsupportedImage(
            "The picture is a lossless or hierarchical JPEG; expected a baseline or progressive one."
        )
    if precision != 8:
        raise UnsupportedImage(f"The picture is a JPEG of {precision} bits a sample; expected 8.")
    return width, height


# --- PNG --------------------------------------------------------------------------------------------------


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk's body, to IEND; the last may reach beyond the data."""
    at = len(PNG_SIGNATURE)
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        kind, start = data[at + 4 : at + 8], at + 8
        end = start + int.from_bytes(data[at : at + 4], "big")
        yield kind, start, end
        if kind == b"IEND":
            return
        at = end + 4
    raise CorruptImage(f"The PNG is broken: it has more than {MAX_PARTS:,} chunks.")


def _read_png(data: bytes) -> tuple[Size, int]:
    if data[8:16] != b"\0\0\0\x0dIHDR":
        raise CorruptImage("The PNG is broken: it does not begin with an IHDR chunk.")
    size = _uint(data, 16, 4), _uint(data, 20, 4)
    exif = next((data[start:end] for kind, start, end in png_chunks(data) if kind == b"eXIf"), b"")
    return size, exif_orientation(exif)


# --- WebP -------------------------------------------------------------------------------------------------


def webp_chunks(data: bytes, at: int = 12) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk's body; the last may reach beyond the data."""
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        start = at + 8
        end = start + int.from_bytes(data[at + 4 : start], "little")
        yield data[at : at + 4], start, end
        at = end + end % 2
    raise CorruptImage(f"The WebP is broken: it has more than {MAX_PARTS:,} chunks.")


def _read_webp(data: bytes) -> tuple[Size, int]:
    kind, start, end = next(webp_chunks(data), (b"", 0, 0))
    if kind != b"VP8X":
        return webp_frame_size(kind, data[start : min(end, start + 10)]), 1
    size = 1 + _uint(data, start + 4, 3, "little"), 1 + _uint(data, start + 7, 3, "little")
    exif = next((data[start:end] for kind, start, end in webp_chunks(data) if kind == b"EXIF"), b"")
    return size, exif_orientation(exif)


def webp_frame_size(kind: bytes, body: bytes) -> Size:
    """Width and height that a VP8 or VP8L bitstream states of itself."""
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return _uint(body, 6, 2, "little") & 0x3FFF, _uint(body, 8, 2, "little") & 0x3FFF
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = _uint(body, 1, 4, "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise CorruptImage("The WebP is cut short or broken: it has no VP8 or VP8L header where one must be.")


# --- EXIF -------------------------------------------------------------------------------------------------

_TIFF_ORDERS: dict[bytes, Literal["big", "little"]] = {b"MM\0*": "big", b"II*\0": "little"}
_ORIENTATION_TAG, _SHORT = 0x0112, 3


def exif_orientation(exif: bytes) -> int:
    """1 to 8; 1 without EXIF, and for EXIF that makes no sense: a picture is worth more than its label."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = _TIFF_ORDERS.get(tiff[:4])
    if order is None:
        return 1
    ifd = int.from_bytes(tiff[4:8], order)
    entries = min(int.from_bytes(tiff[ifd : ifd + 2], order), MAX_IFD_ENTRIES)
    tag = _ORIENTATION_TAG.to_bytes(2, order) + _SHORT.to_bytes(2, order)
    for at in range(ifd + 2, min(ifd + 2 + 12 * entries, len(tiff) - 11), 12):
        if tiff[at : at + 4] == tag:
            orientation = int.from_bytes(tiff[at + 8 : at + 10], order)
            return orientation if 1 <= orientation <= 8 else 1
    return 1


def _uint(data: bytes, at: int, size: int, order: Literal["big", "little"] = "big") -> int:
    field = data[at : at + size]
    if len(field) < size:
        raise CorruptImage("The picture is cut short: it ends in the middle of its header.")
    return int.from_bytes(field, order)


_READERS = {"jpeg": _read_jpeg, "png": _read_png, "webp": _read_webp}
