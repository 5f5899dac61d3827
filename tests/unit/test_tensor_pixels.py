"""A picture in a tensor takes the same way as one in an array."""

import cv2
import numpy as np
import pytest
import torch

from ai.core.geometry import letterbox, stretch
from ai.core.image import _upright
from ai.engines.tensor_pixels import fitted, upright


def picture(width, height):
    noise = np.random.default_rng(3).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(cv2.resize(noise, (width, height)))


def tensor(image):
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_the_decoder_turns_it(orientation):
    image = picture(40, 24)
    turned = upright(tensor(image), orientation)
    np.testing.assert_array_equal(turned.numpy(), tensor(_upright(image, orientation)).numpy())


def assert_within_one_step(ours, theirs):
    assert ours.shape == theirs.shape
    assert np.abs(ours.numpy().astype(int) - theirs.numpy().astype(int)).max() <= 1


@pytest.mark.parametrize("place", [letterbox, stretch])
@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (333, 517), (64, 64), (30, 20)])
def test_a_picture_is_fitted_to_within_one_step_of_grey(place, size):
    image = picture(*size)
    where = place(*size, 640, 640)
    (ours,) = fitted([(where, tensor(image))])
    assert_within_one_step(ours, tensor(where.apply(image)))


def test_pictures_of_several_sizes_stay_in_their_order_and_are_each_their_own():
    images = [picture(*size)[:: 1 - 2 * (number % 2)] for number, size in enumerate([(64, 36), (30, 20)] * 3)]
    places = [letterbox(image.shape[1], image.shape[0], 64, 64) for image in images]
    found = fitted([(place, tensor(image)) for place, image in zip(places, images, strict=True)])
    for ours, place, image in zip(found, places, images, strict=True):
        assert_within_one_step(ours, tensor(place.apply(np.ascontiguousarray(image))))


def test_of_no_picture_there_is_none():
    assert fitted([]) == []
