"""Read images into arrays of a colour format, and check their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from detectron2.utils.file_io import PathManager

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SizeMismatchError", "check_image_size", "convert_PIL_to_numpy", "convert_image_to_rgb", "read_image"]

# ITU-R BT.601, section 2.5: rows Y, U, V of R, G, B; and back.
_M_RGB2YUV = [[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]]
_M_YUV2RGB = [[1.0, 0.0, 1.13983], [1.0, -0.39465, -0.58060], [1.0, 2.03211, 0.0]]
_YUV = "YUV-BT.601"
_EXIF_ORIENT = 274
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


class SizeMismatchError(ValueError):
    """An image file has another size than its annotation says."""


def convert_PIL_to_numpy(image: Image, format: str | None) -> np.ndarray:
    """A Pillow image as an array.

    Args:
        image: with 8 bits a channel.
        format: "BGR", "YUV-BT.601", a mode of Pillow, or None for the image's own mode.

    Returns:
        uint8 array (H, W, C), float in 0..1 for YUV; grey images have one channel.

    Raises:
        ValueError: more than 8 bits a channel, whose scale is unknown; or an unknown format.
    """
    if format is not None and image.mode in _DEEP_MODES:
        raise ValueError(
            f"mode {image.mode} holds more than 8 bits a pixel and its value range is unknown: "
            "convert the file to 8 bits, or give a mapper that scales it"
        )
    if format is not None:
        try:
            image = image.convert("RGB" if format in ("BGR", _YUV) else format)
        except ValueError as error:
            raise ValueError(f"mode {image.mode} cannot be converted to {format!r} (INPUT.FORMAT): {error}") from error
    array = np.asarray(image)
    if format == "L":
        return array[:, :, None]
    if format == "BGR":
        return array[:, :, ::-1]
    if format == _YUV:
        return (array / 255.0) @ np.array(_M_RGB2YUV).T
    return array


def convert_image_to_rgb(image: np.ndarray | torch.Tensor, format: str) -> np.ndarray:
    """An array (H, W, C) of ``format`` as RGB in 0..255."""
    if isinstance(image, torch.Tensor):
        image = image.cpu().numpy()
    if format == "BGR":
        return image[:, :, [2, 1, 0]]
    if format == _YUV:
        return (image @ np.array(_M_YUV2RGB).T * 255.0).clip(0, 255).astype(np.uint8)
    if format == "L":
        return np.repeat(image[:, :, :1], 3, axis=2)
    from PIL import Image

    return np.asarray(Image.fromarray(image.astype(np.uint8), mode=None if format == "RGB" else format).convert("RGB"))


def _apply_exif_orientation(image: Image) -> Image:
    """Turns the image as its EXIF tag 274 says; broken tags are ignored."""
    from PIL import ImageOps

    try:
        orientation = image.getexif().get(_EXIF_ORIENT, 1)
    except Exception:  # EXIF parsing raises whatever the bytes lead to, and the pixels are fine without it
        return image
    return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def read_image(file_name: str, format: str | None = None) -> np.ndarray:
    """Reads an image file, turned as its EXIF data says.

    Args:
        file_name: path or URL of any format that Pillow reads.
        format: see :func:`convert_PIL_to_numpy`.

    Returns:
        array (H, W, C), or (H, W) for a grey file without ``format``.

    Raises:
        FileNotFoundError: no such file.
        OSError: truncated, or no image at all.
        ValueError: more than 8 bits a channel.
    """
    from PIL import Image

    with PathManager.open(file_name, "rb") as file:
        try:
            image = Image.open(file)
            image.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise OSError(f"cannot read image {file_name}: {error}") from error
        try:
            return convert_PIL_to_numpy(_apply_exif_orientation(image), format)
        except ValueError as error:
            raise ValueError(f"image {file_name}: {error}") from error


def check_image_size(dataset_dict: dict[str, Any], image: np.ndarray) -> None:
    """Compares an image with "width" and "height" of its dictionary, and sets them where absent.

    Raises:
        SizeMismatchError: they differ.
    """
    height, width = image.shape[:2]
    if "width" in dataset_dict or "height" in dataset_dict:
        expected = (dataset_dict["width"], dataset_dict["height"])
        if (width, height) != expected:
            file = dataset_dict.get("file_name", "")
            raise SizeMismatchError(
                f"image {file} is {width}x{height} pixels (width x height), its annotation says "
                f"{expected[0]}x{expected[1]}. Correct 'width' and 'height' in the annotations; swapped values may "
                "come from annotations that ignore the file's EXIF orientation"
            )
    dataset_dict.setdefault("width", width)
    dataset_dict.setdefault("height", height)
