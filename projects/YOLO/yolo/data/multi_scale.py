"""Another image size every few iterations (arXiv:1612.08242, section 2, "Multi-Scale Training")."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from detectron2.structures import Boxes, Instances, PolygonMasks

__all__ = ["MultiScale", "resize_sample"]


class MultiScale:
    """Resizes whole batches; used as the ``collate_fn`` of a loader.

    The size is a function of the stream's seed and the iteration alone: it is the same in all processes and worker
    processes, and in a resumed training. Samples need "iteration" and "stream_seed" of
    :class:`.iteration_sampler.IterationDataset`.

    Args:
        ratios: smallest and largest factor on the sides.
        period: iterations with the same factor.
        stride: sides are rounded to multiples of it, in pixels.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(self, ratios: Sequence[float] = (0.5, 1.5), period: int = 10, stride: int = 32) -> None:
        if len(ratios) != 2 or not 0 < ratios[0] <= ratios[1]:
            raise ValueError(f"INPUT.YOLO.MULTI_SCALE.RATIOS is {ratios}, but must be two positive, rising factors")
        if period < 1 or stride < 1:
            raise ValueError(f"period and stride of multi-scale training must be at least 1, got {period} and {stride}")
        self.ratios = (ratios[0], ratios[1])
        self.period = period
        self.stride = stride

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> "MultiScale":
        """From ``INPUT.YOLO``: its node ``MULTI_SCALE`` and its key ``STRIDE``."""
        return cls(tuple(node["MULTI_SCALE"]["RATIOS"]), node["MULTI_SCALE"]["PERIOD"], node["STRIDE"])

    def size(self, base: tuple[int, int], iteration: int, seed: int) -> tuple[int, int]:
        """(height, width) of an iteration's images in pixels, ``base`` being that of ratio 1."""
        generator = np.random.default_rng((seed, iteration // self.period))
        ratio = generator.uniform(self.ratios[0], self.ratios[1])
        height, width = (max(1, round(side * ratio / self.stride)) * self.stride for side in base)
        return height, width

    def __call__(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The batch in the size of its iteration.

        Raises:
            KeyError: the samples do not know their iteration.
        """
        if "iteration" not in batch[0]:
            raise KeyError("samples without 'iteration': multi-scale training needs IterationSampler's indices")
        height, width = batch[0]["image"].shape[-2:]
        size = self.size((height, width), batch[0]["iteration"], batch[0]["stream_seed"])
        return [resize_sample(sample, size) for sample in batch]


def resize_sample(sample: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Resizes a mapped sample.

    Args:
        sample: with "image" (C, H, W) and perhaps "instances".
        size: (height, width) in pixels.

    Returns:
        a new dictionary.

    Raises:
        ValueError: the instances have a field that is not known to this function.
    """
    image = sample["image"]
    if tuple(image.shape[-2:]) == tuple(size):
        return sample
    result = {**sample, "image": _resize_image(image, size)}
    if "instances" in sample:
        result["instances"] = _resize_instances(sample["instances"], size)
    return result


def _resize_image(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    # By Pillow: PyTorch's result depends on the number of threads, which differs between workers and main process.
    from PIL import Image

    channels = image.numpy() if image.dtype == torch.uint8 else image.float().numpy()
    place = (size[1], size[0])
    resized = [np.asarray(Image.fromarray(c).resize(place, Image.Resampling.BILINEAR)) for c in channels]
    return torch.from_numpy(np.stack(resized)).to(image.dtype)


def _resize_instances(instances: Instances, size: tuple[int, int]) -> Instances:
    scale_y, scale_x = size[0] / instances.image_size[0], size[1] / instances.image_size[1]
    resized = Instances(size)
    for name, value in instances.get_fields().items():
        if isinstance(value, Boxes):
            value = value.clone()
            value.scale(scale_x, scale_y)
        elif isinstance(value, PolygonMasks):
            value = PolygonMasks([[p * np.tile((scale_x, scale_y), len(p) // 2) for p in own] for own in value])
        elif name != "gt_classes":
            raise ValueError(f"multi-scale training cannot resize {name} of type {type(value).__name__}")
        resized.set(name, value)
    return resized
