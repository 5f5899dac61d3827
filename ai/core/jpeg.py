"""JPEG, decoded by libjpeg-turbo: whole or an error, and smaller at once where not all pixels are needed.

A JPEG has no checksum, so libjpeg-turbo's word for what is harmless and what is damage counts (`_HARMLESS`).
"""

import re

import numpy as np
import numpy.typing as npt
import simplejpeg

from ai.core.errors import CorruptImage, UnsupportedImage
from ai.core.header import APP14, EOI, SOS, Size, jpeg_segments

Pixels = npt.NDArray[np.uint8]

# A decoder leaves out the frequencies that a smaller picture does not show. Other fractions (5/8, 3/8) cost more than
# they save: libjpeg-turbo has no vector code for them.
REDUCTIONS = (8, 4, 2)

# Cameras and phones write these, and every viewer shows the picture: padding before a marker (but not
# before a restart: there pixels were lost), an odd revision number, lazy scan parameters.
_HARMLESS = re.compile(
    r"Corrupt JPEG data: \d+ extraneous bytes before marker 0x(?!d[0-7])"
    r"|Warning: unknown JFIF revision number"
    r"|Invalid SOS parameters for sequential JPEG"
)
_UNKNOWN_SAMPLING = "Could not determine subsampling level"
# A scan of 42 bytes costs 15 ms at 25 megapixels, and 10 MiB hold 250,000 of them. Encoders write about 10.
MAX_JPEG_SCANS = 64


def decode_jpeg(data: bytes, size: Size, least: Size | None = None) -> Pixels:
    """RGB as it lies in the file, `size` as its header says; smaller where that still gives `least`."""
    _check_scans(data)
    width, height = _reduced(size, least)
    smaller = {"min_width": width, "min_height": height} if (width, height) != size else {}
    # Should the decoder read another size than we did, it refuses to write more than there is room for.
    pixels = np.empty((height, width, 3), np.uint8)
    try:
        decoded = simplejpeg.decode_jpeg(data, "RGB", strict=True, buffer=pixels, **smaller)
    except ValueError as complaint:
        if _UNKNOWN_SAMPLING in str(complaint) and _marker_count(data, SOS):
            raise UnsupportedImage(
                "The JPEG has an unusual chroma sampling or contradicts itself; expected 4:4:4 to 4:1:1."
            ) from complaint
        # Only the first complaint is told: a truncation may hide behind a harmless one.
        if not _HARMLESS.match(str(complaint)) or not _marker_count(data, EOI):
            raise
        decoded = simplejpeg.decode_jpeg(_tidied(data), "RGB", strict=False, buffer=pixels, **smaller)
    if decoded.shape != pixels.shape:
        raise CorruptImage("The JPEG is broken: it states two sizes.")
    return pixels


def _reduced(size: Size, least: Size | None) -> Size:
    """The smallest that the decoder makes at no cost and that is no smaller than `least` in either direction."""
    if least is None:
        return size
    sizes = [(-(-size[0] // by), -(-size[1] // by)) for by in REDUCTIONS]
    return next((one for one in sizes if one[0] >= least[0] and one[1] >= least[1]), size)


def _check_scans(data: bytes) -> None:
    if _marker_count(data, SOS) > MAX_JPEG_SCANS:
        raise UnsupportedImage(
            f"The JPEG has more than {MAX_JPEG_SCANS} scans, which takes too long to decode."
        )


def _marker_count(data: bytes, wanted: int) -> int:
    return sum(marker == wanted for marker, _, _ in jpeg_segments(data))


def _tidied(data: bytes) -> bytes:
    """Without the stray bytes and odd metadata before the first scan that simplejpeg always refuses."""
    parts = [data[:2]]
    for marker, start, end in jpeg_segments(data):
        if marker == SOS:
            return b"".join((*parts, data[start - 4 :]))
        if end > start and (marker < 0xE0 or marker == APP14):
            parts.append(data[start - 4 : end])
    raise CorruptImage("The JPEG is broken: it has no scan.")
