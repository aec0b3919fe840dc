"""Helpers for tests."""

import unittest

import numpy as np
import pytest
import torch

from detectron2.structures import Boxes, Instances
from detectron2.utils.testing import (
    assert_instances_allclose,
    get_sample_coco_image,
    random_boxes,
    skipIfUnsupportedMinTorchVersion,
)


def _instances(**changes) -> Instances:
    size = changes.pop("size", (4, 5))
    fields = {"pred_boxes": Boxes(torch.ones(2, 4)), "scores": torch.tensor([0.5, 100.0]), "names": ["a", "b"]}
    return Instances(size, **{**fields, **changes})


@pytest.mark.parametrize("max_coord", [2, 100])
def test_random_boxes(max_coord):
    boxes = random_boxes(200, max_coord)
    assert boxes.shape == (200, 4) and boxes.max() <= max_coord
    assert ((boxes[:, 2:] - boxes[:, :2]) >= 1 - 1e-5).all()
    assert random_boxes(0).shape == (0, 4)


def test_sample_image():
    image = get_sample_coco_image()
    assert image.dtype == torch.uint8 and image.ndim == 3 and image.shape[0] == 3
    array = get_sample_coco_image(tensor=False)
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), array)


def test_close_instances():
    assert_instances_allclose(_instances(), _instances())
    assert_instances_allclose(_instances(scores=torch.tensor([0.5005, 100.0])), _instances())
    assert_instances_allclose(_instances(size=torch.tensor([4, 5])), _instances(), size_as_tensor=True)
    empty = {"pred_boxes": Boxes(torch.zeros(0, 4)), "scores": torch.zeros(0), "names": []}
    assert_instances_allclose(_instances(**empty), _instances(**empty))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (4, 6)}, "image_size"),
        ({"pred_boxes": Boxes(torch.ones(2, 4) * 1.1)}, "pred_boxes differs by up to 0.1"),
        ({"scores": torch.tensor([0.6, 100.0])}, "scores"),
        ({"scores": torch.tensor([float("nan"), 100.0])}, "scores"),
        ({"scores": torch.tensor([[0.5], [100.0]])}, "scores has shape"),
        ({"names": ["a", "c"]}, "names"),
        ({"more": torch.ones(2)}, "more"),
    ],
)
def test_different_instances(changes, message):
    with pytest.raises(AssertionError, match=f"here: .*{message}"):
        assert_instances_allclose(_instances(**changes), _instances(), msg="here")


def test_unknown_field_type():
    with pytest.raises(TypeError, match="names.*range"):
        assert_instances_allclose(_instances(names=range(2)), _instances(names=range(2)))


def test_skip():
    @skipIfUnsupportedMinTorchVersion("99.0")
    def fails():
        raise AssertionError

    with pytest.raises(unittest.SkipTest):
        fails()
    assert skipIfUnsupportedMinTorchVersion("1.8")(lambda: 3)() == 3
