"""Colours change as colorsys says, and nothing else does."""

import colorsys

import numpy as np
import pytest
from detectron2.projects.yolo.data import HSVTransform, RandomHSV

from detectron2.data import transforms as T


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
@pytest.mark.parametrize(
    "gains", [(0.0, 1.0, 1.0), (0.3, 1.0, 1.0), (0.0, 0.5, 1.0), (0.0, 1.0, 0.6), (-0.1, 1.4, 1.2)]
)
def test_against_colorsys(image_format: str, gains: tuple[float, float, float]) -> None:
    colours = np.array([[200, 40, 30], [10, 220, 90], [60, 80, 160], [128, 128, 128]], dtype=np.uint8)
    image = np.tile(colours[None], (2, 1, 1))
    given = image if image_format == "RGB" else image[:, :, ::-1]
    result = HSVTransform(*gains, image_format).apply_image(given)
    result = result if image_format == "RGB" else result[:, :, ::-1]
    for colour, changed in zip(colours, result[0], strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(colour / 255))
        expected = colorsys.hsv_to_rgb((hue + gains[0]) % 1, min(saturation * gains[1], 1), min(value * gains[2], 1))
        np.testing.assert_allclose(changed / 255, expected, atol=6 / 255)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1)])
def test_grey_images_have_a_value_only(shape: tuple[int, ...]) -> None:
    image = np.arange(20, dtype=np.uint8).reshape(shape) * 12
    result = HSVTransform(0.3, 2.0, 1.5, "L").apply_image(image)
    np.testing.assert_array_equal(result, np.rint(image * 1.5).clip(0, 255))


def test_coordinates_and_labels_stay() -> None:
    transform = HSVTransform(0.1, 1.0, 1.0)
    points, labels = np.random.rand(3, 2), np.ones((4, 4), dtype=np.uint8)
    assert transform.apply_coords(points) is points
    assert transform.apply_segmentation(labels) is labels
    assert transform.inverse().apply_coords(points) is points


def test_gains_are_drawn_around_nothing_by_the_seed() -> None:
    augmentation = RandomHSV(0.015, 0.7, 0.4)
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    np.random.seed(3)
    drawn = [augmentation.get_transform(image) for _ in range(300)]
    hues, saturations, values = np.array([(t.hue, t.saturation, t.value) for t in drawn]).T
    for numbers, middle, gain in ((hues, 0, 0.015), (saturations, 1, 0.7), (values, 1, 0.4)):
        assert np.abs(numbers - middle).max() <= gain
        assert np.abs(numbers - middle).max() > 0.9 * gain
        assert abs(numbers.mean() - middle) < 0.15 * gain
    np.random.seed(3)
    assert augmentation.get_transform(image).hue == hues[0]


def test_no_gain_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    aug_input = T.AugInput(image.copy())
    RandomHSV(0, 0, 0)(aug_input)
    np.testing.assert_array_equal(aug_input.image, image)


def test_refusals_name_the_key() -> None:
    with pytest.raises(ValueError, match="INPUT.YOLO.HSV"):
        RandomHSV(1.5, 0, 0)
    with pytest.raises(ValueError, match="INPUT.FORMAT"):
        RandomHSV(0.1, 0, 0, "YUV-BT.601")
    with pytest.raises(TypeError, match="uint8"):
        HSVTransform(0, 1, 1).apply_image(np.zeros((2, 2, 3), dtype=np.float32))
