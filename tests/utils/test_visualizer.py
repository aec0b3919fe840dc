import numpy as np
import pytest
import torch

from detectron2.data.catalog import Metadata
from detectron2.structures import BitMasks, Boxes, BoxMode, Instances, PolygonMasks
from detectron2.utils.generic_mask import GenericMask
from detectron2.utils.video_visualizer import VideoVisualizer
from detectron2.utils.visualizer import ColorMode, VisImage, Visualizer, _create_text_labels

H, W = 60, 80
NAMES = Metadata(
    name="drawn",
    thing_classes=["cat", "dog"],
    thing_colors=[[255, 0, 0], [0, 255, 0]],
    stuff_classes=["sky", "sea"],
    stuff_colors=[[0, 0, 255], [0, 255, 255]],
)


def square(x0, y0, x1, y1):
    mask = np.zeros((H, W), dtype=np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def predictions(masks=True):
    instances = Instances((H, W))
    instances.pred_boxes = Boxes(torch.tensor([[5.0, 5, 25, 30], [40, 20, 70, 50]]))
    instances.scores = torch.tensor([0.9, 0.456])
    instances.pred_classes = torch.tensor([0, 1])
    if masks:
        instances.pred_masks = torch.from_numpy(np.stack([square(5, 5, 25, 30), square(40, 20, 70, 50)])).bool()
    return instances


def black():
    return np.zeros((H, W, 3), dtype=np.uint8)


def changed(drawn, mask):
    """Share of the pixels of ``mask`` that were painted."""
    return (drawn.sum(axis=2) > 0)[mask.astype(bool)].mean()


@pytest.mark.parametrize(
    "classes,scores,names,crowd,expected",
    [
        ([0, 1], [0.9, 0.456], ["cat", "dog"], None, ["cat 90%", "dog 46%"]),
        ([1], None, None, [True], ["1|crowd"]),
        (None, [0.5], None, None, ["50%"]),
        (None, None, ["cat"], None, None),
        ([], None, ["cat"], None, []),
    ],
)
def test_text_labels(classes, scores, names, crowd, expected):
    assert _create_text_labels(classes, scores, names, crowd) == expected


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_canvas_gives_the_picture_back(scale):
    image = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    drawn = VisImage(image, scale=scale).get_image()
    assert drawn.shape == (int(H * scale), int(W * scale), 3)
    if scale == 1:
        np.testing.assert_array_equal(drawn, image)


def test_masks_are_filled_and_the_rest_is_not():
    instances = predictions()
    instances.remove("scores")
    instances.remove("pred_classes")
    drawn = Visualizer(black()).draw_instance_predictions(instances).get_image()
    for mask in instances.pred_masks.numpy():
        assert changed(drawn, mask) == 1
    assert changed(drawn, square(0, 54, 80, 60)) == 0


@pytest.mark.parametrize("mode", list(ColorMode))
def test_every_colour_mode_draws_boxes_masks_and_labels(mode):
    drawn = Visualizer(black() + 60, NAMES, instance_mode=mode).draw_instance_predictions(predictions())
    assert (drawn.get_image() != 60).any()
    assert {t.get_text() for t in drawn.ax.texts} == {"cat 90%", "dog 46%"}


def test_segmentation_mode_uses_the_colour_of_the_class():
    drawer = Visualizer(black(), NAMES, instance_mode=ColorMode.SEGMENTATION)
    drawn = drawer.draw_instance_predictions(predictions(), jittering=False).get_image()
    red, green = drawn[28, 20], drawn[45, 60]
    assert red[0] > 0 and red[1] == 0 and green[1] > 0 and green[0] == 0


def test_no_instances_leave_the_picture_alone():
    empty = predictions()[:0]
    assert (Visualizer(black(), NAMES).draw_instance_predictions(empty).get_image() == 0).all()
    for boxes in (np.zeros((0, 4)), [], empty.pred_boxes):
        assert (Visualizer(black(), NAMES).overlay_instances(boxes=boxes, labels=[]).get_image() == 0).all()


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4)), Boxes(torch.zeros(0, 4))])
def test_no_boxes_leave_the_picture_alone(boxes):
    assert (Visualizer(black()).overlay_instances(boxes=boxes).get_image() == 0).all()
    empty = predictions(masks=False)[:0]
    assert (VideoVisualizer(NAMES).draw_instance_predictions(black(), empty).get_image() == 0).all()


def test_differing_lengths_are_named():
    with pytest.raises(ValueError, match="lengths differ.*labels"):
        Visualizer(black()).overlay_instances(boxes=np.zeros((2, 4)), labels=["a"])


def test_image_of_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        Visualizer(np.zeros((4, 5)))


