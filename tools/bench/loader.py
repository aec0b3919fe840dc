"""The data path: one image through ``DatasetMapper``, and the training loader with 0 and 1 workers."""

import itertools
import tempfile
from pathlib import Path

import numpy as np

from .timing import CASES

BATCHES, BATCH = 16, 4


def _dataset(folder: Path, count: int = 16) -> list[dict]:
    from PIL import Image

    from detectron2.structures import BoxMode

    rng = np.random.default_rng(0)
    dicts = []
    for index in range(count):
        small = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        path = folder / f"{index}.jpg"
        Image.fromarray(small).resize((640, 480), Image.BICUBIC).save(path, quality=90)
        annotations = [
            {
                "bbox": [50.0 + 8 * k, 40.0 + 5 * k, 150.0 + 8 * k, 170.0 + 5 * k],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": k % 3,
            }
            for k in range(10)
        ]
        dicts.append(
            {"file_name": str(path), "image_id": index, "height": 480, "width": 640, "annotations": annotations}
        )
    return dicts


def _mapper():
    from detectron2.data import DatasetMapper
    from detectron2.data import transforms as T

    augmentations = [T.ResizeShortestEdge(480, 640), T.RandomFlip()]
    return DatasetMapper(is_train=True, augmentations=augmentations, image_format="BGR")


@CASES.add("mapper_one_image_480x640", repeat=50)
def _():
    dicts, mapper = _dataset(Path(tempfile.mkdtemp()), 1), _mapper()
    return lambda: mapper(dicts[0])


def _add_loader(workers: int) -> None:
    @CASES.add(f"loader_workers{workers}_480x640_{BATCHES * BATCH}_images", repeat=3)
    def _():
        from detectron2.data import build_detection_train_loader
        from detectron2.data.samplers import TrainingSampler

        dicts = _dataset(Path(tempfile.mkdtemp()))
        loader = build_detection_train_loader(
            dicts,
            mapper=_mapper(),
            sampler=TrainingSampler(len(dicts), seed=0),
            total_batch_size=BATCH,
            num_workers=workers,
        )
        stream = iter(loader)
        return lambda: list(itertools.islice(stream, BATCHES))


for _workers in (0, 1):
    _add_loader(_workers)
