"""A JPEG is decoded smaller only where that leaves enough, and nothing else about it changes."""

import cv2
import numpy as np
import pytest

from ai.core.errors import CorruptImage, ImageTooLarge
from ai.core.geometry import fit
from ai.core.image import ImageLimits, decode
from ai.core.processing import decoded_for, planes, put_in
from ai.triton.comparing import parity_data
from ai.yolo26.processing import spec
from tests import pictures
from tests.pictures import scene

WIDE = pictures.jpeg(scene(1920, 1080))


@pytest.mark.parametrize(
    ("size", "least", "wanted"),
    [
        ((1920, 1080), (640, 360), (960, 540)),
        ((2560, 1440), (640, 360), (640, 360)),
        ((1280, 720), (641, 360), (1280, 720)),
        ((1280, 720), (640, 361), (1280, 720)),
        ((1281, 723), (640, 360), (641, 362)),
        ((640, 360), (80, 45), (80, 45)),
        ((640, 360), (1, 1), (80, 45)),
        ((1280, 720), (1280, 720), (1280, 720)),
        ((640, 360), (1280, 720), (640, 360)),
    ],
)
def test_a_jpeg_comes_as_small_as_what_is_needed_allows(size, least, wanted):
    assert decode(pictures.jpeg(scene(*size)), least=least).shape == (wanted[1], wanted[0], 3)


def test_the_smaller_picture_shows_what_the_whole_one_shows():
    """Within what the codec loses: the mean of four pixels is what a decoder makes of a half."""
    whole, half = decode(WIDE), decode(WIDE, least=(640, 360))
    expected = cv2.resize(whole, (960, 540), interpolation=cv2.INTER_AREA)
    assert np.abs(half.astype(int) - expected.astype(int)).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_needed_is_said_of_the_upright_picture(orientation):
    block = b"Exif\0\0" + pictures.tiff_orientation(orientation)
    turned = pictures.jpeg_with([(0xE1, block)], pictures.jpeg(scene(400, 200)))
    upright = decode(turned)
    least = (upright.shape[1] // 2, upright.shape[0] // 2)
    half = decode(turned, least=least)
    assert half.shape == (least[1], least[0], 3)
    expected = cv2.resize(upright, least, interpolation=cv2.INTER_AREA)
    assert np.abs(half.astype(int) - expected.astype(int)).max() <= 8


def test_other_formats_come_whole():
    assert decode(pictures.png(scene(640, 360)), least=(10, 10)).shape == (360, 640, 3)
    assert decode(pictures.webp(scene(640, 360)), least=(10, 10)).shape == (360, 640, 3)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_damage_is_found_in_pixels_that_are_left_out_too(part):
    with pytest.raises(CorruptImage):
        decode(WIDE[: int(part * len(WIDE))], least=(240, 135))


def test_what_is_too_large_is_not_decoded_smaller_instead():
    with pytest.raises(ImageTooLarge):
        decode(WIDE, ImageLimits(max_pixels=1_000_000), least=(240, 135))


def test_the_way_back_leads_into_the_whole_picture():
    """Boxes are told in pixels of the picture that was sent, however it was decoded."""
    pixels, place = decoded_for(spec(), WIDE, scaled=True)
    assert pixels.shape == (540, 960, 3)
    assert place == fit(spec().fit, 1920, 1080, spec().input_width, spec().input_height)
    prepared, whole = put_in(pixels, place), put_in(*decoded_for(spec(), WIDE))
    assert prepared.pixels.shape == whole.pixels.shape
    assert np.abs(prepared.pixels.astype(int) - whole.pixels.astype(int)).max() <= 4


def test_planes_are_the_same_numbers_in_another_order():
    pixels = np.random.default_rng(1).integers(0, 256, (37, 53, 3), np.uint8)
    apart = planes(pixels)
    assert np.array_equal(apart, pixels.transpose(2, 0, 1))
    assert apart.flags.c_contiguous


def test_planes_go_where_they_are_wanted():
    """Into a batch, and nowhere beside their place."""
    pixels = np.random.default_rng(2).integers(1, 256, (37, 53, 3), np.uint8)
    batch = np.zeros((3, 3, 37, 53), np.uint8)
    assert np.shares_memory(planes(pixels, batch[1]), batch)
    assert np.array_equal(batch[1], pixels.transpose(2, 0, 1))
    assert not batch[0].any()
    assert not batch[2].any()


@pytest.mark.parametrize("kind", ["letterbox", "stretch"])
def test_the_pictures_of_its_parity_are_decoded_smaller(kind):
    """Each by letterbox, and most by stretching: a certificate on others would say nothing."""
    places = [fit(kind, *size, 640, 640) for size in parity_data.LARGE]
    smaller = [one.source_width >= 2 * one.inner_width and one.source_height >= 2 * one.inner_height
               for one in places]  # fmt: skip
    assert sum(smaller) >= (len(places) if kind == "letterbox" else len(places) - 2)
