"""A mapper that may use several images of the data set for one sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detectron2.config import CfgNode
from detectron2.data import transforms as T
from detectron2.data.transforms import Augmentation

from .box_filter import BoxFilter
from .copy_paste import CopyPaste
from .hsv import RandomHSV
from .letterbox import Letterbox
from .mixup import MixUp
from .mosaic import Mosaic
from .random_perspective import RandomPerspective
from .records import Records
from .sample import Sample, augment, load_sample, to_instances

__all__ = ["MultiImageMapper"]

_PARTNERS = ("composed", "image")


class MultiImageMapper:
    """From a dictionary of a data set, and others drawn from it, to a training sample.

    A mosaic of four images or a single one is warped; perhaps another one made in the same way is blended in; colours
    and flips come last. All random numbers come from NumPy's generator, which a loader seeds by the sample's place in
    its stream: samples do not depend on the number of workers, nor on where a training was resumed.
    """

    def __init__(
        self,
        dataset: Records,
        *,
        size: tuple[int, int],
        image_format: str,
        letterbox: Letterbox | None = None,
        mosaic: Mosaic | None = None,
        mosaic_probability: float = 1.0,
        copy_paste: CopyPaste | None = None,
        perspective: RandomPerspective | None = None,
        warp_single_images: bool = True,
        mixup: MixUp | None = None,
        mixup_probability: float = 0.0,
        mixup_partner: str = "composed",
        mixup_warp: RandomPerspective | None = None,
        augmentations: Sequence[Augmentation] = (),
        box_filter: BoxFilter | None = None,
        close_at: int | None = None,
        use_instance_mask: bool = False,
    ) -> None:
        """
        Args:
            dataset: anything with a length and items, from which further images are drawn.
            size: (height, width) of the result in pixels.
            image_format: see ``read_image``.
            letterbox: brings single images to ``size``; by default centred.
            mosaic: of quarters of ``size``.
            mosaic_probability: of a mosaic.
            copy_paste: for mosaics.
            perspective: with ``size`` as its output size. A mosaic without it is resized.
            warp_single_images: also apply ``perspective`` to single images.
            mixup: blends in another image.
            mixup_probability: of a blend.
            mixup_partner: "composed", made like the first one, or "image", a single one.
            mixup_warp: for a partner that is a single image.
            augmentations: at the end.
            box_filter: which objects survive a warp.
            close_at: iteration from which on there is no mosaic, mix-up or copy-paste. Dictionaries then need
                "iteration", see :class:`.iteration_sampler.IterationDataset`. None never ends them.
            use_instance_mask: also give masks, which have to be polygons.

        Raises:
            ValueError: a probability outside 0..1, or an unknown partner.
        """
        for name, value in (("mosaic", mosaic_probability), ("mix-up", mixup_probability)):
            if not 0 <= value <= 1:
                raise ValueError(f"the probability of {name} is {value}, but must lie in 0..1")
        if mixup_partner not in _PARTNERS:
            raise ValueError(
                f"INPUT.YOLO.MIXUP.PARTNER is {mixup_partner!r}, but must be one of {', '.join(_PARTNERS)}"
            )
        self.dataset = dataset
        self.size = size
        self.image_format = image_format
        self.letterbox = letterbox or Letterbox(size)
        self._fit = Letterbox(size, padding="none")
        self.mosaic = mosaic
        self.mosaic_probability = mosaic_probability
        self.copy_paste = copy_paste
        self.perspective = perspective
        self.warp_single_images = warp_single_images
        self.mixup = mixup
        self.mixup_probability = mixup_probability
        self.mixup_partner = mixup_partner
        self.mixup_warp = mixup_warp
        self.augmentations = list(augmentations)
        self.box_filter = box_filter or BoxFilter()
        self.close_at = close_at
        self.use_instance_mask = use_instance_mask

    @classmethod
    def from_config(cls, cfg: CfgNode, dataset: Records) -> MultiImageMapper:
        """From ``INPUT.YOLO``, ``INPUT.FORMAT``, ``MODEL.MASK_ON`` and ``SOLVER.MAX_ITER``.

        Raises:
            ValueError: the model wants keypoints, which several images in one have no use for.
        """
        if cfg.MODEL.KEYPOINT_ON:
            raise ValueError("MODEL.KEYPOINT_ON is True, but augmentation over several images does not move keypoints")
        node = cfg.INPUT.YOLO
        last: list[Augmentation] = [RandomHSV.from_node(node, cfg.INPUT.FORMAT)] if any(node.HSV) else []
        for name, probability in (("horizontal", node.FLIP_HORIZONTAL), ("vertical", node.FLIP_VERTICAL)):
            if probability > 0:
                last.append(T.RandomFlip(probability, horizontal=name == "horizontal", vertical=name == "vertical"))
        return cls(
            dataset,
            size=tuple(node.SIZE),
            image_format=cfg.INPUT.FORMAT,
            letterbox=Letterbox.from_node(node),
            mosaic=Mosaic.from_node(node),
            mosaic_probability=node.MOSAIC,
            copy_paste=CopyPaste.from_node(node) if node.COPY_PASTE.SHARE > 0 else None,
            perspective=RandomPerspective.from_node(node),
            warp_single_images=node.PERSPECTIVE.SINGLE_IMAGES,
            mixup=MixUp.from_node(node),
            mixup_probability=node.MIXUP.PROBABILITY,
            mixup_partner=node.MIXUP.PARTNER,
            mixup_warp=RandomPerspective.from_node(node, of="MIXUP") if tuple(node.MIXUP.SCALE) != (1, 1) else None,
            augmentations=last,
            box_filter=BoxFilter.from_node(node.BOX_FILTER),
            close_at=cfg.SOLVER.MAX_ITER - node.CLOSE_MOSAIC if node.CLOSE_MOSAIC > 0 else None,
            use_instance_mask=cfg.MODEL.MASK_ON,
        )

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Maps one image.

        Args:
            dataset_dict: in the standard form; it is not changed.

        Returns:
            the dictionary without "annotations", with "image" as a tensor (C, H, W) of ``size``, and "instances".

        Raises:
            KeyError: mosaics end at some time, and the dictionary has no "iteration".
        """
        several = not self._closed(dataset_dict)
        sample = self._compose(dataset_dict, several)
        if several and self.mixup is not None and np.random.uniform() < self.mixup_probability:
            sample = self.mixup(sample, self._partner())
        for augmentation in self.augmentations:
            sample = augment(sample, augmentation)
        image = sample.image if sample.image.ndim == 3 else sample.image[:, :, None]
        result = {key: value for key, value in dataset_dict.items() if key != "annotations"}
        result["image"] = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        result["instances"] = to_instances(sample, self.use_instance_mask)
        return result

    def _closed(self, dataset_dict: dict[str, Any]) -> bool:
        if self.close_at is None:
            return False
        if "iteration" not in dataset_dict:
            raise KeyError(
                "a dictionary without 'iteration', which INPUT.YOLO.CLOSE_MOSAIC needs: use IterationSampler and "
                "IterationDataset, or build_yolo_train_loader"
            )
        return dataset_dict["iteration"] >= self.close_at

    def _another(self) -> dict[str, Any]:
        return self.dataset[np.random.randint(len(self.dataset))]

    def _partner(self) -> Sample:
        if self.mixup_partner == "composed":
            return self._compose(self._another(), several=True)
        return self._single(self._another(), self.mixup_warp)

    def _compose(self, dataset_dict: dict[str, Any], several: bool) -> Sample:
        """A mosaic around an image, if ``several`` and by chance, or the image alone; of the mapper's size."""
        if several and self.mosaic is not None and np.random.uniform() < self.mosaic_probability:
            return self._mosaic_of(self.mosaic, dataset_dict)
        return self._single(dataset_dict, self.perspective if self.warp_single_images else None)

    def _single(self, dataset_dict: dict[str, Any], warp: RandomPerspective | None) -> Sample:
        sample = augment(load_sample(dataset_dict, self.image_format), self.letterbox)
        return sample if warp is None else augment(sample, warp, self.box_filter)

    def _mosaic_of(self, mosaic: Mosaic, dataset_dict: dict[str, Any]) -> Sample:
        dicts = [dataset_dict, *(self._another() for _ in range(mosaic.images - 1))]
        sample = mosaic([augment(load_sample(d, self.image_format), self._fit) for d in dicts])
        if self.copy_paste is not None:
            sample = self.copy_paste(sample)
        return augment(sample, self.perspective or T.Resize(self.size), self.box_filter)
