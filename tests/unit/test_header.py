import pytest

from ai.core.errors import CorruptImage, ImageTooLarge, NotAnImage, UnsupportedImage
from ai.core.header import MAX_IMAGE_BYTES, ImageHeader, ImageLimits, read_header
from tests import pictures

WHOLE = {"jpeg": pictures.jpeg(), "png": pictures.png(), "webp": pictures.webp()}


@pytest.mark.parametrize("codec", WHOLE)
def test_type_and_size_are_read(codec: str) -> None:
    """All three types tell their width and height, in that order."""
    assert read_header(WHOLE[codec]) == ImageHeader(codec, 48, 32, 1)


@pytest.mark.parametrize(
    "data", [pictures.webp(lossless=True), pictures.webp_animated()], ids=["VP8L", "VP8X"]
)
def test_every_kind_of_webp_tells_its_size(data: bytes) -> None:
    """Lossless and extended WebP have headers of their own."""
    assert read_header(data) == ImageHeader("webp", 48, 32, 1)


@pytest.mark.parametrize(
    ("codec", "header_bytes"), [("jpeg", WHOLE["jpeg"].index(b"\xff\xda")), ("png", 29), ("webp", 30)]
)
def test_the_header_alone_is_enough(codec: str, header_bytes: int) -> None:
    """No pixel is needed: the header can be read from the first bytes of an upload."""
    assert read_header(WHOLE[codec][:header_bytes]) == read_header(WHOLE[codec])


@pytest.mark.parametrize("codec", WHOLE)
@pytest.mark.parametrize("wrap", [bytearray, memoryview])
def test_any_buffer_is_read(codec: str, wrap: type) -> None:
    """bytearray and memoryview do as well as bytes."""
    assert read_header(wrap(WHOLE[codec])) == read_header(WHOLE[codec])


@pytest.mark.parametrize("name", pictures.foreign())
def test_other_picture_types_are_named(name: str) -> None:
    """A picture of a type that we do not take is told so by its name, and what is taken."""
    with pytest.raises(UnsupportedImage, match="expected JPEG, PNG or WebP") as refusal:
        read_header(pictures.foreign()[name])
    assert name in str(refusal.value)


@pytest.mark.parametrize("likeness", pictures.strangers())
def test_what_is_no_picture_is_told_what_it_looks_like(likeness: str) -> None:
    """Whoever posts an error page or JSON by mistake sees which mistake it was."""
    with pytest.raises(NotAnImage, match=r"not a picture: .*; expected JPEG, PNG or WebP") as refusal:
        read_header(pictures.strangers()[likeness])
    assert likeness in str(refusal.value)


def test_sniffing_hostile_text_is_quick() -> None:
    """Text made to send a pattern matcher astray is refused like any other (this would run for years)."""
    with pytest.raises(NotAnImage):
        read_header(b"<!--" * 100_000)


def test_too_many_bytes_are_refused_by_default() -> None:
    """One byte over 10 MiB is too large, whatever it is."""
    with pytest.raises(ImageTooLarge, match="10,485,761 bytes; at most 10,485,760"):
        read_header(pictures.jpeg().ljust(MAX_IMAGE_BYTES + 1, b"\0"))
    assert read_header(pictures.jpeg().ljust(MAX_IMAGE_BYTES, b"\0")).width == 48


@pytest.mark.parametrize(
    "bomb",
    [
        pictures.png_saying(100_000, 100_000),
        pictures.jpeg_saying(65_535, 65_535),
        pictures.webp_saying(16_383, 16_383),
        pictures.webp_of([pictures.webp_vp8x(1 << 24, 1 << 24, 0)]),
        pictures.png_saying(2**31 - 1, 1),
    ],
    ids=["png", "jpeg", "webp", "webp-vp8x", "png-of-one-row"],
)
def test_too_many_pixels_are_refused(bomb: bytes) -> None:
    """A few bytes that say they are a giant picture are refused on their word."""
    with pytest.raises(ImageTooLarge, match="at most 25,000,000 are allowed"):
        read_header(bomb)


def test_a_side_that_no_decoder_takes_is_too_large() -> None:
    """A picture of few pixels, but longer than any decoder takes, is refused by its true reason."""
    with pytest.raises(ImageTooLarge, match="2,000,000 x 1 pixels; at most 65,535 are allowed on a side"):
        read_header(pictures.png_saying(2_000_000, 1))


def test_limits_are_inclusive_and_given() -> None:
    """The caller's limits count, and exactly as many bytes and pixels as allowed are allowed."""
    data = pictures.png()
    assert read_header(data, ImageLimits(max_bytes=len(data), max_pixels=48 * 32)).height == 32
    with pytest.raises(ImageTooLarge, match="bytes"):
        read_header(data, ImageLimits(max_bytes=len(data) - 1))
    with pytest.raises(ImageTooLarge, match="pixels"):
        read_header(data, ImageLimits(max_pixels=48 * 32 - 1))


@pytest.mark.parametrize("size", [(0, 8), (8, 0)])
@pytest.mark.parametrize("say", [pictures.png_saying, pictures.jpeg_saying, pictures.webp_saying])
def test_a_picture_of_no_size_is_corrupt(say, size: tuple[int, int]) -> None:
    """Zero width or zero height is no picture in any type."""
    with pytest.raises(CorruptImage, match=f"{size[0]} x {size[1]} pixels; both must be at least 1"):
        read_header(say(*size))


