"""Boxes and outlines follow the pixels."""

import numpy as np
import pytest
from detectron2.projects.yolo.data import BoxFilter, CopyPaste, Letterbox, MixUp, Mosaic, RandomPerspective, Sample
from detectron2.projects.yolo.data.random_perspective import PerspectiveTransform
from detectron2.projects.yolo.data.sample import augment, load_sample, to_instances, transform_sample

from detectron2.data import transforms as T

from .drawing import box_of, picture, pixels_of, sample_of, write_dataset

BOXES = [(10, 12, 40, 30), (60, 20, 80, 50)]


def check(sample: Sample, tolerance: float = 1.0) -> None:
    for box, kind in zip(sample.boxes, sample.classes, strict=True):
        assert np.abs(box - box_of(sample.image, kind)).max() <= tolerance


@pytest.mark.parametrize("padding", ["size", "stride", "none"])
@pytest.mark.parametrize("center", [True, False])
def test_letterbox_moves_boxes_and_brings_them_back(padding: str, center: bool) -> None:
    sample = sample_of(BOXES, 60, 100)
    letterbox = Letterbox((120, 150), padding, stride=32, center=center)
    aug_input = T.AugInput(sample.image)
    transform = letterbox(aug_input)
    moved = transform_sample(sample, transform, aug_input.image)
    assert moved.size == {"size": (120, 150), "stride": (96, 160), "none": (90, 150)}[padding]
    check(moved)
    np.testing.assert_allclose(transform.inverse().apply_box(moved.boxes), sample.boxes, atol=1e-4)
    np.testing.assert_array_equal(transform.inverse().apply_image(aug_input.image).shape, sample.image.shape)
    padded = np.argwhere((moved.image == 114).all(axis=2))
    if padding == "size":
        assert moved.image[:15].min() == 114 if center else moved.image[90:].min() == 114
    assert (len(padded) > 0) == (padding != "none")


def test_letterbox_keeps_small_images_small_when_told() -> None:
    image = np.zeros((10, 20, 3), dtype=np.uint8)
    letterbox = Letterbox((64, 64), scale_up=False)
    transform = letterbox.get_transform(image)
    np.testing.assert_array_equal(transform.apply_box(np.array([[0.0, 0, 20, 10]])), [[22, 27, 42, 37]])


@pytest.mark.parametrize("arguments", [((0, 3), "size"), ((8, 8), "sise"), ((8, 8, 8), "size")])
def test_letterbox_refuses(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="letterbox"):
        Letterbox(*arguments)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("settings", [{}, {"degrees": 30, "shear": 10}, {"perspective": 0.001, "degrees": 10}])
def test_warped_outlines_follow_the_pixels(seed: int, settings: dict) -> None:
    np.random.seed(seed)
    sample = sample_of(BOXES, 80, 100)
    warp = RandomPerspective(translate=0.05, scale=(1.0, 1.6), **settings, output_size=(170, 190))
    moved = augment(sample, warp)
    assert moved.size == (170, 190)
    check(moved)
    for box, (outline,) in zip(moved.boxes, moved.polygons, strict=True):
        np.testing.assert_allclose(box, [*outline.min(axis=0), *outline.max(axis=0)], atol=1e-6)


def test_matrix_by_hand() -> None:
    """A quarter turn by the middle: (x, y) -> (y, 100 - x) of a 100 x 100 image, read as y down."""
    np.random.seed(0)
    image = picture([(10, 20, 40, 30)], 100, 100)
    transform = PerspectiveTransform(np.array([[0, 1, 0], [-1, 0, 100], [0, 0, 1.0]]), 100, 100)
    np.testing.assert_allclose(transform.apply_box(np.array([[10.0, 20, 40, 30]])), [[20, 60, 30, 90]])
    np.testing.assert_array_equal(transform.apply_image(image), np.rot90(image))
    labels = pixels_of(image, 0).astype(np.uint8)
    np.testing.assert_array_equal(transform.apply_segmentation(labels), np.rot90(labels))
    np.testing.assert_array_equal(transform.apply_image(image.astype(np.float32)), np.rot90(image))
    points = np.random.rand(5, 2) * 100
    np.testing.assert_allclose(transform.inverse().apply_coords(transform.apply_coords(points)), points)


def test_points_beyond_the_horizon_stay_finite_and_on_their_side() -> None:
    transform = PerspectiveTransform(np.array([[1, 0, 0], [0, 1, 0], [-0.01, 0, 1.0]]), 100, 100)
    mapped = transform.apply_coords(np.array([[50.0, 10], [150, 10]]))
    np.testing.assert_allclose(mapped[0], [100, 20])
    assert np.isfinite(mapped).all() and mapped[1, 0] > 100


def test_a_box_without_outline_becomes_the_hull_of_its_corners() -> None:
    turned = PerspectiveTransform(np.array([[1, -1, 50], [1, 1, 0], [0, 0, 1.0]]), 200, 200)
    sample = sample_of([(10, 10, 30, 20)], 60, 60, outlines=False)
    moved = transform_sample(sample, turned, turned.apply_image(sample.image))
    np.testing.assert_allclose(moved.boxes, [[40, 20, 70, 50]])


