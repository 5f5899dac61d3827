"""The pictures that are spoiled: small ones of every kind that a format knows, and the heaviest allowed ones."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from ai.core.header import MAX_IMAGE_PIXELS
from tests import pictures

FORMATS = ("jpeg", "png", "webp")
_SIDE = int(MAX_IMAGE_PIXELS**0.5)


@cache
def seeds(codec: str) -> tuple[bytes, ...]:
    return {"jpeg": _jpegs, "png": _pngs, "webp": _webps}[codec]()


@cache
def heaviest(codec: str) -> tuple[bytes, ...]:
    """As many pixels as are allowed, stored in the ways that cost most."""
    noise = np.random.default_rng(1).integers(0, 255, (_SIDE // 8, _SIDE // 8, 3), np.uint8)
    pixels = np.ascontiguousarray(noise.repeat(8, 0).repeat(8, 1))
    if codec == "jpeg":
        return pictures.jpeg(pixels, quality=60), pictures.jpeg(pixels, quality=40, progressive=True)
    if codec == "png":
        return _deep_png(_SIDE), pictures.png(pixels, compress_level=1)
    see_through = np.dstack((pixels, pixels[..., :1]))
    return pictures.webp(pixels, quality=50, method=0), pictures.webp(see_through, quality=50, method=0)


def _jpegs() -> tuple[bytes, ...]:
    scene, large = pictures.scene(), pictures.scene(321, 243)
    grey = Image.fromarray(scene).convert("L")
    return (
        pictures.jpeg(),
        pictures.jpeg(subsampling=2, quality=60),
        pictures.jpeg(subsampling=1),
        pictures.jpeg(progressive=True),
        pictures.jpeg(large, quality=70, progressive=True, subsampling=2),
        pictures.jpeg(large, quality=70, restart_marker_rows=1),
        pictures.encode(np.asarray(grey), "JPEG"),
        pictures.jpeg_cmyk(),
        pictures.jpeg_cmyk(2),
        pictures.jpeg_cmyk(None),
        pictures.jpeg(icc_profile=_profile()),
        pictures.jpeg_of_many_scans(8),
        pictures.mpo(),
        *(pictures.oriented("JPEG", turn, order) for turn in (2, 5, 6, 8) for order in "<>"),
    )


def _pngs() -> tuple[bytes, ...]:
    scene, large = pictures.scene(), pictures.scene(321, 243)
    grey = np.asarray(Image.fromarray(scene).convert("L"))
    alpha = np.dstack((scene, scene[..., :1]))
    return (
        pictures.png(),
        pictures.png(large),
        pictures.png(grey),
        pictures.png(alpha),
        pictures.png_16_bit(),
        _deep_png(20),
        pictures.png_interlaced(),
        pictures.png_palette(),
        pictures.png_palette(3),
        pictures.png_animated(),
        pictures.png(icc_profile=_profile()),
        pictures.png_of_rows([b"\xa5" * 6] * 9, 48, 1, 0),
        pictures.png_with_metadata_bomb(1_000_000),
        *(pictures.oriented("PNG", turn, order) for turn in (2, 5, 6, 8) for order in "<>"),
    )


def _webps() -> tuple[bytes, ...]:
    scene, large = pictures.scene(), pictures.scene(321, 243)
    alpha = np.dstack((scene, scene[..., :1]))
    return (
        pictures.webp(),
        pictures.webp(large, quality=60),
        pictures.webp(lossless=True),
        pictures.webp(alpha),
        pictures.webp(alpha, lossless=True),
        pictures.webp(icc_profile=_profile()),
        pictures.webp_animated(),
        pictures.webp(scene, save_all=True, append_images=[Image.fromarray(255 - scene)]),
        *(pictures.oriented("WEBP", turn, order) for turn in (2, 5, 6, 8) for order in "<>"),
    )


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _deep_png(side: int) -> bytes:
    """RGBA of 16 bits a sample: the decoder holds it three times over."""
    row = b"\0" + struct.pack(">4H", 40_000, 9_000, 500, 30_000) * side
    deflater = zlib.compressobj(1)
    stream = b"".join(deflater.compress(row) for _ in range(side)) + deflater.flush()
    return pictures.join_png([pictures.ihdr(side, side, 16, 6), (b"IDAT", stream), pictures.IEND])


def file_of(codec: str, pixels: np.ndarray) -> bytes:
    """Without loss where the format can."""
    file = io.BytesIO()
    options = {"jpeg": {"quality": 95}, "png": {}, "webp": {"lossless": True}}[codec]
    Image.fromarray(pixels).save(file, codec.upper(), **options)
    return file.getvalue()
