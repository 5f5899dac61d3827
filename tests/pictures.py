"""Pictures, whole and odd, made on the spot. Nearly every function returns the bytes of a file."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Chunk = tuple[bytes, bytes]

# --- whole pictures ---------------------------------------------------------------------------------------


def scene(width: int = 48, height: int = 32) -> Pixels:
    """Smooth, colourful and without any symmetry, so that a lossy codec keeps it and a wrong turn shows."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([40 + 200 * x, 30 + 150 * y, 200 * (1 - x) * y + 20], axis=-1).astype(np.uint8)


def encode(pixels: Pixels, codec: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, codec, **options)
    return file.getvalue()


def jpeg(pixels: Pixels | None = None, **options: Any) -> bytes:
    return encode(
        scene() if pixels is None else pixels, "JPEG", **{"quality": 95, "subsampling": 0, **options}
    )


def png(pixels: Pixels | None = None, **options: Any) -> bytes:
    return encode(scene() if pixels is None else pixels, "PNG", **options)


def webp(pixels: Pixels | None = None, **options: Any) -> bytes:
    return encode(scene() if pixels is None else pixels, "WEBP", **{"quality": 95, **options})


# --- orientation ------------------------------------------------------------------------------------------


def tiff_orientation(orientation: int, order: str = "<", entries: int = 1, ifd: int = 8) -> bytes:
    """A TIFF block that holds nothing but an orientation; *entries* and *ifd* may lie."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IHHHIHHI", ifd, entries, 0x0112, 3, 1, orientation, 0, 0)


def jpeg_with(segments: Sequence[tuple[int, bytes]], base: bytes | None = None) -> bytes:
    """A JPEG with further segments right after its SOI."""
    base = base or jpeg()
    extra = (
        b"\xff" + bytes((marker,)) + struct.pack(">H", 2 + len(body)) + body for marker, body in segments
    )
    return base[:2] + b"".join(extra) + base[2:]


def oriented(codec: str, orientation: int, order: str = "<", pixels: Pixels | None = None) -> bytes:
    """*pixels* stored as they are, with an EXIF orientation beside them. JPEG, PNG and WebP."""
    tiff = tiff_orientation(orientation, order)
    pixels = scene() if pixels is None else pixels
    if codec == "JPEG":
        return jpeg_with([(0xE1, b"Exif\0\0" + tiff)], jpeg(pixels))
    if codec == "PNG":
        chunks = split_png(png(pixels))
        return join_png([chunks[0], (b"eXIf", tiff), *chunks[1:]])
    return webp(pixels, lossless=True, exif=tiff)


# --- PNG by hand ------------------------------------------------------------------------------------------


def split_png(data: bytes) -> list[Chunk]:
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def join_png(chunks: Sequence[Chunk]) -> bytes:
    """With right lengths and checksums, whatever the bodies say."""
    parts = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def ihdr(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> Chunk:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)


def idat(rows: Sequence[bytes]) -> Chunk:
    return b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))


IEND: Chunk = (b"IEND", b"")


def png_of_rows(rows: Sequence[bytes], width: int, depth: int, colour: int, *extra: Chunk) -> bytes:
    """Raw rows behind *extra* chunks (PLTE, tRNS): also the types that Pillow does not write."""
    return join_png([ihdr(width, len(rows), depth, colour), *extra, idat(rows), IEND])


def png_16_bit(pixels: Pixels | None = None) -> bytes:
    """RGB of 16 bits a sample, each 257 times the sample of 8."""
    wide = (scene() if pixels is None else pixels).astype(">u2") * 257
    return png_of_rows([row.astype(">u2").tobytes() for row in wide], wide.shape[1], 16, 2)


def png_interlaced(pixels: Pixels | None = None) -> bytes:
    """Adam7."""
    pixels = scene() if pixels is None else pixels
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in steps]
    rows = [row.tobytes() for part in passes for row in part if part.shape[1]]
    return join_png([ihdr(pixels.shape[1], pixels.shape[0], interlace=1), idat(rows), IEND])


def png_palette(transparent: int | None = None) -> bytes:
    """Sixteen colours; *transparent* is the index of one that is not to be seen."""
    file = io.BytesIO()
    options = {} if transparent is None else {"transparency": transparent}
    Image.fromarray(scene()).quantize(16).save(file, "PNG", **options)
    return file.getvalue()


def png_animated(pixels: Pixels | None = None) -> bytes:
    """APNG: the picture, then its negative."""
    pixels = scene() if pixels is None else pixels
    return png(pixels, save_all=True, append_images=[Image.fromarray(255 - pixels)])


# --- JPEG and WebP of the rarer kinds ---------------------------------------------------------------------


def jpeg_cmyk(adobe_transform: int | None = 0) -> bytes:
    """Four inks, stored inverted as Adobe does. *adobe_transform*: 0 CMYK, 2 YCCK, None no such marker."""
    inks = np.dstack([scene(), np.full(scene().shape[:2], 230, np.uint8)])
    if adobe_transform == 2:
        inks = np.dstack([np.asarray(Image.fromarray(scene()).convert("YCbCr")), inks[..., 3]])
    file = io.BytesIO()
    Image.fromarray(255 - inks, "CMYK").save(file, "JPEG", quality=95, subsampling=0)
    data = file.getvalue()
    at = data.index(b"\xff\xee")
    if adobe_transform is None:
        return data[:at] + data[at + 16 :]
    return data[: at + 15] + bytes((adobe_transform,)) + data[at + 16 :]


def jpeg_of_many_scans(scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated: each is 40 bytes, and a pass over the picture."""
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def mpo() -> bytes:
    """What phones with two lenses write: two JPEGs in one file."""
    return encode(scene(), "MPO", quality=95, save_all=True, append_images=[Image.fromarray(255 - scene())])


