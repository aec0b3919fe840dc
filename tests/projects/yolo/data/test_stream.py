"""Samples, sizes and the end of mosaics depend on the place in the stream alone."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.data import (
    IterationDataset,
    IterationIndex,
    IterationSampler,
    MultiImageMapper,
    MultiScale,
    build_multi_image_loader,
    build_yolo_train_loader,
)
from detectron2.projects.yolo.data.defaults import INPUT_YOLO
from detectron2.projects.yolo.data.multi_scale import resize_sample

from detectron2.config import CfgNode, get_cfg
from detectron2.data import DatasetCatalog, DatasetFromList, MetadataCatalog
from detectron2.data.samplers import TrainingSampler

from .drawing import BACKGROUND, write_dataset

FILL = INPUT_YOLO["FILL"]


def config(**changes: Any) -> CfgNode:
    cfg = get_cfg()
    cfg.INPUT.YOLO = CfgNode(INPUT_YOLO).clone()
    cfg.INPUT.YOLO.SIZE = [64, 64]
    cfg.INPUT.YOLO.MIXUP.PROBABILITY = 0.5
    cfg.INPUT.YOLO.COPY_PASTE.SHARE = 0.5
    cfg.INPUT.YOLO.MOSAIC = 0.7
    cfg.MODEL.MASK_ON = True
    cfg.merge_from_list([part for pair in changes.items() for part in (pair[0].replace("__", "."), pair[1])])
    return cfg


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    return write_dataset(tmp_path_factory.mktemp("images"))


def loader_of(records: list[dict], workers: int = 0, cfg: CfgNode | None = None, **options: Any) -> Any:
    packed = DatasetFromList(records, copy=False)
    mapper = MultiImageMapper.from_config(cfg or config(), packed)
    sampler = TrainingSampler(len(records), seed=5)
    return build_multi_image_loader(
        packed, mapper, sampler=sampler, total_batch_size=2, num_workers=workers, seed=11, **options
    )


def taken(loader: Any, count: int) -> list[tuple]:
    """What matters of some batches, comparable with ``==``."""
    batches = []
    for batch in itertools.islice(loader, count):
        for sample in batch:
            own = sample["instances"]
            masks = [p.tobytes() for one in own.gt_masks.polygons for p in one]
            image = sample["image"]
            boxes = own.gt_boxes.tensor.numpy().tobytes()
            batches.append((sample["image_id"], tuple(image.shape), image.numpy().tobytes(), boxes, masks))
            batches[-1] += (own.gt_classes.tolist(), sample["iteration"])
    return batches


def test_workers_do_not_change_the_stream(records: list[dict]) -> None:
    scales = MultiScale(period=2)
    alone = taken(loader_of(records, multi_scale=scales), 6)
    assert alone == taken(loader_of(records, 2, multi_scale=scales), 6)
    assert [iteration for *_, iteration in alone] == [k // 2 for k in range(12)]
    assert len({shape for _, shape, *_ in alone}) > 1
    assert len({image for _, _, image, *_ in alone}) == 12


def test_a_resumed_loader_goes_on_bit_identically(records: list[dict]) -> None:
    scales = MultiScale(period=2)
    whole = taken(loader_of(records, multi_scale=scales), 6)
    first = loader_of(records, multi_scale=scales)
    assert taken(first, 2) == whole[:4]
    second = loader_of(records, multi_scale=scales, cfg=config())
    second.dataset.sampler.sampler._seed = 99
    assert second.load_state_dict(first.state_dict())
    assert taken(second, 4) == whole[4:]


def test_the_seed_of_the_loader_makes_other_samples(records: list[dict]) -> None:
    packed = DatasetFromList(records, copy=False)
    mapper = MultiImageMapper.from_config(config(), packed)
    streams = [
        taken(
            build_multi_image_loader(
                packed, mapper, sampler=TrainingSampler(len(records), seed=5), total_batch_size=2, seed=seed
            ),
            2,
        )
        for seed in (1, 1, 2)
    ]
    assert streams[0] == streams[1]
    assert [s[0] for s in streams[0]] == [s[0] for s in streams[2]]
    assert streams[0] != streams[2]


class Recorder(MultiImageMapper):
    """Remembers which samples were made of several images."""

    def _mosaic_of(self, *arguments: Any) -> Any:
        self.several = True
        return super()._mosaic_of(*arguments)

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        self.several = False
        return {**super().__call__(dataset_dict), "several": self.several}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("steps", [1, 2])
def test_mosaics_end_at_their_iteration(records: list[dict], workers: int, steps: int) -> None:
    cfg = config(SOLVER__MAX_ITER=5, INPUT__YOLO__CLOSE_MOSAIC=3, INPUT__YOLO__MOSAIC=1.0)
    cfg.INPUT.YOLO.MIXUP.PROBABILITY = 0.0
    packed = DatasetFromList(records, copy=False)
    loader = build_multi_image_loader(
        packed,
        Recorder.from_config(cfg, packed),
        total_batch_size=2,
        accumulation_steps=steps,
        num_workers=workers,
        seed=1,
    )
    batches = list(itertools.islice(loader, 5 * steps))
    several = [[sample["several"] for sample in batch] for batch in batches]
    assert several == [[True, True]] * (2 * steps) + [[False, False]] * (3 * steps)


def test_mix_up_ends_too(records: list[dict]) -> None:
    cfg = config(SOLVER__MAX_ITER=5, INPUT__YOLO__CLOSE_MOSAIC=3, INPUT__YOLO__MIXUP__PROBABILITY=1.0)
    cfg.INPUT.YOLO.MOSAIC = 0.0
    cfg.INPUT.YOLO.PERSPECTIVE.SINGLE_IMAGES = False
    mapper = MultiImageMapper.from_config(cfg, records)
    assert len(mapper({**records[0], "iteration": 1})["instances"]) == 2
    assert len(mapper({**records[0], "iteration": 2})["instances"]) == 1
    with pytest.raises(KeyError, match="iteration"):
        mapper(records[0])


def test_a_single_partner_may_be_scaled(records: list[dict]) -> None:
    cfg = config(INPUT__YOLO__MOSAIC=0.0, INPUT__YOLO__FLIP_HORIZONTAL=0.0, INPUT__YOLO__MIXUP__PARTNER="image")
    cfg.INPUT.YOLO.PERSPECTIVE.SINGLE_IMAGES, cfg.INPUT.YOLO.PERSPECTIVE.TRANSLATE = False, 0.0
    cfg.INPUT.YOLO.MIXUP.PROBABILITY, cfg.INPUT.YOLO.MIXUP.SCALE = 1.0, [0.5, 0.5]
    result = MultiImageMapper.from_config(cfg, records[:1])(records[0])
    # The partner is the image itself, halved around the middle of 64 x 64.
    assert result["instances"].gt_boxes.tensor.tolist() == [[8, 22, 30, 46], [20, 27, 31, 39]]


def test_indices_carry_the_iteration() -> None:
    sampler = IterationSampler(TrainingSampler(3, shuffle=False, seed=7), 2)
    indices = list(itertools.islice(sampler, 5))
    assert indices == [0, 1, 2, 0, 1]
    assert [(i.iteration, i.seed) for i in indices] == [(0, 7), (0, 7), (1, 7), (1, 7), (2, 7)]
    dataset = IterationDataset([{"a": 1}, {"a": 2}, {"a": 3}])
    assert dataset[indices[2]] == {"a": 3, "iteration": 1, "stream_seed": 7}
    assert dataset[1] == {"a": 2} == dataset.dataset[1]
    assert repr(IterationIndex(4, 0, 0)) == "4"
    with pytest.raises(ValueError, match="samples_per_iteration"):
        IterationSampler(sampler, 0)


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_grey_files_and_images_without_objects(tmp_path: Path, mosaic: float) -> None:
    for grey, empty, image_format, channels in ((True, False, "BGR", 3), (True, True, "L", 1), (False, True, "RGB", 3)):
        folder = tmp_path / f"{grey}{empty}"
        folder.mkdir()
        records = write_dataset(folder, 3, grey, empty)
        cfg = config(INPUT__FORMAT=image_format, INPUT__YOLO__MOSAIC=mosaic, INPUT__YOLO__MIXUP__PROBABILITY=1.0)
        mapper = MultiImageMapper.from_config(cfg, records)
        np.random.seed(0)
        result = mapper(records[0])
        assert result["image"].shape == (channels, 64, 64) and result["image"].dtype == torch.uint8
        assert (len(result["instances"]) == 0) == empty
        assert result["instances"].gt_boxes.tensor.shape[1] == 4
        assert "annotations" not in result and "annotations" in records[0]


def test_a_plain_image_is_letterboxed_and_no_more(records: list[dict]) -> None:
    cfg = config(INPUT__YOLO__MOSAIC=0.0, INPUT__YOLO__HSV=[0.0, 0.0, 0.0], INPUT__YOLO__FLIP_HORIZONTAL=0.0)
    cfg.INPUT.YOLO.MIXUP.PROBABILITY = 0.0
    cfg.INPUT.YOLO.PERSPECTIVE.SINGLE_IMAGES = False
    result = MultiImageMapper.from_config(cfg, records)(records[0])
    # 40 x 64 pixels (h x w) stay as they are in the middle of 64 x 64.
    assert (result["image"][:, :12] == FILL).all() and (result["image"][:, 52:] == FILL).all()
    assert (result["image"][:, 12:22] == BACKGROUND).all()
    assert result["instances"].gt_boxes.tensor.tolist() == [[8, 22, 30, 46]]


def test_keypoints_and_wrong_settings_are_refused(records: list[dict]) -> None:
    with pytest.raises(ValueError, match="KEYPOINT_ON"):
        MultiImageMapper.from_config(config(MODEL__KEYPOINT_ON=True), records)
    with pytest.raises(ValueError, match="PARTNER"):
        MultiImageMapper.from_config(config(INPUT__YOLO__MIXUP__PARTNER="both"), records)
    with pytest.raises(ValueError, match="mosaic"):
        MultiImageMapper.from_config(config(INPUT__YOLO__MOSAIC=1.5), records)


def test_loader_of_a_config(records: list[dict]) -> None:
    DatasetCatalog.register("yolo_rectangles", lambda: records)
    MetadataCatalog.get("yolo_rectangles").set(thing_classes=[str(k) for k in range(len(records))])
    cfg = config(SOLVER__IMS_PER_BATCH=2, DATALOADER__NUM_WORKERS=0, INPUT__YOLO__MULTI_SCALE__ENABLED=True)
    cfg.DATASETS.TRAIN = ("yolo_rectangles",)
    batch = next(iter(build_yolo_train_loader(cfg)))
    assert [sample["iteration"] for sample in batch] == [0, 0]
    sides = {side for sample in batch for side in sample["image"].shape[1:]}
    assert len(sides) == 1 and sides <= {32, 64, 96}


def sizes_of(scale: MultiScale, seed: int, count: int) -> Iterator[tuple[int, int]]:
    return (scale.size((640, 320), iteration, seed) for iteration in range(count))


def test_sizes_change_by_the_period_and_cover_the_range() -> None:
    scale = MultiScale((0.5, 1.5), period=5, stride=32)
    sizes = list(sizes_of(scale, 3, 2000))
    assert sizes == list(sizes_of(scale, 3, 2000)) != list(sizes_of(scale, 4, 2000))
    assert all(len(set(sizes[k : k + 5])) == 1 for k in range(0, 2000, 5))
    heights, widths = {h for h, _ in sizes}, {w for _, w in sizes}
    assert heights == set(range(320, 961, 32)) and widths == set(range(160, 481, 32))
    assert MultiScale((0.01, 0.01)).size((640, 640), 0, 0) == (32, 32)
    for wrong in ({"ratios": (1.5, 0.5)}, {"ratios": (1.0,)}, {"period": 0}, {"stride": 0}):
        with pytest.raises(ValueError):
            MultiScale(**wrong)


def test_a_resized_sample_keeps_its_geometry(records: list[dict]) -> None:
    sample = MultiImageMapper.from_config(config(), records)(records[0])
    result = resize_sample(sample, (96, 32))
    assert result["image"].shape == (3, 96, 32) and result["image"].dtype == torch.uint8
    assert result["instances"].image_size == (96, 32)
    factors = torch.tensor([0.5, 1.5, 0.5, 1.5])
    torch.testing.assert_close(
        result["instances"].gt_boxes.tensor, sample["instances"].gt_boxes.tensor * factors, rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        result["instances"].gt_masks.get_bounding_boxes().tensor,
        sample["instances"].gt_masks.get_bounding_boxes().tensor * factors,
    )
    assert resize_sample(sample, (64, 64)) is sample
    sample["instances"].gt_depth = torch.zeros(len(sample["instances"]))
    with pytest.raises(ValueError, match="gt_depth"):
        resize_sample(sample, (32, 32))
    with pytest.raises(KeyError, match="iteration"):
        MultiScale()([sample])
