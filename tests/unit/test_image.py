import contextlib
import io
import subprocess
import sys
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ai.core import image
from ai.core.errors import CorruptImage, ImageTooLarge, InvalidImage, UnsupportedImage
from ai.core.image import ImageLimits, decode, read_header
from tests import pictures
from tests.pictures import Pixels, scene

pytestmark = pytest.mark.alone


def by_pillow(data: bytes) -> Pixels:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def assert_close(actual: Pixels, expected: Pixels, tolerance: int) -> None:
    """Two decoders may differ by a rounding or two, and a lossy codec by a little more."""
    assert actual.shape == expected.shape
    assert np.abs(actual.astype(int) - expected.astype(int)).max() <= tolerance


# --- what every picture is promised -----------------------------------------------------------------------

LOSSY = {
    "baseline": pictures.jpeg(),
    "4:2:0": pictures.jpeg(subsampling=2),
    "progressive": pictures.jpeg(progressive=True),
    "restarts": pictures.jpeg(restart_marker_rows=1),
    "mpo": pictures.mpo(),
    "vp8": pictures.webp(),
    "vp8-alpha": pictures.webp(np.dstack([scene(), np.full((32, 48), 255, np.uint8)])),
}
EXACT = {
    "rgb": pictures.png(),
    "interlaced": pictures.png_interlaced(),
    "16-bit": pictures.png_16_bit(),
    "apng": pictures.png_animated(),
    "vp8l": pictures.webp(lossless=True),
    "animated-webp": pictures.webp_animated(),
}


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_pictures_keep_their_colours(name: str) -> None:
    """RGB in this order, within what the codec loses."""
    assert_close(decode(LOSSY[name]), scene(), 12)


@pytest.mark.parametrize("name", EXACT)
def test_lossless_pictures_are_exact(name: str) -> None:
    """Every pixel of a lossless picture; of an animation, of its first frame."""
    np.testing.assert_array_equal(decode(EXACT[name]), scene())


@pytest.mark.parametrize("wrap", [bytearray, memoryview])
@pytest.mark.parametrize(
    "data", [pictures.jpeg(), pictures.png(), pictures.webp()], ids=["jpeg", "png", "webp"]
)
def test_any_buffer_decodes(data: bytes, wrap: type) -> None:
    """bytearray and memoryview do as well as bytes."""
    np.testing.assert_array_equal(decode(wrap(data)), decode(data))


@pytest.mark.parametrize("side", [(1, 1), (1, 7), (7, 1), (3, 2)])
@pytest.mark.parametrize("encode", [pictures.png, pictures.png_interlaced, pictures.jpeg, pictures.webp])
def test_the_smallest_pictures_decode(encode: Callable[[Pixels], bytes], side: tuple[int, int]) -> None:
    """One pixel is a picture."""
    pixels = np.full((side[1], side[0], 3), 120, np.uint8)
    assert_close(decode(encode(pixels)), pixels, 3)


# --- orientation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("codec", ["PNG", "WEBP"])
def test_every_orientation_is_turned_upright_exactly(codec: str, orientation: int, order: str) -> None:
    """The same pixels as Pillow's exif_transpose, contiguous, for all eight orientations."""
    data = pictures.oriented(codec, orientation, order)
    pixels = decode(data)
    np.testing.assert_array_equal(pixels, by_pillow(data))
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_jpeg_is_turned_upright(orientation: int) -> None:
    """As for the lossless types; JPEG's two decoders may differ by a rounding."""
    data = pictures.oriented("JPEG", orientation)
    pixels = decode(data)
    assert_close(pixels, by_pillow(data), 2)
    assert pixels.flags.c_contiguous


def test_an_upright_jpeg_is_not_copied() -> None:
    """The array is the one into which libjpeg-turbo wrote."""
    pixels = decode(pictures.jpeg())
    assert pixels.flags.owndata
    assert pixels.base is None


# --- JPEG -------------------------------------------------------------------------------------------------


def test_a_gray_jpeg_has_three_equal_channels() -> None:
    """Gray becomes RGB."""
    gray = scene()[..., 0]
    assert_close(decode(pictures.jpeg(gray)), np.dstack([gray] * 3), 3)


@pytest.mark.parametrize("transform", [0, 2, None], ids=["cmyk", "ycck", "no-adobe-marker"])
def test_cmyk_jpeg_has_the_right_colours(transform: int | None) -> None:
    """Inverted CMYK and YCCK, with and without Adobe's marker, look as in Pillow and in OpenCV."""
    data = pictures.jpeg_cmyk(transform)
    assert_close(decode(data), by_pillow(data), 2)
    assert_close(decode(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), 2)
    assert decode(data).std() > 20


