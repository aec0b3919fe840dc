"""Augmentations: random choices that turn inputs into deterministic transforms."""

import inspect
import pprint
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import Transform, TransformList

__all__ = [
    "AugInput",
    "Augmentation",
    "AugmentationList",
    "StandardAugInput",
    "TransformGen",
    "apply_augmentations",
    "apply_transform_gens",
]


def _check_img_dtype(img: np.ndarray) -> None:
    """Raises TypeError or ValueError unless ``img`` is uint8 or floating point with 2 or 3 dimensions."""
    if not isinstance(img, np.ndarray):
        raise TypeError(f"augmentations need a numpy array as image, got {type(img).__name__}")
    if img.dtype != np.uint8 and not np.issubdtype(img.dtype, np.floating):
        raise TypeError(f"augmentations need an image of uint8 or floating point, got {img.dtype}")
    if img.ndim not in (2, 3):
        raise ValueError(f"augmentations need an image of shape (H, W) or (H, W, C), got {img.shape}")


def _get_aug_input_args(aug: "Augmentation", aug_input: Any) -> list[Any]:
    """What ``aug.get_transform`` asks for, by the names of its parameters or ``input_args``."""
    if aug.input_args is None:
        parameters = list(inspect.signature(aug.get_transform).parameters.values())
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        variadic = [p.name for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if variadic:
            raise TypeError(
                f"{type(aug).__name__}.get_transform takes *{variadic[0]}: name what it needs in `input_args`"
            )
        aug.input_args = tuple(p.name for p in positional) or ("image",)
    missing = [name for name in aug.input_args if not hasattr(aug_input, name)]
    if missing:
        raise AttributeError(
            f"{type(aug).__name__} needs the input {missing[0]!r}, which {type(aug_input).__name__} does not have"
        )
    return [getattr(aug_input, name) for name in aug.input_args]


class Augmentation:
    """Decides at random which :class:`Transform` to apply.

    A subclass defines ``get_transform`` with parameters named after what it needs of the input: ``image``, ``boxes``,
    ``sem_seg`` or another attribute.
    """

    input_args: tuple[str, ...] | None = None

    def _init(self, params: dict[str, Any] | None = None) -> None:
        """Sets attributes from a dictionary such as ``locals()``, leaving out ``self`` and private names."""
        for key, value in (params or {}).items():
            if key != "self" and not key.startswith("_"):
                setattr(self, key, value)

    def get_transform(self, *args: Any) -> Transform:
        """The transform to apply to an input with these values."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_transform")

    def __call__(self, aug_input: "AugInput") -> Transform:
        """Changes ``aug_input`` in place; returns the transform that did it."""
        transform = self.get_transform(*_get_aug_input_args(self, aug_input))
        if not isinstance(transform, (Transform, TransformList)):
            raise TypeError(f"{type(self).__name__}.get_transform must return a Transform, got {transform!r}")
        aug_input.transform(transform)
        return transform

    def _rand_range(self, low: float = 1.0, high: float | None = None, size: Any = None) -> Any:
        """Uniform numbers in [low, high), or [0, low) without ``high``."""
        if high is None:
            low, high = 0, low
        return np.random.uniform(low, high, [] if size is None else size)

    def __repr__(self) -> str:
        parts = []
        for name, parameter in inspect.signature(self.__init__).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or not hasattr(self, name):
                return super().__repr__()
            value = getattr(self, name)
            if value is not parameter.default:
                lines = pprint.pformat(value).split("\n")
                parts.append(f"{name}={lines[0] + ('...' if len(lines) > 1 else '')}")
        return f"{type(self).__name__}({', '.join(parts)})"

    __str__ = __repr__


class _TransformToAug(Augmentation):
    """An augmentation that always gives the same transform."""

    def __init__(self, tfm: Transform) -> None:
        self.tfm = tfm

    def get_transform(self, *args: Any) -> Transform:
        return self.tfm

    def __call__(self, aug_input: "AugInput") -> Transform:
        aug_input.transform(self.tfm)
        return self.tfm

    def __repr__(self) -> str:
        return repr(self.tfm)

    __str__ = __repr__


def _transform_to_aug(tfm_or_aug: Augmentation | Transform) -> Augmentation:
    if isinstance(tfm_or_aug, Augmentation):
        return tfm_or_aug
    if isinstance(tfm_or_aug, (Transform, TransformList)):
        return _TransformToAug(tfm_or_aug)
    raise TypeError(f"expected an Augmentation or a Transform, got {type(tfm_or_aug).__name__}")


class AugmentationList(Augmentation):
    """Augmentations one after the other; each sees what the ones before it made.

    Args:
        augs: augmentations or transforms.
    """

    def __init__(self, augs: Iterable[Augmentation | Transform]) -> None:
        self.augs = [_transform_to_aug(aug) for aug in augs]

    def __call__(self, aug_input: "AugInput") -> TransformList:
        return TransformList([aug(aug_input) for aug in self.augs])

    def __repr__(self) -> str:
        return f"{type(self).__name__}[{', '.join(map(repr, self.augs))}]"

    __str__ = __repr__


class AugInput:
    """What is augmented together.

    Args:
        image: (H, W) or (H, W, C), uint8 in 0..255 or floating point.
        boxes: float array (N, 4) of x0, y0, x1, y1 in pixels.
        sem_seg: class of each pixel (H, W).
    """

    def __init__(
        self, image: np.ndarray, *, boxes: np.ndarray | None = None, sem_seg: np.ndarray | None = None
    ) -> None:
        _check_img_dtype(image)
        self.image, self.boxes, self.sem_seg = image, boxes, sem_seg

    def transform(self, tfm: Transform) -> None:
        """Applies ``tfm`` to everything, in place."""
        self.image = tfm.apply_image(self.image)
        if self.boxes is not None:
            self.boxes = tfm.apply_box(self.boxes)
        if self.sem_seg is not None:
            self.sem_seg = tfm.apply_segmentation(self.sem_seg)

    def apply_augmentations(self, augmentations: list[Augmentation | Transform]) -> TransformList:
        """Augments in place; returns the transforms that were applied."""
        return AugmentationList(augmentations)(self)


def apply_augmentations(
    augmentations: Sequence[Augmentation | Transform], inputs: AugInput | np.ndarray
) -> tuple[Any, TransformList]:
    """Augments an image or an :class:`AugInput`.

    Returns:
        The augmented image (or the same AugInput, changed), and the transforms that were applied.
    """
    is_image = isinstance(inputs, np.ndarray)
    aug_input = AugInput(inputs) if is_image else inputs
    transforms = aug_input.apply_augmentations(list(augmentations))
    return (aug_input.image if is_image else aug_input), transforms


# Old names of the same things.
apply_transform_gens = apply_augmentations
StandardAugInput = AugInput
TransformGen = Augmentation
