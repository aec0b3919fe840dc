"""Random rotation, scale, shear, translation and perspective as a single warp."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import NoOpTransform, Transform

from detectron2.data import transforms as T
from detectron2.data.transforms.transform import BILINEAR, NEAREST

from .letterbox import FILL

__all__ = ["PerspectiveTransform", "RandomPerspective"]

MAX_PERSPECTIVE = 0.001
# Points beyond the horizon have no image: they are put far out in the direction in which they vanish.
_NEAREST_DEPTH = 1e-3


class PerspectiveTransform(Transform):
    """A projective map of the plane (Hartley and Zisserman, Multiple View Geometry, section 2.4).

    Args:
        matrix: (3, 3), from x, y, 1 in pixels of the input to the output; pixel centres lie at halves.
        out_h, out_w: size of the output in pixels.
        fill: value where the input does not reach.
    """

    def __init__(self, matrix: np.ndarray, out_h: int, out_w: int, fill: float = FILL) -> None:
        super().__init__()
        matrix = np.asarray(matrix, dtype=np.float64)
        self._set_attributes(locals())

    @property
    def axis_aligned(self) -> bool:
        """Whether a box stays a box."""
        return bool(self.matrix[0, 1] == self.matrix[1, 0] == self.matrix[2, 0] == self.matrix[2, 1] == 0)

    def _warp(self, img: np.ndarray, method: int, fill: float) -> np.ndarray:
        from PIL import Image

        back = np.linalg.inv(self.matrix)
        data = tuple((back / back[2, 2]).reshape(-1)[:8])
        if img.ndim == 3 and not (img.shape[2] == 3 and img.dtype == np.uint8):
            return np.stack([self._warp(img[:, :, c], method, fill) for c in range(img.shape[2])], axis=2)
        plain = np.ascontiguousarray(img if img.dtype == np.uint8 else img.astype(np.float32))
        colour = (int(fill),) * 3 if img.ndim == 3 else fill if plain.dtype == np.float32 else int(fill)
        warped = Image.fromarray(plain).transform(
            (self.out_w, self.out_h), Image.Transform.PERSPECTIVE, data, method, fillcolor=colour
        )
        return np.array(warped).astype(img.dtype)

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Warps an image (H, W) or (H, W, C) with bilinear interpolation."""
        return self._warp(img, BILINEAR, self.fill)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Warps labels (H, W) without blending; 0 where the input does not reach."""
        return self._warp(segmentation, NEAREST, 0)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Maps points (N, 2)."""
        points = np.column_stack([coords, np.ones(len(coords))]) @ self.matrix.T
        return points[:, :2] / np.maximum(points[:, 2:], _NEAREST_DEPTH)

    def apply_polygons(self, polygons: list[np.ndarray]) -> list[np.ndarray]:
        """Maps polygons, each (P, 2), and cuts them at the output's border."""
        return [piece for p in polygons for piece in T.clip_polygon(self.apply_coords(p), self.out_w, self.out_h)]

    def inverse(self) -> Transform:
        """The map back, for coordinates: the size of the input is not known."""
        return PerspectiveTransform(np.linalg.inv(self.matrix), self.out_h, self.out_w, self.fill)


class RandomPerspective(T.Augmentation):
    """Warps the image around its middle, all parts drawn evenly from symmetric ranges.

    Args:
        degrees: largest rotation.
        translate: largest shift of the middle, in parts of the output's size.
        scale: smallest and largest factor on the size.
        shear: largest shear in degrees, each axis by itself.
        perspective: largest coefficient of the horizon in 1 / pixel, at most 0.001.
        output_size: (height, width) in pixels; None keeps that of the input. A mosaic is cut to the quarter.
        fill: value where the input does not reach.

    Raises:
        ValueError: a range that is not as described.
    """

    def __init__(
        self,
        degrees: float = 0.0,
        translate: float = 0.1,
        scale: Sequence[float] = (0.5, 1.5),
        shear: float = 0.0,
        perspective: float = 0.0,
        output_size: tuple[int, int] | None = None,
        fill: float = FILL,
    ) -> None:
        limits: dict[str, tuple[float, float]] = {
            "degrees": (degrees, 180),
            "translate": (translate, 1),
            "shear": (shear, 89),
            "perspective": (perspective, MAX_PERSPECTIVE),
        }
        for name, (value, most) in limits.items():
            if not 0 <= value <= most:
                raise ValueError(f"{name} of a random perspective is {value}, but must lie in 0..{most}")
        if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale of a random perspective is {scale}, but must be two positive, rising factors")
        self.degrees = degrees
        self.translate = translate
        self.scale = (scale[0], scale[1])
        self.shear = shear
        self.perspective = perspective
        self.output_size = output_size
        self.fill = fill

    @classmethod
    def from_node(cls, node: Mapping[str, Any], of: str = "PERSPECTIVE") -> "RandomPerspective":
        """From ``INPUT.YOLO``: its node ``PERSPECTIVE`` and its keys ``SIZE`` and ``FILL``.

        Args:
            node: ``INPUT.YOLO``.
            of: "MIXUP" for the warp of a mix-up's partner: the scale of that node, and the shift alone.
        """
        own, size, fill = node["PERSPECTIVE"], tuple(node["SIZE"]), node["FILL"]
        if of == "MIXUP":
            return cls(translate=own["TRANSLATE"], scale=tuple(node["MIXUP"]["SCALE"]), output_size=size, fill=fill)
        return cls(
            own["DEGREES"],
            own["TRANSLATE"],
            tuple(own["SCALE"]),
            own["SHEAR"],
            own["COEFFICIENT"],
            size,
            fill,
        )

    def get_transform(self, image: np.ndarray) -> Transform:
        """A warp drawn from NumPy's generator; none where it would change nothing."""
        height, width = image.shape[:2]
        out_h, out_w = self.output_size or (height, width)
        horizon = np.random.uniform(-self.perspective, self.perspective, 2)
        angle = np.deg2rad(np.random.uniform(-self.degrees, self.degrees))
        factor = np.random.uniform(*self.scale)
        slant = np.tan(np.deg2rad(np.random.uniform(-self.shear, self.shear, 2)))
        place = np.random.uniform(0.5 - self.translate, 0.5 + self.translate, 2) * (out_w, out_h)

        to_middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
        tilt = np.array([[1, 0, 0], [0, 1, 0], [horizon[0], horizon[1], 1]])
        cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
        turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        shear = np.array([[1, slant[0], 0], [slant[1], 1, 0], [0, 0, 1]])
        to_place = np.array([[1, 0, place[0]], [0, 1, place[1]], [0, 0, 1]])
        matrix = to_place @ shear @ turn @ tilt @ to_middle
        if (out_h, out_w) == (height, width) and np.array_equal(matrix, np.eye(3)):
            return NoOpTransform()
        return PerspectiveTransform(matrix, out_h, out_w, self.fill)
