"""Deterministic geometric and colour transforms of images, label maps, coordinates and rotated boxes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from fvcore.transforms.transform import (
    CropTransform,
    HFlipTransform,
    NoOpTransform,
    Transform,
    TransformList,
)
from torch.nn import functional as F

__all__ = [
    "ColorTransform",
    "ExtentTransform",
    "HFlip_rotated_box",
    "PILColorTransform",
    "ResizeTransform",
    "Resize_rotated_box",
    "RotationTransform",
]

# Values of PIL.Image.Resampling, written out so that importing this module does not import Pillow.
NEAREST, LANCZOS, BILINEAR, BICUBIC, BOX, HAMMING = 0, 1, 2, 3, 4, 5
_TORCH_MODES = {NEAREST: "nearest", BILINEAR: "bilinear", BICUBIC: "bicubic"}
# The rotation's interpolation follows OpenCV's numbering, as existing configs use it.
ROTATE_NEAREST, ROTATE_BILINEAR = 0, 1


def _pil_image(image: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image)


def _like(result: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Gives back the single channel that Pillow dropped."""
    return result[:, :, None] if image.ndim == 3 and result.ndim == 2 else result


class ExtentTransform(Transform):
    """Takes a rectangle of the image, also reaching out of it, and resizes it.

    Args:
        src_rect: x0, y0, x1, y1 in pixels of the input.
        output_size: (height, width) in pixels.
        interp: one of Pillow's resampling filters.
        fill: value outside the input.
    """

    def __init__(
        self, src_rect: tuple[float, float, float, float], output_size: tuple[int, int], interp: int = 2, fill: int = 0
    ) -> None:
        super().__init__()
        self._set_attributes(locals())

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        from PIL import Image

        height, width = self.output_size
        result = _pil_image(img).transform(
            size=(width, height),
            method=Image.Transform.EXTENT,
            data=self.src_rect,
            resample=self.interp if interp is None else interp,
            fill=self.fill,
        )
        return _like(np.asarray(result), img)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        height, width = self.output_size
        x0, y0, x1, y1 = self.src_rect
        moved = coords.astype(np.float32) - np.array([x0, y0], dtype=np.float32)
        return moved * np.array([width / (x1 - x0), height / (y1 - y0)], dtype=np.float32)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        # Existing results were made with the image's filter, which blends labels at their borders; a label map wants
        # interp=NEAREST.
        return self.apply_image(segmentation)


class ResizeTransform(Transform):
    """Resizes the image: uint8 by Pillow, other types by PyTorch.

    Args:
        h, w: size of the input in pixels.
        new_h, new_w: size of the output in pixels.
        interp: one of Pillow's resampling filters; default bilinear.
    """

    def __init__(self, h: int, w: int, new_h: int, new_w: int, interp: int | None = None) -> None:
        super().__init__()
        interp = BILINEAR if interp is None else interp
        self._set_attributes(locals())

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """Resizes ``img`` of shape (h, w), (h, w, C), or (N, h, w, C) if it is not uint8.

        Raises:
            ValueError: the image has another size than the transform was made for.
        """
        spatial = img.shape[:2] if img.ndim <= 3 else img.shape[1:3]
        if tuple(spatial) != (self.h, self.w):
            raise ValueError(f"ResizeTransform is for images of {self.h}x{self.w} pixels, got shape {img.shape}")
        method = self.interp if interp is None else interp
        if img.dtype == np.uint8:
            resized = _pil_image(img).resize((self.new_w, self.new_h), method)
            return _like(np.asarray(resized), img)
        if method not in _TORCH_MODES:
            raise ValueError(f"interpolation {method} works for uint8 images only, not {img.dtype}")
        return self._resize_tensor(img, _TORCH_MODES[method])

    def _resize_tensor(self, img: np.ndarray, mode: str) -> np.ndarray:
        # Negative strides come from flips, and torch does not take them.
        tensor = torch.from_numpy(np.ascontiguousarray(img))
        if img.ndim == 2:
            tensor = tensor[None, None]
        else:
            tensor = tensor.movedim(-1, -3).reshape(-1, img.shape[-1], self.h, self.w)
        align = None if mode == "nearest" else False
        tensor = F.interpolate(tensor, (self.new_h, self.new_w), mode=mode, align_corners=align)
        if img.ndim == 2:
            return tensor[0, 0].numpy()
        shape = (*img.shape[:-3], self.new_h, self.new_w, img.shape[-1])
        return tensor.movedim(-3, -1).reshape(shape).numpy()

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        coords[:, 0] = coords[:, 0] * (self.new_w * 1.0 / self.w)
        coords[:, 1] = coords[:, 1] * (self.new_h * 1.0 / self.h)
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        return self.apply_image(segmentation, interp=NEAREST)

    def inverse(self) -> "ResizeTransform":
        return ResizeTransform(self.new_h, self.new_w, self.h, self.w, self.interp)