def test_box_filter_by_each_rule() -> None:
    moved = np.array([[0, 0, 10, 10], [-90, 0, 10, 10], [-89, 0, 11.5, 10], [0, 0, 2, 10], [0, 0, 90, 3]], dtype=float)
    clipped = moved.clip(0)
    keep = BoxFilter(min_side=2, max_aspect=30, min_visible=0.1)(clipped, moved)
    np.testing.assert_array_equal(keep, [True, False, True, False, False])
    assert BoxFilter()(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0,)
    for wrong in ({"min_side": -1}, {"max_aspect": 1}, {"min_visible": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            BoxFilter(**wrong)


@pytest.mark.parametrize("seed", range(5))
def test_mosaic_boxes_follow_the_pixels(seed: int) -> None:
    np.random.seed(seed)
    blank = sample_of([], 60, 100)
    samples = [blank] * 4
    samples[seed % 4] = sample_of(BOXES, 60, 100)
    mosaic = Mosaic((80, 100))(samples)
    assert mosaic.size == (160, 200)
    visible = [k for k in range(2) if pixels_of(mosaic.image, k).any()]
    assert mosaic.classes.tolist() == visible
    check(mosaic)


def test_mosaic_meets_at_its_point(monkeypatch: pytest.MonkeyPatch) -> None:
    points = iter([50.0, 130.0])  # y, x
    monkeypatch.setattr(np.random, "uniform", lambda low, high: next(points))
    tiles = [sample_of([(0, 0, 10, 10)], 60, 100) for _ in range(4)]
    for value, tile in enumerate(tiles):
        tile.image = np.full_like(tile.image, value)
    mosaic = Mosaic((80, 100))(tiles)
    np.testing.assert_array_equal(mosaic.image[[49, 49, 50, 50], [129, 130, 129, 130], 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(mosaic.image[[0, 111, 5], [29, 199, 195], 0], [114, 114, 1])
    # The first tile's corner is at (30, -10): its object is gone.
    np.testing.assert_array_equal(mosaic.boxes, [[30, 50, 40, 60], [130, 50, 140, 60]])
    assert [len(own) for own in mosaic.polygons] == [1, 1]


def test_mosaic_refuses() -> None:
    sample = sample_of([], 8, 8)
    with pytest.raises(ValueError, match="4 samples, got 3"):
        Mosaic((8, 8))([sample] * 3)
    grey = Sample(sample.image[:, :, :1], sample.boxes, sample.classes, [])
    with pytest.raises(ValueError, match="channels"):
        Mosaic((8, 8))([sample, grey, sample, sample])


def test_mixup_is_the_weighted_mean_with_all_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = sample_of(BOXES[:1], 60, 100), sample_of(BOXES, 60, 100)
    monkeypatch.setattr(np.random, "beta", lambda a, b: {32.0: 0.25}[a])
    mixed = MixUp(32.0)(first, second)
    expected = np.rint(first.image * 0.25 + second.image * 0.75)
    np.testing.assert_array_equal(mixed.image, expected.astype(np.uint8))
    np.testing.assert_array_equal(mixed.boxes, [BOXES[0], *BOXES])
    np.testing.assert_array_equal(MixUp(0)(first, second).image[0, 0], first.image[0, 0])
    with pytest.raises(ValueError, match="one shape"):
        MixUp()(first, sample_of([], 60, 99))
    with pytest.raises(ValueError, match="BETA"):
        MixUp(-1)


def test_copy_paste_mirrors_what_finds_room() -> None:
    sample = sample_of([(5, 10, 25, 30)], 60, 100)
    pasted = CopyPaste(1.0)(sample)
    np.testing.assert_array_equal(pasted.boxes, [[5, 10, 25, 30], [75, 10, 95, 30]])
    both = pixels_of(sample.image, 0) | pixels_of(picture([(75, 10, 95, 30)], 60, 100), 0)
    np.testing.assert_array_equal(pixels_of(pasted.image, 0), both)
    np.testing.assert_array_equal(pasted.classes, [0, 0])
    np.testing.assert_array_equal(pasted.polygons[1][0].max(axis=0), [95, 30])
    np.testing.assert_array_equal(sample.image, picture([(5, 10, 25, 30)], 60, 100))
    # In the middle it would cover itself.
    middle = sample_of([(40, 10, 60, 30)], 60, 100)
    assert len(CopyPaste(1.0)(middle)) == 1
    assert len(CopyPaste(1.0)(sample_of([(5, 10, 25, 30)], 60, 100, outlines=False))) == 1
    assert CopyPaste(0.4)(sample) is sample
    with pytest.raises(ValueError, match="0..1"):
        CopyPaste(1.5)


def test_cut_outlines_stay_with_their_objects() -> None:
    sample = sample_of(BOXES, 60, 100)
    crop = PerspectiveTransform(np.array([[1, 0, -70], [0, 1, 0], [0, 0, 1.0]]), 60, 30)
    moved = transform_sample(sample, crop, crop.apply_image(sample.image), BoxFilter())
    np.testing.assert_array_equal(moved.classes, [1])
    np.testing.assert_allclose(moved.polygons[0][0].max(axis=0), [10, 50])


def test_instances_have_what_was_drawn() -> None:
    sample = sample_of([*BOXES, (5, 5, 5, 9)], 60, 100)
    instances = to_instances(sample, with_masks=True)
    np.testing.assert_array_equal(instances.gt_boxes.tensor.numpy(), BOXES)
    assert instances.gt_classes.tolist() == [0, 1]
    np.testing.assert_array_equal(instances.gt_masks.get_bounding_boxes().tensor.numpy(), BOXES)
    with pytest.raises(ValueError, match="no polygon"):
        to_instances(sample_of(BOXES, 60, 100, outlines=False), with_masks=True)


def test_crowds_are_left_out(tmp_path) -> None:
    record = write_dataset(tmp_path, 1)[0]
    crowd = {**record["annotations"][0], "iscrowd": 1, "segmentation": {"size": [1, 1], "counts": "0"}}
    record["annotations"].append(crowd)
    sample = load_sample(record, "BGR")
    assert len(sample) == 1 and len(sample.polygons[0]) == 1
