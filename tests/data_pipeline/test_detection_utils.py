import copy

import numpy as np
import pytest
import torch
from PIL import Image

from detectron2.config import get_cfg
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T
from detectron2.data.catalog import MetadataCatalog
from detectron2.structures import BoxMode
from tests.facts import DATA, golden

ARRAYS = golden("mapper")
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def saved(tmp_path, image, name="image.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return str(path)


@pytest.mark.parametrize("format", ["BGR", "RGB", "L", "YUV-BT.601"])
def test_golden_formats(format):
    image = utils.read_image(str(DATA / "golden" / "mapper" / "img.png"), format)
    np.testing.assert_allclose(image, ARRAYS[f"read_{format}"], atol=1e-6)


@pytest.mark.parametrize("format", ["BGR", "RGB", "YUV-BT.601"])
def test_back_to_rgb(format, tmp_path):
    image = utils.read_image(saved(tmp_path, Image.fromarray(PIXELS)), format)
    for given in (image, torch.from_numpy(np.ascontiguousarray(image))):
        assert np.abs(utils.convert_image_to_rgb(given, format).astype(int) - PIXELS).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1"])
def test_every_mode_becomes_bgr(mode, tmp_path):
    image = Image.fromarray(PIXELS).convert(mode)
    path = saved(tmp_path, image, "image.tif" if mode == "CMYK" else "image.png")
    np.testing.assert_array_equal(utils.read_image(path, "BGR")[:, :, ::-1], np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = utils.read_image(saved(tmp_path, Image.fromarray(PIXELS), exif=exif.tobytes()), "RGB")
    turned = {
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.swapaxes(0, 1),
        6: np.rot90(PIXELS, -1),
        7: PIXELS[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(PIXELS),
    }
    np.testing.assert_array_equal(image, turned[orientation])


def test_sixteen_bits_are_refused_by_name(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.full((4, 4), 5000, dtype=np.uint16)), "deep.png")
    with pytest.raises(ValueError, match="deep.png.*8 bits"):
        utils.read_image(path, "BGR")
    assert utils.read_image(path).max() == 5000


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_broken_files_are_named(content, tmp_path):
    path = tmp_path / "broken.jpg"
    if content is None:
        Image.fromarray(np.tile(PIXELS, (30, 30, 1))).save(path)
        content = path.read_bytes()[:-2000]
    path.write_bytes(content)
    with pytest.raises(OSError, match="broken.jpg"):
        utils.read_image(str(path), "BGR")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.jpg"):
        utils.read_image(str(tmp_path / "absent.jpg"), "BGR")


def test_image_size_is_checked_or_filled_in():
    record = {"file_name": "a.jpg", "width": 6, "height": 9}
    with pytest.raises(utils.SizeMismatchError, match="a.jpg is 9x6.*says 6x9"):
        utils.check_image_size(record, PIXELS)
    filled = {}
    utils.check_image_size(filled, PIXELS)
    assert filled == {"width": 9, "height": 6}


def annotation(**more):
    return {"bbox": [1, 2, 4, 3], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0, **more}


def test_boxes_are_moved_and_clipped():
    moved = utils.transform_instance_annotations(annotation(), [T.HFlipTransform(4)], (4, 4))
    np.testing.assert_allclose(moved["bbox"], [0, 2, 3, 4])
    assert moved["bbox_mode"] == BoxMode.XYXY_ABS


@pytest.mark.parametrize("counts", ["compressed", "list"])
def test_rle_masks_become_bitmaps(counts):
    import pycocotools.mask as mask_util

    mask = np.zeros((6, 9), dtype=np.uint8)
    mask[1:4, 2:5] = 1
    rle = mask_util.encode(np.asfortranarray(mask))
    if counts == "list":
        rle = {"size": [6, 9], "counts": [13, 3, 3, 3, 3, 3, 26]}
    moved = utils.transform_instance_annotations(annotation(segmentation=rle), [T.HFlipTransform(9)], (6, 9))
    instances = utils.annotations_to_instances([moved], (6, 9), "bitmask")
    np.testing.assert_array_equal(instances.gt_masks.tensor[0], mask[:, ::-1].astype(bool))
    with pytest.raises(ValueError, match="MASK_FORMAT bitmask"):
        utils.annotations_to_instances([moved], (6, 9), "polygon")


@pytest.mark.parametrize("segmentation", ["polygon", 3, np.zeros(4)])
def test_masks_of_unknown_kind_are_refused(segmentation):
    with pytest.raises(ValueError, match="list of polygons"):
        utils.transform_instance_annotations(annotation(segmentation=segmentation), T.NoOpTransform(), (6, 9))
        utils.annotations_to_instances([annotation(segmentation=segmentation)], (6, 9), "bitmask")


def test_keypoints_outside_are_dropped_and_mirrored_ones_swapped():
    points = [1, 1, 2, 8, 1, 1, 20, 1, 2]
    moved = utils.transform_keypoint_annotations(points, T.TransformList([T.HFlipTransform(9)]), (6, 9), [1, 0, 2])
    np.testing.assert_array_equal(moved, [[1, 1, 1], [8, 1, 2], [0, 0, 0]])
    with pytest.raises(ValueError, match="keypoint_hflip_indices"):
        utils.transform_keypoint_annotations(points, T.TransformList([T.HFlipTransform(9)]), (6, 9))
    with pytest.raises(ValueError, match="3 keypoints"):
        utils.transform_keypoint_annotations(points, T.TransformList([T.HFlipTransform(9)]), (6, 9), [1, 0])


def test_empty_instances_are_filtered():
    annos = [annotation(), annotation(bbox=[1, 1, 0, 5]), annotation(segmentation=[])]
    annos[0]["segmentation"] = annos[1]["segmentation"] = [[1.0, 1, 4, 1, 4, 4]]
    instances = utils.annotations_to_instances(annos, (6, 9))
    kept, mask = utils.filter_empty_instances(instances, return_mask=True)
    assert mask.tolist() == [True, False, False] and len(kept) == 1
    assert len(utils.filter_empty_instances(instances, by_mask=False)) == 2
    with pytest.raises(ValueError, match="by_box or by_mask"):
        utils.filter_empty_instances(instances, by_box=False, by_mask=False)


@pytest.mark.parametrize("flip,expected", [("horizontal", T.HFlipTransform), ("vertical", T.VFlipTransform)])
def test_augmentations_of_the_config(flip, expected):
    cfg = get_cfg()
    cfg.INPUT.RANDOM_FLIP = flip
    resize, random_flip = utils.build_augmentation(cfg, is_train=True)
    assert isinstance(resize, T.ResizeShortestEdge)
    random_flip.prob = 1.0
    assert isinstance(random_flip.get_transform(PIXELS), expected)
    assert len(utils.build_augmentation(cfg, is_train=False)) == 1
    cfg.INPUT.RANDOM_FLIP = "none"
    assert len(utils.build_augmentation(cfg, is_train=True)) == 1
    cfg.INPUT.RANDOM_FLIP = "diagonal"
    with pytest.raises(ValueError, match="INPUT.RANDOM_FLIP.*diagonal"):
        utils.build_augmentation(cfg, is_train=True)


def test_crop_around_an_instance():
    for seed in range(20):
        np.random.seed(seed)
        crop = utils.gen_crop_transform_with_instance((4, 4), (6, 9), annotation())
        x0, y0, x1, y1 = crop.apply_box(np.array([[3.0, 3.5, 3.0, 3.5]]))[0]
        assert 0 <= x0 <= 4 and 0 <= y0 <= 4
        assert crop.x0 + crop.w <= 9 and crop.y0 + crop.h <= 6
    with pytest.raises(ValueError, match="does not fit"):
        utils.gen_crop_transform_with_instance((40, 4), (6, 9), annotation())
    with pytest.raises(ValueError, match="outside"):
        utils.gen_crop_transform_with_instance((4, 4), (6, 9), annotation(bbox=[20, 1, 2, 2]))


def test_metadata_of_several_sets():
    names = ["utils_first", "utils_second"]
    try:
        MetadataCatalog.get(names[0]).set(
            keypoint_names=["left", "nose", "right"],
            keypoint_flip_map=[("left", "right")],
            class_image_count=[{"id": 2, "image_count": 9}, {"id": 1, "image_count": 4}],
        )
        MetadataCatalog.get(names[1]).set(keypoint_names=["nose"])
        assert utils.create_keypoint_hflip_indices(names[0]) == [2, 1, 0]
        assert utils.get_fed_loss_cls_weights(names[0], 0.5).tolist() == [2.0, 3.0]
        with pytest.raises(ValueError, match="utils_second.*nose"):
            utils.check_metadata_consistency("keypoint_names", names)
    finally:
        for name in names:
            MetadataCatalog.remove(name)


def test_proposals_stay_sorted():
    record = {
        "proposal_boxes": np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 4, 4]]),
        "proposal_bbox_mode": BoxMode.XYXY_ABS,
        "proposal_objectness_logits": np.array([3.0, 2.0, 1.0]),
    }
    utils.transform_proposals(copy.deepcopy(record), (6, 9), T.TransformList([]), proposal_topk=2)
    utils.transform_proposals(record, (6, 9), T.TransformList([]), proposal_topk=2)
    assert record["proposals"].objectness_logits.tolist() == [3.0, 2.0]