class RotationTransform(Transform):
    """Rotates the image counter-clockwise.

    Args:
        h, w: size of the input in pixels.
        angle: degrees.
        expand: enlarge the output so that nothing is cut off.
        center: (x, y) of the rotation in pixels; default the middle.
        interp: 0 nearest, 1 bilinear (default).
    """

    def __init__(
        self,
        h: int,
        w: int,
        angle: float,
        expand: bool = True,
        center: tuple[float, float] | None = None,
        interp: int | None = None,
    ) -> None:
        super().__init__()
        image_center = np.array((w / 2, h / 2))
        center = image_center if center is None else center
        interp = ROTATE_BILINEAR if interp is None else interp
        abs_cos, abs_sin = abs(np.cos(np.deg2rad(angle))), abs(np.sin(np.deg2rad(angle)))
        bound_w, bound_h = w, h
        if expand:
            bound_w, bound_h = np.rint([h * abs_sin + w * abs_cos, h * abs_cos + w * abs_sin])
        self._set_attributes(locals())
        self.rm_coords = self.create_rotation_matrix()

    def create_rotation_matrix(self, offset: float = 0) -> np.ndarray:
        """The affine map (2, 3) from input to output, in coordinates where the image's corner is at ``offset``."""
        cosine, sine = np.cos(np.deg2rad(self.angle)), np.sin(np.deg2rad(self.angle))
        linear = np.array([[cosine, sine], [-sine, cosine]])
        pivot = np.asarray(self.center) + offset
        shift = pivot - linear @ pivot
        if self.expand:
            middle = self.image_center + offset
            shift = np.array([self.bound_w / 2, self.bound_h / 2]) + offset - linear @ middle
        return np.column_stack([linear, shift])

    @property
    def _is_identity(self) -> bool:
        return self.angle % 360 == 0

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """Rotates ``img`` (h, w) or (h, w, C); what comes from outside is 0."""
        if len(img) == 0 or self._is_identity:
            return img
        if img.shape[:2] != (self.h, self.w):
            raise ValueError(f"RotationTransform is for images of {self.h}x{self.w} pixels, got shape {img.shape}")
        mode = "nearest" if (self.interp if interp is None else interp) == ROTATE_NEAREST else "bilinear"
        channels = torch.from_numpy(np.ascontiguousarray(img.reshape(self.h, self.w, -1))).permute(2, 0, 1)
        rotated = F.grid_sample(channels[None].double(), self._source_grid(), mode=mode, align_corners=False)[0]
        result = rotated.permute(1, 2, 0).numpy().reshape(*rotated.shape[1:], *img.shape[2:])
        if np.issubdtype(img.dtype, np.integer):
            result = np.rint(result)
        return result.astype(img.dtype)

    def _source_grid(self) -> torch.Tensor:
        """For every output pixel's centre its place in the input, scaled to [-1, 1]: (1, H, W, 2)."""
        height, width = int(self.bound_h), int(self.bound_w)
        inverse = np.linalg.inv(self.rm_coords[:, :2])
        y, x = np.mgrid[:height, :width] + 0.5
        places = (np.stack([x, y], axis=-1) - self.rm_coords[:, 2]) @ inverse.T
        return torch.from_numpy(places / (self.w / 2, self.h / 2) - 1)[None]

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        coords = np.asarray(coords, dtype=float)
        if len(coords) == 0 or self._is_identity:
            return coords
        return coords @ self.rm_coords[:, :2].T + self.rm_coords[:, 2]

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        return self.apply_image(segmentation, interp=ROTATE_NEAREST)

    def inverse(self) -> TransformList:
        """Rotates back and cuts off what ``expand`` added.

        Raises:
            NotImplementedError: without ``expand`` the corners are lost.
        """
        if not self.expand:
            raise NotImplementedError("a rotation that did not expand the image has cut corners off: no inverse")
        back = RotationTransform(self.bound_h, self.bound_w, -self.angle, True, None, self.interp)
        crop = CropTransform((back.bound_w - self.w) // 2, (back.bound_h - self.h) // 2, self.w, self.h)
        return TransformList([back, crop])


class ColorTransform(Transform):
    """Applies a function to the image's values and leaves coordinates alone.

    Args:
        op: from an image array to one of the same size.
    """

    def __init__(self, op: Callable[[np.ndarray], np.ndarray]) -> None:
        if not callable(op):
            raise ValueError(f"op must be callable, got {type(op).__name__}")
        super().__init__()
        self._set_attributes(locals())

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        return self.op(img)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        return coords

    def inverse(self) -> Transform:
        return NoOpTransform()

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        return segmentation


class PILColorTransform(ColorTransform):
    """A :class:`ColorTransform` whose function takes and returns a Pillow image."""

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        return _like(np.asarray(super().apply_image(_pil_image(img))), img)


def HFlip_rotated_box(transform: HFlipTransform, rotated_boxes: np.ndarray) -> np.ndarray:
    """Mirrors boxes (N, 5) of centre x, y, width, height in pixels and angle in degrees; changes them in place."""
    rotated_boxes[:, 0] = transform.width - rotated_boxes[:, 0]
    rotated_boxes[:, 4] = -rotated_boxes[:, 4]
    return rotated_boxes


def Resize_rotated_box(transform: ResizeTransform, rotated_boxes: np.ndarray) -> np.ndarray:
    """Resizes boxes (N, 5) as in :func:`HFlip_rotated_box`; a sheared box becomes the rectangle of its side lengths."""
    scale_x, scale_y = transform.new_w / transform.w, transform.new_h / transform.h
    angle = np.deg2rad(rotated_boxes[:, 4])
    cosine, sine = np.cos(angle), np.sin(angle)
    rotated_boxes[:, 0] *= scale_x
    rotated_boxes[:, 1] *= scale_y
    rotated_boxes[:, 2] *= np.hypot(scale_x * cosine, scale_y * sine)
    rotated_boxes[:, 3] *= np.hypot(scale_x * sine, scale_y * cosine)
    rotated_boxes[:, 4] = np.rad2deg(np.arctan2(scale_x * sine, scale_y * cosine))
    return rotated_boxes


HFlipTransform.register_type("rotated_box", HFlip_rotated_box)
ResizeTransform.register_type("rotated_box", Resize_rotated_box)
NoOpTransform.register_type("rotated_box", lambda transform, boxes: boxes)