BASE = pictures.jpeg()
DQT, SCAN = BASE.index(b"\xff\xdb"), BASE.index(b"\xff\xda")
HARMLESS = {
    "padding before EOI": (
        BASE[:-2] + b"\0\1\2\3\4\5\6\7" + BASE[-2:],
        r"Corrupt JPEG data: \d extraneous bytes before marker 0xd9",
    ),
    "padding before a table": (
        BASE[:DQT] + b"\0\1\2" + BASE[DQT:],
        r"Corrupt JPEG data: 3 extraneous bytes before marker 0xdb",
    ),
    "JFIF 2": (
        BASE.replace(b"JFIF\0\1", b"JFIF\0\2"),
        r"Warning: unknown JFIF revision number 2\.01",
    ),
    "lazy scan parameters": (
        BASE[: SCAN + 12] + b"\x09" + BASE[SCAN + 13 :],
        r"Invalid SOS parameters for sequential JPEG",
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_oddities_decode_as_if_they_were_not_there(name: str) -> None:
    """What real cameras write decodes to the very pixels, though libjpeg-turbo complains in these words."""
    data, complaint = HARMLESS[name]
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        simplejpeg.decode_jpeg(data, "RGB", strict=True)
    np.testing.assert_array_equal(decode(data), decode(BASE))


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_oddity_does_not_hide_a_truncation(name: str) -> None:
    """libjpeg-turbo tells only its first complaint; the cut behind it is found all the same."""
    with pytest.raises(CorruptImage, match="cut short"):
        decode(HARMLESS[name][0][:-10])


@pytest.mark.parametrize("tail", [b"trailing garbage", b"\xff\xda" * 1000, pictures.jpeg()[:-40]])
def test_what_follows_the_end_of_a_jpeg_is_ignored(tail: bytes) -> None:
    """Phones append videos and further pictures, whole or not."""
    np.testing.assert_array_equal(decode(BASE + tail), decode(BASE))


def test_fill_bytes_before_a_marker_are_no_damage() -> None:
    """Any marker may be preceded by any number of FF."""
    np.testing.assert_array_equal(decode(BASE[:DQT] + b"\xff" * 5 + BASE[DQT:]), decode(BASE))


def test_a_marker_without_a_body_is_passed_over() -> None:
    """TEM has no length; what follows it is no length either."""
    np.testing.assert_array_equal(decode(BASE[:DQT] + b"\xff\x01" + BASE[DQT:]), decode(BASE))


RESTARTS = pictures.jpeg(scene(200, 160), restart_marker_rows=1)
SECOND_RESTART = RESTARTS.index(b"\xff\xd1")
DAMAGED = {
    "half": (RESTARTS[: len(RESTARTS) // 2], r"Premature end of JPEG file"),
    "half of a progressive one": (
        pictures.jpeg(progressive=True)[:-400],
        r"Premature end of JPEG file",
    ),
    "no EOI": (BASE[:-2], r"Premature end of JPEG file"),
    "half of CMYK": (pictures.jpeg_cmyk()[:-300], r"Premature end of JPEG file"),
    "lost restart": (
        RESTARTS[:SECOND_RESTART] + RESTARTS[SECOND_RESTART + 2 :],
        r"Corrupt JPEG data: \d+ extraneous bytes before marker 0xd2",
    ),
    "wrong restart": (
        RESTARTS[:SECOND_RESTART] + b"\xff\xd4" + RESTARTS[SECOND_RESTART + 2 :],
        r"Corrupt JPEG data: found marker 0xd4 instead of RST1",
    ),
    "scan ends early": (
        RESTARTS[: SECOND_RESTART - 20] + RESTARTS[-2:],
        r"Corrupt JPEG data: premature end of data segment",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_jpeg_is_corrupt(name: str) -> None:
    """Lost pixels are an error, and libjpeg-turbo's words for it reach the caller."""
    data, complaint = DAMAGED[name]
    with pytest.raises(CorruptImage, match=f"The JPEG is cut short or broken: {complaint}"):
        decode(data)


def test_a_jpeg_without_a_scan_is_corrupt() -> None:
    """A header alone is no picture."""
    with pytest.raises(CorruptImage, match="cut short or broken"):
        decode(BASE[:SCAN])


def test_unusual_chroma_sampling_is_named() -> None:
    """Sampling that simplejpeg has no name for is not called corrupt."""
    data = bytearray(BASE)
    data[data.index(b"\xff\xc0") + 11] = 0x31
    with pytest.raises(UnsupportedImage, match="unusual chroma sampling"):
        decode(bytes(data))


def test_a_scan_bomb_is_refused() -> None:
    """Each scan of 40 bytes costs a pass over the whole picture: 250,000 of them fit into 10 MiB."""
    with pytest.raises(UnsupportedImage, match="more than 64 scans"):
        decode(pictures.jpeg_of_many_scans(100))


def test_the_decoder_cannot_be_led_to_another_size() -> None:
    """A second frame header, which another parser might believe, allocates nothing and is corrupt."""
    frame = BASE.index(b"\xff\xc0")
    giant = b"\xff\xc0" + BASE[frame + 2 : frame + 5] + b"\xff\xff\xff\xff" + BASE[frame + 9 : frame + 19]
    with pytest.raises(InvalidImage):
        decode(BASE[:SCAN] + giant + BASE[SCAN:])
    with pytest.raises(ValueError, match="buffer is too small"):
        simplejpeg.decode_jpeg(BASE, "RGB", buffer=np.empty((31, 48, 3), np.uint8))


# --- PNG --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_gray_png_of_every_depth(depth: int) -> None:
    """Black and white are 0 and 255, however few or many bits they take."""
    row = int("0" * depth * 4 + "1" * depth * 4, 2).to_bytes(depth, "big")
    pixels = decode(pictures.png_of_rows([row] * 2, 8, depth, 0))
    np.testing.assert_array_equal(pixels, np.repeat([[[0]] * 4 + [[255]] * 4] * 2, 3, axis=2))


def test_palette_png_is_exact() -> None:
    """Every pixel has its palette colour."""
    data = pictures.png_palette()
    np.testing.assert_array_equal(decode(data), by_pillow(data))


COLOUR, BLACK = (200, 100, 50), (0, 0, 0)
SEE_THROUGH = {
    "rgba": pictures.png_of_rows([bytes((*COLOUR, 255, *COLOUR, 0))], 2, 8, 6),
    "rgba-16": pictures.png_of_rows(
        [b"".join(bytes((byte, byte)) for byte in (*COLOUR, 255, *COLOUR, 0))], 2, 16, 6
    ),
    "palette": pictures.png_of_rows([b"\1\0"], 2, 8, 3, (b"PLTE", bytes(COLOUR * 2)), (b"tRNS", b"\0")),
    "rgb-key": pictures.png_of_rows(
        [bytes((*COLOUR, 9, 8, 7))], 2, 8, 2, (b"tRNS", bytes((0, 9, 0, 8, 0, 7)))
    ),
    "vp8l": pictures.webp(np.array([[(*COLOUR, 255), (*COLOUR, 0)]], np.uint8), lossless=True, exact=True),
}


@pytest.mark.parametrize("name", SEE_THROUGH)
def test_what_cannot_be_seen_is_black(name: str) -> None:
    """The colours hidden under transparent pixels are not shown to the detector."""
    np.testing.assert_array_equal(decode(SEE_THROUGH[name]), [[COLOUR, BLACK]])


def test_half_transparent_pixels_are_half_as_bright() -> None:
    """Alpha is a blend with black, also for gray with alpha and for WebP's separate alpha plane."""
    gray = pictures.png_of_rows([bytes((200, 128))], 1, 8, 4)
    np.testing.assert_array_equal(decode(gray), [[[100] * 3]])
    plane = np.full((16, 16, 4), (200, 100, 50, 128), np.uint8)
    assert_close(decode(pictures.webp(plane)), np.full((16, 16, 3), (100, 50, 25), np.uint8), 4)


def test_transparent_gray_stays_opaque() -> None:
    """OpenCV knows no transparent gray without an alpha channel: a known gap, not an error."""
    data = pictures.png_of_rows([bytes((200, 100))], 2, 8, 0, (b"tRNS", b"\0\xc8"))
    np.testing.assert_array_equal(decode(data), [[[200] * 3, [100] * 3]])


ROWS = [row.tobytes() for row in scene()]
STREAM = zlib.compress(b"".join(b"\0" + row for row in ROWS))


def png_of_stream(stream: bytes, *others: pictures.Chunk) -> bytes:
    return pictures.join_png([pictures.ihdr(48, 32), *others, (b"IDAT", stream), pictures.IEND])


def flipped(data: bytes, at: int, bits: int = 0xFF) -> bytes:
    return data[:at] + bytes((data[at] ^ bits,)) + data[at + 1 :]


WHOLE_PNG = png_of_stream(STREAM)
BROKEN_PNG = {
    "half": WHOLE_PNG[: len(WHOLE_PNG) // 2],
    "no IEND": WHOLE_PNG[:-12],
    "half an IEND": WHOLE_PNG[:-1],
    "no IDAT": pictures.join_png([pictures.ihdr(48, 32), pictures.IEND]),
    "flipped bit": flipped(WHOLE_PNG, 300, 1),
    "too few rows": pictures.join_png([pictures.ihdr(48, 32), pictures.idat(ROWS[:-1]), pictures.IEND]),
    "too many rows": pictures.join_png([pictures.ihdr(48, 32), pictures.idat([*ROWS, b""]), pictures.IEND]),
    "no checksum of the stream": png_of_stream(STREAM[:-4]),
    "unknown filter": png_of_stream(zlib.compress(b"".join(b"\7" + row for row in ROWS))),
    "unknown depth": pictures.join_png([pictures.ihdr(48, 32, depth=3), (b"IDAT", STREAM), pictures.IEND]),
    "unknown colour": pictures.join_png([pictures.ihdr(48, 32, colour=5), (b"IDAT", STREAM), pictures.IEND]),
    "unknown interlace": pictures.join_png(
        [pictures.ihdr(48, 32, interlace=2), (b"IDAT", STREAM), pictures.IEND]
    ),
    "no palette": pictures.png_of_rows([bytes(48)] * 32, 48, 8, 3),
    "ragged palette": pictures.png_of_rows([bytes(48)] * 32, 48, 8, 3, (b"PLTE", bytes(4))),
    "unknown critical chunk": png_of_stream(STREAM, (b"CRIT", b"")),
}


@pytest.mark.parametrize("name", BROKEN_PNG)
def test_a_broken_png_is_corrupt(name: str) -> None:
    """No half picture, whatever is wrong, and never a picture that only libpng would have warned about."""
    with pytest.raises(CorruptImage, match=r"broken|cut short"):
        decode(BROKEN_PNG[name])


def test_the_whole_png_that_the_broken_ones_derive_from_decodes() -> None:
    """Else the test above would prove nothing."""
    np.testing.assert_array_equal(decode(WHOLE_PNG), scene())


@pytest.mark.parametrize("at", range(2, len(STREAM), 97))
def test_damage_under_a_repaired_chunk_checksum_is_found(at: int) -> None:
    """The stream's own checksum tells, where libpng may only warn."""
    with pytest.raises(CorruptImage):
        decode(png_of_stream(flipped(STREAM, at)))


def test_the_end_of_the_checksum_counts() -> None:
    """libpng only warns of a wrong checksum at the end of some streams."""
    with pytest.raises(CorruptImage, match="incorrect data check"):
        decode(png_of_stream(flipped(STREAM, len(STREAM) - 1)))


def test_damaged_metadata_does_not_spoil_a_picture() -> None:
    """A wrong checksum in a chunk that decides no pixel is nobody's concern."""
    data = png_of_stream(STREAM, (b"tEXt", b"comment\0hello"))
    np.testing.assert_array_equal(decode(flipped(data, data.index(b"hello"))), scene())


def test_what_follows_iend_is_ignored() -> None:
    """Trailing garbage is no damage, not even if it is half of another picture."""
    np.testing.assert_array_equal(decode(WHOLE_PNG + b"garbage" * 9), scene())
    np.testing.assert_array_equal(decode(WHOLE_PNG + flipped(WHOLE_PNG[8:], 300)), scene())


@pytest.mark.parametrize("what", ["depth", "colour", "interlace"])
def test_an_unknown_way_to_store_pixels_is_named(what: str) -> None:
    """It is found in the header, before pixels are looked at."""
    with pytest.raises(CorruptImage, match="its header names no known way to store pixels"):
        decode(BROKEN_PNG[f"unknown {what}"])


# --- WebP -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [pictures.webp, pictures.webp_animated], ids=["still", "animated"])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9])
def test_a_cut_webp_is_corrupt(make: Callable[[], bytes], part: float) -> None:
    """RIFF says how long the file is; it is cut short even if an animation's first frame is all there."""
    data = make()
    with pytest.raises(CorruptImage, match=rf"cut short: it says {len(data):,} bytes"):
        decode(data[: int(len(data) * part)])


@pytest.mark.parametrize("cut_bytes", [2, 40, 200])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_cut_webp_of_the_right_length_is_corrupt(lossless: bool, cut_bytes: int) -> None:
    """RIFF's length was made to fit the cut, but the frame inside is still longer."""
    cut = pictures.webp(lossless=lossless)[:-cut_bytes]
    with pytest.raises(CorruptImage, match="no whole frame"):
        decode(cut[:4] + (len(cut) - 8).to_bytes(4, "little") + cut[8:])


@pytest.mark.parametrize(
    "kind", ["frame of another size than it says", "canvas of another size than the picture"]
)
def test_a_webp_of_two_sizes_meets_no_decoder(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A frame of 16,383 x 16,383 in a file that says 10 x 10 is found out before it is decoded."""
    monkeypatch.delattr(image, "_cv2_decode")
    with pytest.raises(CorruptImage, match="it states two sizes"):
        decode(pictures.webp_of(BROKEN_WEBP[kind]))


def test_a_webp_of_fewer_bytes_than_opencv_takes_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """One black pixel fits into 28; of less than 32 OpenCV said on stderr that it will not look at them."""
    tiny = pictures.webp_of([(b"VP8L", b"/\0\0\0\0\x88\x88\x08")])
    np.testing.assert_array_equal(decode(tiny), np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(CorruptImage, match="cannot be decoded"):
        decode(pictures.webp_of([(b"VP8L", b"/\0\0\0\0\xff")]))
    assert capfd.readouterr().err == ""


def frame_chunk(left: int, top: int, width: int, height: int, pixels: Pixels) -> pictures.Chunk:
    numbers = (left // 2, top // 2, width - 1, height - 1, 100)
    bitstream = pictures.webp(pixels, lossless=True)[12:]
    return b"ANMF", b"".join(number.to_bytes(3, "little") for number in numbers) + b"\0" + bitstream


def test_a_first_frame_smaller_than_the_canvas_lies_on_black() -> None:
    """The header's size is the canvas's, and so is the array's."""
    frame = frame_chunk(4, 2, 48, 32, scene())
    pixels = decode(pictures.webp_of([pictures.webp_vp8x(60, 40, 0x02), (b"ANIM", bytes(6)), frame]))
    expected = np.zeros((40, 60, 3), np.uint8)
    expected[2:34, 4:52] = scene()
    np.testing.assert_array_equal(pixels, expected)


BROKEN_WEBP = {
    "frame beyond the canvas": [pictures.webp_vp8x(48, 32, 2), frame_chunk(2, 0, 48, 32, scene())],
    "animation without a frame": [pictures.webp_vp8x(48, 32, 2)],
    "frame of another size than it says": [pictures.webp_vp8x(48, 32, 2), frame_chunk(0, 0, 40, 32, scene())],
    "canvas of another size than the picture": [
        pictures.webp_vp8x(10, 10, 0),
        (b"VP8 ", pictures.webp()[20:]),
    ],
    "no picture": [pictures.webp_vp8x(48, 32, 0), (b"EXIF", b"")],
    "garbage in the frame": [(b"VP8L", pictures.webp(lossless=True)[20:30] + b"\xff" * 300)],
}


@pytest.mark.parametrize("name", BROKEN_WEBP)
def test_a_broken_webp_is_corrupt(name: str) -> None:
    """Whatever contradicts itself is broken, before a decoder is asked to make room for it."""
    with pytest.raises(CorruptImage, match=r"broken|cut short"):
        decode(pictures.webp_of(BROKEN_WEBP[name]))


# --- bombs ------------------------------------------------------------------------------------------------


def test_nothing_over_the_limits_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of a gigabyte in 330 KB meets no decoder."""
    monkeypatch.setattr(image, "_DECODERS", {})
    with pytest.raises(ImageTooLarge, match="342,250,000"):
        decode(pictures.png_bomb())
    with pytest.raises(ImageTooLarge, match="at most 100 are allowed"):
        decode(pictures.png(), ImageLimits(max_pixels=100))


MEASURE = r"""
import re, zlib
from pathlib import Path
from ai.core.errors import InvalidImage
from ai.core.image import decode
from tests import pictures

# Not ru_maxrss: that one survives exec, and the process that starts this one may be large.
rss_kb = lambda: int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
decode(pictures.png())
data = {make}
before_kb = rss_kb()
try:
    {act}
except InvalidImage:
    pass
print((rss_kb() - before_kb) // 1024)
"""


def grown_mb(make: str, act: str = "decode(data)") -> int:
    code = MEASURE.format(make=make, act=act)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@pytest.mark.parametrize("bomb", ["png_with_too_many_pixels", "png_with_metadata_bomb"])
def test_a_bomb_inside_a_small_picture_takes_no_memory(bomb: str) -> None:
    """300 MB of zeros in a PNG of 10 x 10, as pixels or as metadata, are not inflated."""
    assert grown_mb(f"pictures.{bomb}(300_000_000)") < 60


def test_the_measure_sees_a_bomb_go_off() -> None:
    """Negative control of the test above."""
    assert grown_mb("pictures.deflated_zeros(300_000_000)", "zlib.decompress(data)") > 200


# --- nothing else escapes, and nothing is printed ---------------------------------------------------------


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (ValueError("x"), CorruptImage),
        (RuntimeError("x"), CorruptImage),
        (cv2.error("x"), CorruptImage),
        (zlib.error("x"), CorruptImage),
        (MemoryError(), ImageTooLarge),
    ],
    ids=lambda value: type(value).__name__,
)
def test_foreign_errors_become_ours(
    monkeypatch: pytest.MonkeyPatch, foreign: Exception, ours: type[InvalidImage]
) -> None:
    """Whatever a decoder raises, the caller sees an InvalidImage with the cause behind it."""

    def fail(data: bytes, size: tuple[int, int]) -> Pixels:
        raise foreign

    monkeypatch.setitem(image._DECODERS, "png", fail)
    with pytest.raises(ours) as failure:
        decode(pictures.png())
    assert failure.value.__cause__ is foreign


def test_the_decoders_keep_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    """No library writes to stderr, where a hostile client could flood the log."""
    broken = [data for name, data in BROKEN_PNG.items() if name != "unknown filter"]
    broken += [pictures.webp_of(chunks) for chunks in BROKEN_WEBP.values()]
    broken += [data for data, _ in DAMAGED.values()] + [pictures.webp_animated()[:200]]
    broken += [data for data, _ in HARMLESS.values()]
    for data in (*broken, pictures.png_with_metadata_bomb(1_000_000)):
        with contextlib.suppress(InvalidImage):
            decode(data)
    assert capfd.readouterr().err == ""


SEEDS = [
    *LOSSY.values(),
    *EXACT.values(),
    *SEE_THROUGH.values(),
    pictures.jpeg_cmyk(),
    pictures.png_palette(3),
    pictures.oriented("JPEG", 6),
    pictures.oriented("PNG", 6),
    pictures.oriented("WEBP", 6),
]


@st.composite
def damaged_pictures(draw: st.DrawFn) -> bytes:
    """A valid picture with a few bytes flipped, inserted, removed, or all behind a point cut off."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        # Half of the damage goes to the header, where it does more than change a colour.
        end = draw(st.sampled_from([len(data) - 1, min(len(data) - 1, 100)]))
        at = draw(st.integers(0, max(end, 0)))
        new = draw(st.binary(max_size=4))
        match draw(st.sampled_from(["overwrite", "overwrite", "insert", "remove", "cut"])):
            case "overwrite":
                data = data[:at] + new + data[at + len(new) :]
            case "insert":
                data = data[:at] + new + data[at:]
            case "remove":
                data = data[:at] + data[at + len(new) :]
            case "cut":
                data = data[:at]
    if data.startswith(b"\x89PNG") and draw(st.booleans()):
        data = with_right_checksums(data)
    return data


def with_right_checksums(data: bytes) -> bytes:
    """So that the damage reaches what lies behind the checksums."""
    at, parts = 8, [data[:8]]
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        parts += [data[at:end], zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")]
        at = end + 4
    return b"".join(parts)


@settings(max_examples=1500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(damaged_pictures())
def test_any_damage_gives_a_picture_or_an_invalid_image(data: bytes) -> None:
    """Nothing but InvalidImage escapes, and a picture has the size that its header promised."""
    try:
        pixels = decode(data)
    except InvalidImage:
        return
    header = read_header(data)
    assert pixels.shape == (header.height, header.width, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.sampled_from(
        [
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
            b"RIFF\xff\0\0\0WEBPVP8X",
            b"RIFF\xff\0\0\0WEBPVP8 ",
        ]
    ),
    st.binary(max_size=200),
)
def test_any_bytes_are_refused_politely(magic: bytes, noise: bytes) -> None:
    """Noise, with and without a magic that leads a parser in, is an InvalidImage, or by chance a picture."""
    with contextlib.suppress(InvalidImage):
        decode(magic + noise)
