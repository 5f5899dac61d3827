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


@pytest.mark.parametrize("place", [letterbox, stretch])
@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (333, 517), (64, 64), (30, 20)])
def test_a_picture_is_fitted_to_within_one_step_of_grey(place, size):
    image = picture(*size)
    where = place(*size, 640, 640)
    ours, theirs = fitted(where, tensor(image)).numpy(), tensor(where.apply(image)).numpy()
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1