@pytest.mark.parametrize(("codec", "cut_bytes"), [("jpeg", 100), ("png", 22), ("webp", 24)])
def test_a_cut_header_is_corrupt(codec: str, cut_bytes: int) -> None:
    """A file that ends before it says its size is cut short."""
    with pytest.raises(CorruptImage, match="cut short"):
        read_header(WHOLE[codec][:cut_bytes])


@pytest.mark.parametrize("precision", [2, 12, 16])
def test_jpeg_of_other_than_8_bits_is_named(precision: int) -> None:
    """Medical 12-bit JPEG is a picture, but not one that we can decode."""
    data = bytearray(pictures.jpeg())
    data[data.index(b"\xff\xc0") + 4] = precision
    with pytest.raises(UnsupportedImage, match=f"{precision} bits a sample; expected 8"):
        read_header(bytes(data))


@pytest.mark.parametrize("frame", [0xC3, 0xC5, 0xC7, 0xCB, 0xCF])
def test_lossless_and_hierarchical_jpeg_are_named(frame: int) -> None:
    """Processes that libjpeg-turbo cannot turn into RGB are refused before it is asked."""
    data = pictures.jpeg().replace(b"\xff\xc0", bytes((0xFF, frame)), 1)
    with pytest.raises(UnsupportedImage, match="lossless or hierarchical"):
        read_header(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xe1\0\2" * 500_000,
        pictures.join_png([pictures.ihdr(8, 8)]) + b"\0\0\0\0teXt\0\0\0\0" * 500_000,
        pictures.webp_of([pictures.webp_vp8x(8, 8, 0)]) + b"ABCD\0\0\0\0" * 500_000,
    ],
    ids=["jpeg", "png", "webp"],
)
def test_work_is_bounded(data: bytes) -> None:
    """A file of half a million empty parts is given up on after 20,000."""
    with pytest.raises(CorruptImage, match="more than 20,000"):
        read_header(data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("codec", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_read_and_the_size_is_upright(codec: str, orientation: int, order: str) -> None:
    """All eight orientations in all three types and both byte orders; 5 to 8 swap width and height."""
    header = read_header(pictures.oriented(codec, orientation, order))
    upright = (48, 32) if orientation <= 4 else (32, 48)
    assert (header.orientation, header.width, header.height) == (orientation, *upright)


def test_exif_after_the_pixels_counts() -> None:
    """PNG may carry eXIf behind its IDAT, where older tools append it."""
    chunks = pictures.split_png(pictures.png())
    data = pictures.join_png([*chunks[:-1], (b"eXIf", pictures.tiff_orientation(6)), chunks[-1]])
    assert read_header(data).orientation == 6


def test_exif_is_found_behind_xmp_and_the_first_exif_counts() -> None:
    """APP1 is also XMP's; and a thumbnail editor's second Exif does not turn the picture."""
    exif = [(0xE1, b"Exif\0\0" + pictures.tiff_orientation(orientation)) for orientation in (6, 3)]
    xmp = (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")
    assert read_header(pictures.jpeg_with([xmp, *exif])).orientation == 6


TIFF = pictures.tiff_orientation(6)


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        TIFF[:12],
        TIFF[:-5],
        b"XX" + TIFF[2:],
        pictures.tiff_orientation(0),
        pictures.tiff_orientation(9),
        pictures.tiff_orientation(6, entries=0),
        pictures.tiff_orientation(6, ifd=0xFFFFFFFF),
        pictures.tiff_orientation(6, ifd=0),
        TIFF[:10] + bytes(12) * 600 + TIFF[10:],
        TIFF.replace(b"\x12\1\3\0", b"\x12\1\2\0"),
    ],
    ids=[
        "empty",
        "no-ifd",
        "cut-entry",
        "cut-value",
        "no-byte-order",
        "0",
        "9",
        "no-entries",
        "ifd-far-away",
        "ifd-in-its-own-header",
        "not-among-the-entries",
        "not-a-short",
    ],
)
def test_senseless_exif_leaves_the_picture_as_it_lies(exif: bytes) -> None:
    """Broken or hostile EXIF is orientation 1, never an error: a picture is worth more than its label."""
    assert read_header(pictures.jpeg_with([(0xE1, b"Exif\0\0" + exif)])) == ImageHeader("jpeg", 48, 32, 1)


def test_a_giant_entry_count_still_finds_what_is_there() -> None:
    """A count that lies is cut at the end of the data, and the entries that are there are read."""
    exif = pictures.tiff_orientation(6, entries=0xFFFF)
    assert read_header(pictures.jpeg_with([(0xE1, b"Exif\0\0" + exif)])).orientation == 6


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIDAT" + bytes(40), b"RIFF\x20\0\0\0WEBPJUNK" + bytes(40)]
)
def test_a_container_without_its_header_is_corrupt(data: bytes) -> None:
    """The right magic followed by something else is a broken picture, not a stranger."""
    with pytest.raises(CorruptImage, match="broken"):
        read_header(data)


def test_a_senseless_orientation_is_1_in_every_type() -> None:
    """No type lets a 0 or a 9 through."""
    assert [read_header(pictures.oriented("PNG", senseless)).orientation for senseless in (0, 9)] == [1, 1]


@pytest.mark.parametrize("length", [0, 1])
def test_a_jpeg_segment_shorter_than_its_own_length_is_corrupt(length: int) -> None:
    """The length counts its own two bytes."""
    data = pictures.jpeg()
    with pytest.raises(CorruptImage, match="cut short or broken"):
        read_header(data[:2] + bytes((0xFF, 0xE1, 0, length)) + data[2:])