def webp_animated(pixels: Pixels | None = None) -> bytes:
    """The picture, then its negative."""
    pixels = scene() if pixels is None else pixels
    return webp(pixels, lossless=True, save_all=True, append_images=[Image.fromarray(255 - pixels)])


def webp_of(chunks: Sequence[Chunk]) -> bytes:
    parts = (kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in chunks)
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_vp8x(width: int, height: int, flags: int) -> Chunk:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", bytes((flags, 0, 0, 0)) + sides


# --- bombs ------------------------------------------------------------------------------------------------


def png_saying(width: int, height: int) -> bytes:
    """A header and one row of pixels; 100,000 x 100,000 is a bomb of 70 bytes."""
    return join_png([ihdr(width, height), idat([bytes(3)]), IEND])


def jpeg_saying(width: int, height: int) -> bytes:
    data = bytearray(jpeg())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_saying(width: int, height: int) -> bytes:
    data = bytearray(webp())
    data[26:30] = struct.pack("<HH", width, height)
    return bytes(data)


def deflated_zeros(size_bytes: int) -> bytes:
    """A thousandth of the size, made without holding the whole."""
    deflater = zlib.compressobj(9)
    return b"".join(deflater.compress(bytes(1 << 16)) for _ in range(size_bytes >> 16)) + deflater.flush()


def png_bomb() -> bytes:
    """A valid PNG of 330 KB that is 1 GB of RGB: 18,500 x 18,500 black."""
    side = 18_500
    deflater = zlib.compressobj(9)
    stream = b"".join(deflater.compress(bytes(1 + side)) for _ in range(side)) + deflater.flush()
    return join_png([ihdr(side, side, colour=0), (b"IDAT", stream), IEND])


def png_with_too_many_pixels(size_bytes: int) -> bytes:
    """Its header says 10 x 10; its IDAT inflates to *size_bytes*."""
    return join_png([ihdr(10, 10), (b"IDAT", deflated_zeros(size_bytes)), IEND])


def png_with_metadata_bomb(size_bytes: int) -> bytes:
    """A picture with text and a colour profile that each inflate to *size_bytes*."""
    bomb = b"name\0\0" + deflated_zeros(size_bytes)
    first, *others = split_png(png())
    return join_png([first, (b"zTXt", bomb), (b"iCCP", bomb), *others])


# --- no pictures, or not ours -----------------------------------------------------------------------------


def foreign() -> dict[str, bytes]:
    """Type names to files (or what files of that type begin with) that are pictures, but not of our types."""
    return {
        "GIF": encode(scene(), "GIF"),
        "BMP": encode(scene(), "BMP"),
        "TIFF": encode(scene(), "TIFF"),
        "ICO": encode(scene(), "ICO"),
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(32),
        "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(32),
        "AVIF": b"\0\0\0\x20ftypavif" + bytes(32),
        "HEIC": b"\0\0\0\x18ftypheic" + bytes(32),
        "MP4 video": b"\0\0\0\x18ftypisom" + bytes(32),
        "Photoshop (PSD)": b"8BPS\0\1" + bytes(32),
        "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>',
    }


def strangers() -> dict[str, bytes]:
    """What the message should say it looks like, and the bytes: no pictures at all."""
    return {
        "it is empty": b"",
        "only 3 bytes": b"\xff\xd8\xff",
        "an HTML page": b"<!DOCTYPE html>\n<html><body><svg></svg>502 Bad Gateway</body></html>",
        "JSON": b'{"image": "aGVsbG8="}',
        "XML": b"<?xml version='1.0'?><note>not a picture</note>",
        "a data: URL": b"data:image/png;base64,iVBORw0KGgo=",
        "text": "Grüße, no picture here".encode() * 40,
        "the bytes 00 01 02": bytes(range(64)),
    }
