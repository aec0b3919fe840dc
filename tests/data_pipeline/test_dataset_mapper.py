import copy

import numpy as np
import pytest
import torch

from detectron2.config import get_cfg
from detectron2.data import transforms as T
from detectron2.data.dataset_mapper import DatasetMapper
from detectron2.structures import BitMasks, PolygonMasks
from tests.facts import DATA, golden, golden_json

ARRAYS = golden("mapper")
FILES = DATA / "golden" / "mapper"


def record():
    return {
        "file_name": str(FILES / "img.png"),
        "sem_seg_file_name": str(FILES / "sem.png"),
        "height": 72,
        "width": 96,
        "image_id": 7,
        "annotations": copy.deepcopy(golden_json("mapper/annotations")),
    }


def mapper(mask_format, crop):
    augmentations = [T.ResizeShortestEdge([48, 60], 90), T.RandomFlip()]
    if crop:
        augmentations.insert(0, T.RandomCrop("relative_range", (0.6, 0.6)))
    return DatasetMapper(
        True,
        augmentations=augmentations,
        image_format="BGR",
        use_instance_mask=True,
        use_keypoint=True,
        instance_mask_format=mask_format,
        keypoint_hflip_indices=np.array([1, 0, 2]),
        recompute_boxes=crop,
    )


@pytest.mark.parametrize("crop", [0, 1])
@pytest.mark.parametrize("mask_format", ["polygon", "bitmask"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_golden(seed, mask_format, crop):
    prefix = f"s{seed}_{mask_format}_crop{crop}"
    np.random.seed(seed)
    given = record()
    mapped = mapper(mask_format, bool(crop))(given)
    assert given == record(), "the mapper changed its input"
    assert sorted(mapped) == ARRAYS[f"{prefix}/keys"].tolist()
    image = mapped["image"].numpy()
    assert np.abs(image.astype(int) - ARRAYS[f"{prefix}/image"].astype(int)).max() <= 1
    np.testing.assert_array_equal(mapped["sem_seg"], ARRAYS[f"{prefix}/sem"])
    instances = mapped["instances"]
    assert instances.image_size == tuple(ARRAYS[f"{prefix}/size"])
    assert list(instances.get_fields()) == ARRAYS[f"{prefix}/fields"].tolist()
    np.testing.assert_allclose(instances.gt_boxes.tensor, ARRAYS[f"{prefix}/boxes"], atol=1e-5)
    np.testing.assert_array_equal(instances.gt_classes, ARRAYS[f"{prefix}/classes"])
    np.testing.assert_allclose(instances.gt_keypoints.tensor, ARRAYS[f"{prefix}/kp"], atol=1e-5)
    if mask_format == "bitmask":
        np.testing.assert_array_equal(instances.gt_masks.tensor, ARRAYS[f"{prefix}/mask"])
    else:
        polygons = instances.gt_masks.polygons
        assert [len(p) for p in polygons] == ARRAYS[f"{prefix}/npoly"].tolist()
        areas = instances.gt_masks.area()
        assert (np.asarray(areas) > 0).all()
        if not crop:
            flat = np.concatenate([q for p in polygons for q in p])
            np.testing.assert_allclose(flat, ARRAYS[f"{prefix}/poly_flat"], atol=1e-5)


def test_golden_inference():
    given = {k: v for k, v in record().items() if k != "image_id"}
    mapped = DatasetMapper(False, augmentations=[T.ResizeShortestEdge(50)], image_format="RGB")(given)
    assert sorted(mapped) == ARRAYS["test/keys"].tolist()
    assert np.abs(mapped["image"].numpy().astype(int) - ARRAYS["test/image"].astype(int)).max() <= 1
    assert (mapped["height"], mapped["width"]) == (72, 96)


@pytest.mark.parametrize("mask_format,kind", [("polygon", PolygonMasks), ("bitmask", BitMasks)])
def test_from_config_keeps_what_the_model_uses(mask_format, kind):
    cfg = get_cfg()
    cfg.INPUT.MASK_FORMAT = mask_format
    assert not DatasetMapper(cfg)(record())["instances"].has("gt_masks")
    cfg.MODEL.MASK_ON = True
    instances = DatasetMapper(cfg, True)(record())["instances"]
    assert isinstance(instances.gt_masks, kind) and not instances.has("gt_keypoints")
    assert "instances" not in DatasetMapper(cfg, False)(record())


def test_crop_of_the_config_comes_first_and_recomputes_boxes():
    cfg = get_cfg()
    cfg.INPUT.CROP.ENABLED, cfg.MODEL.MASK_ON = True, True
    mapper_of_cfg = DatasetMapper(cfg, True)
    assert isinstance(mapper_of_cfg.augmentations.augs[0], T.RandomCrop) and mapper_of_cfg.recompute_boxes
    assert not DatasetMapper(cfg, False).recompute_boxes
    with pytest.raises(ValueError, match="MASK_ON"):
        DatasetMapper(True, augmentations=[], image_format="BGR", recompute_boxes=True)


def test_image_without_instances_gives_empty_ground_truth():
    given = record() | {"annotations": []}
    instances = mapper("polygon", False)(given)["instances"]
    assert len(instances) == 0 and instances.gt_boxes.tensor.shape == (0, 4)
    assert instances.gt_classes.dtype == torch.int64


def test_precomputed_proposals_follow_the_image():
    given = record() | {
        "proposal_boxes": np.array([[10.0, 10, 30, 30], [80, 60, 200, 200], [5, 5, 5, 9]]),
        "proposal_bbox_mode": 0,
        "proposal_objectness_logits": np.array([3.0, 2, 1]),
    }
    augmentations = [T.HFlipTransform(96)]
    map_it = DatasetMapper(True, augmentations=augmentations, image_format="BGR", precomputed_proposal_topk=5)
    proposals = map_it(given)["proposals"]
    np.testing.assert_allclose(proposals.proposal_boxes.tensor, [[66, 10, 86, 30], [0, 60, 16, 72]])
    assert proposals.objectness_logits.tolist() == [3.0, 2.0]
