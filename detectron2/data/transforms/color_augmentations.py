"""Random changes of brightness, contrast, saturation and lighting."""

import numpy as np
from fvcore.transforms.transform import BlendTransform, Transform

from .augmentation import Augmentation

__all__ = ["RandomBrightness", "RandomContrast", "RandomLighting", "RandomSaturation"]

# Share of red, green and blue in luma (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)
# Principal components of ImageNet's RGB values ("ImageNet Classification with Deep CNNs", section 4.1).
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])


class _RandomBlend(Augmentation):
    """Blends the image with another by a weight drawn from an interval: 1 keeps it, below 1 weakens the property.

    Args:
        intensity_min, intensity_max: interval of the weight of the image.
    """

    def __init__(self, intensity_min: float, intensity_max: float) -> None:
        self._init(locals())

    def _blend_with(self, other: np.ndarray | float) -> Transform:
        weight = np.random.uniform(self.intensity_min, self.intensity_max)
        return BlendTransform(src_image=other, src_weight=1 - weight, dst_weight=weight)


class RandomContrast(_RandomBlend):
    """Blends with the mean value."""

    def get_transform(self, image: np.ndarray) -> Transform:
        return self._blend_with(image.mean())


class RandomBrightness(_RandomBlend):
    """Blends with black."""

    def get_transform(self, image: np.ndarray) -> Transform:
        return self._blend_with(0)


class RandomSaturation(_RandomBlend):
    """Blends an RGB image with its grey version."""

    def get_transform(self, image: np.ndarray) -> Transform:
        if image.shape[-1] != 3:
            raise ValueError(f"RandomSaturation works on RGB images of shape (H, W, 3), got {image.shape}")
        return self._blend_with(image.dot(LUMA)[:, :, np.newaxis])


class RandomLighting(Augmentation):
    """Adds a random multiple of the principal components of ImageNet's colours to an RGB image.

    Args:
        scale: standard deviation of the multiples.
    """

    def __init__(self, scale: float) -> None:
        self._init(locals())
        self.eigen_vecs, self.eigen_vals = EIGENVECTORS, EIGENVALUES

    def get_transform(self, image: np.ndarray) -> Transform:
        if image.shape[-1] != 3:
            raise ValueError(f"RandomLighting works on RGB images of shape (H, W, 3), got {image.shape}")
        weights = np.random.normal(scale=self.scale, size=3)
        shift = self.eigen_vecs.dot(weights * self.eigen_vals)
        return BlendTransform(src_image=shift, src_weight=1.0, dst_weight=1.0)
