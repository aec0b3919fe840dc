"""Blending two images (arXiv:1710.09412); for detection the objects of both count in full."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .sample import Sample

__all__ = ["MixUp"]


class MixUp:
    """The weighted mean of two images, with the objects of both.

    Args:
        beta: the weight of the first comes from the distribution Beta(beta, beta); 0 blends them equally.

    Raises:
        ValueError: ``beta`` is negative.
    """

    def __init__(self, beta: float = 32.0) -> None:
        if beta < 0:
            raise ValueError(f"beta of a mix-up (INPUT.YOLO.MIXUP.BETA) is {beta}, but must not be negative")
        self.beta = beta

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> "MixUp":
        """From ``INPUT.YOLO``: its key ``MIXUP.BETA``."""
        return cls(node["MIXUP"]["BETA"])

    def __call__(self, first: Sample, second: Sample) -> Sample:
        """The blend.

        Raises:
            ValueError: the images differ in their shapes.
        """
        if first.image.shape != second.image.shape:
            raise ValueError(f"a mix-up needs images of one shape, got {first.image.shape} and {second.image.shape}")
        weight = np.random.beta(self.beta, self.beta) if self.beta else 0.5
        blend = first.image * np.float32(weight) + second.image * np.float32(1 - weight)
        if np.issubdtype(first.image.dtype, np.integer):
            blend = np.rint(blend)
        return first.with_objects_of(second, blend.astype(first.image.dtype))