@pytest.mark.parametrize("as_mask", [BitMasks, PolygonMasks, list])
def test_masks_of_every_kind_cover_the_same_pixels(as_mask):
    mask = square(10, 10, 40, 40)
    outline = [np.array([10.0, 10, 40, 10, 40, 40, 10, 40])]
    given = {BitMasks: BitMasks(torch.from_numpy(mask[None])), PolygonMasks: PolygonMasks([outline]), list: [mask]}
    drawn = Visualizer(black()).overlay_instances(masks=given[as_mask], alpha=1.0).get_image()
    assert changed(drawn, mask) == 1
    assert changed(drawn, square(45, 0, 80, 60)) == 0


def test_dataset_dict_with_polygon_keypoints_and_crowd():
    record = {
        "annotations": [
            {
                "bbox": [10, 10, 20, 20],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": 1,
                "segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]],
                "keypoints": [12, 12, 2, 20, 20, 0],
                "iscrowd": 1,
            }
        ]
    }
    drawn = Visualizer(black(), NAMES).draw_dataset_dict(record)
    assert [t.get_text() for t in drawn.ax.texts] == ["dog|crowd"]
    assert changed(drawn.get_image(), square(12, 20, 28, 28)) == 1


def test_sem_seg_colours_regions_and_skips_unnamed_ones():
    labels = np.full((H, W), 255)
    labels[:30] = 0
    drawn = Visualizer(black(), NAMES).draw_sem_seg(labels, draw_text=False, alpha=1.0).get_image()
    assert (drawn[5, 5] == [0, 0, 255]).all()
    assert changed(drawn, square(0, 35, 80, 60)) == 0


def test_panoptic_draws_stuff_and_things():
    ids = torch.zeros(H, W, dtype=torch.int32)
    ids[:20], ids[30:50, 10:60] = 1, 2
    info = [{"id": 1, "category_id": 1, "isthing": False}, {"id": 2, "category_id": 0, "isthing": True, "score": 0.8}]
    drawn = Visualizer(black(), NAMES).draw_panoptic_seg(ids, info)
    assert {t.get_text() for t in drawn.ax.texts} == {"sea", "cat 80%"}
    assert changed(drawn.get_image(), square(10, 31, 60, 49)) > 0.99


def test_rotated_box_corners():
    canvas = Visualizer(black()).draw_rotated_box_with_label((40, 30, 20, 10, 90), label="x")
    points = np.array([line.get_xydata() for line in canvas.ax.lines]).reshape(-1, 2)
    np.testing.assert_allclose(points.min(axis=0), [35, 20], atol=1e-6)
    np.testing.assert_allclose(points.max(axis=0), [45, 40], atol=1e-6)


class TestGenericMask:
    def test_bitmap_to_polygon_and_back(self):
        mask = square(3, 4, 50, 40)
        again = GenericMask(GenericMask(mask, H, W).polygons, H, W).mask
        assert (again != mask).mean() < 0.02
        np.testing.assert_array_equal(GenericMask(mask, H, W).bbox(), [3, 4, 50, 40])

    def test_holes_are_seen(self):
        ring = square(10, 10, 40, 40) - square(20, 20, 30, 30)
        assert GenericMask(ring, H, W).has_holes
        assert not GenericMask(square(0, 0, W, H), H, W).has_holes
        assert len(GenericMask(square(0, 0, 5, 5) + square(30, 30, 40, 40), H, W).polygons) == 2

    def test_rle_and_wrong_size(self):
        import pycocotools.mask as mask_util

        mask = square(3, 4, 50, 40)
        rle = mask_util.encode(np.asfortranarray(mask))
        np.testing.assert_array_equal(GenericMask(rle, H, W).mask, mask)
        assert GenericMask(mask, H, W).area() == mask.sum()
        with pytest.raises(ValueError, match="does not fit"):
            GenericMask(mask, H + 1, W)

    def test_empty(self):
        empty = GenericMask(np.zeros((H, W), dtype=np.uint8), H, W)
        assert empty.area() == 0 and empty.polygons == [] and (empty.bbox() == 0).all()


def test_video_keeps_the_colour_of_an_object_that_moves_a_little():
    np.random.seed(0)
    video = VideoVisualizer(NAMES)
    video.draw_instance_predictions(black(), predictions(masks=False))
    first = [i.color for i in video._old_instances]
    moved = predictions(masks=False)[[1, 0]]
    moved.pred_boxes.tensor += 1
    video.draw_instance_predictions(black(), moved)
    second = [i.color for i in video._old_instances]
    np.testing.assert_array_equal(first[0], second[1])
    np.testing.assert_array_equal(first[1], second[0])
