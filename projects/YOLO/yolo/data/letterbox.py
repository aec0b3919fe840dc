"""Resizing to a fixed size with the aspect ratio kept, and the rest padded."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import PadTransform, Transform, TransformList

from detectron2.data import transforms as T

__all__ = ["FILL", "Letterbox", "LetterboxTransform", "fit_inside"]

# Grey around and between images, in 0..255.
FILL = 114
_PADDINGS = ("size", "stride", "none")


def fit_inside(height: int, width: int, size: Sequence[int], scale_up: bool = True) -> tuple[int, int]:
    """The largest (height, width) of the same aspect ratio within ``size`` (height, width), all in pixels."""
    ratio = min(size[0] / height, size[1] / width)
    if not scale_up:
        ratio = min(ratio, 1.0)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


class LetterboxTransform(TransformList):
    """Resizes and then pads. ``inverse().apply_box`` brings boxes back to the original image.

    Args:
        h, w: size of the input in pixels.
        new_h, new_w: size that it is resized to.
        top, bottom, left, right: pixels of padding.
        fill: value of the padding.
    """

    def __init__(
        self,
        h: int,
        w: int,
        new_h: int,
        new_w: int,
        *,
        top: int,
        bottom: int,
        left: int,
        right: int,
        fill: float = FILL,
    ) -> None:
        super().__init__(
            [
                T.ResizeTransform(h, w, new_h, new_w),
                PadTransform(left, top, right, bottom, orig_w=new_w, orig_h=new_h, pad_value=fill),
            ]
        )


class Letterbox(T.Augmentation):
    """Resizes into a rectangle without changing the aspect ratio.

    Args:
        size: (height, width) in pixels.
        padding: "size" pads to the whole rectangle, "stride" only to multiples of ``stride``, "none" not at all.
        stride: in pixels, of "stride".
        center: equal padding on both sides; else all of it on the right and at the bottom.
        scale_up: also enlarge images smaller than the rectangle.
        fill: value of the padding.

    Raises:
        ValueError: an unknown padding, or a size or stride that is not positive.
    """

    def __init__(
        self,
        size: tuple[int, int],
        padding: str = "size",
        stride: int = 32,
        center: bool = True,
        scale_up: bool = True,
        fill: float = FILL,
    ) -> None:
        if padding not in _PADDINGS:
            raise ValueError(f"padding of a letterbox is {padding!r}, but must be one of {', '.join(_PADDINGS)}")
        if len(size) != 2 or min(size) < 1 or stride < 1:
            raise ValueError(f"a letterbox needs a positive (height, width) and stride, got {size} and {stride}")
        self.size = size
        self.padding = padding
        self.stride = stride
        self.center = center
        self.scale_up = scale_up
        self.fill = fill

    @classmethod
    def from_node(cls, node: Mapping[str, Any], padding: str = "size") -> "Letterbox":
        """From ``INPUT.YOLO``: its keys ``SIZE``, ``STRIDE``, ``CENTER_PADDING`` and ``FILL``."""
        return cls(tuple(node["SIZE"]), padding, node["STRIDE"], node["CENTER_PADDING"], fill=node["FILL"])

    def get_transform(self, image: np.ndarray) -> Transform:
        """The transform for an image (H, W) or (H, W, C)."""
        height, width = image.shape[:2]
        new_h, new_w = fit_inside(height, width, self.size, self.scale_up)
        rest_h, rest_w = self._rest(new_h, self.size[0]), self._rest(new_w, self.size[1])
        top, left = (rest_h // 2, rest_w // 2) if self.center else (0, 0)
        return LetterboxTransform(
            height,
            width,
            new_h,
            new_w,
            top=top,
            bottom=rest_h - top,
            left=left,
            right=rest_w - left,
            fill=self.fill,
        )

    def _rest(self, side: int, full: int) -> int:
        if self.padding == "none":
            return 0
        return full - side if self.padding == "size" else -side % self.stride
