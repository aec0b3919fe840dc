"""Normalised images of whole pixel values."""

import torch
from torch import Tensor

from ..grids import Grid, IntegerGrid
from ..observers import Range
from ..spec import ImageSpec, Role
from .affine import AffineQuantizer
from .registry import register

_REMEDY = "set MODEL.PIXEL_MEAN to whole numbers from 0 to 255 and MODEL.PIXEL_STD to one number for all channels"


class ImageGrid(IntegerGrid):
    """Raw pixels as codes, with a zero-point for each channel, which Q/DQ nodes of activations do not have."""

    @property
    def refusal(self) -> str | None:
        return (
            f"images have zero-points {self.zero_point.tolist()}, one a channel, but an activation is carried with "
            "one: use the same MODEL.PIXEL_MEAN for all channels"
        )


@register(ImageSpec)
class Image(AffineQuantizer):
    """``(pixel - mean) / std`` on levels with scale ``1 / std`` and zero-point mean: codes are raw pixels, 0 to 255.

    Whole pixels pass unchanged (to the last bit where ``1 / std`` is a power of two, as with std 1), and so does the
    zero of padding, which is the pixel ``mean``. It is ready without data.

    Raises:
        ValueError: means that are no whole numbers from 0 to 255, stds that differ, means that differ without
            granularity "channel", as many means as there are not channels, or fields that the method fixes.
    """

    learned = False
    fixed_range = True
    spec: ImageSpec

    def __init__(self, spec: ImageSpec, role: Role, num_channels: int | None = None, channel_axis: int = 1) -> None:
        _check(spec, num_channels)
        super().__init__(spec, role, num_channels, channel_axis)
        with torch.no_grad():
            self.store(*self._scale_and_mean())
        self.mark_initialized()

    def reset_range(self) -> None:
        """Nothing: the range does not come from data."""

    def observe(self, x: Tensor) -> None:
        """Nothing: the range does not come from data."""

    def estimate(self, x: Tensor) -> Range:
        return self.levels.ends(*self._scale_and_mean())

    def grid(self) -> Grid:
        step, zero, levels = self.step(), self.zero(), self.levels
        if self.axis is None or bool((zero == zero[0]).all()):
            return IntegerGrid(step.view(-1)[0], zero.view(-1)[0], levels.low, levels.high, self.bits)
        return ImageGrid(step, zero, levels.low, levels.high, self.bits, self.axis)

    def _scale_and_mean(self) -> tuple[Tensor, Tensor]:
        means = self.spec.mean[:1] if self.axis is None else self.spec.mean
        mean = self.zero_point.new_tensor(means).view(self.group_shape())
        return torch.full_like(mean, 1.0 / self.spec.std[0]), mean


def _check(spec: ImageSpec, num_channels: int | None) -> None:
    mean, std = spec.mean, spec.std
    if not mean:
        raise ValueError("mean and std of method image are empty: give those of the normalisation of the images")
    if any(value != round(value) or not 0 <= value <= 255 for value in mean) or len(set(std)) > 1:
        raise ValueError(f"images with mean {mean} and std {std} have no exact 8-bit grid: {_REMEDY}")
    if spec.symmetric or spec.signed:
        raise ValueError("method image has fixed levels 0 to 255: symmetric and signed must be False")
    if spec.granularity not in ("tensor", "channel"):
        raise ValueError(f"granularity of method image must be tensor or channel, got {spec.granularity!r}")
    if spec.granularity == "tensor" and len(set(mean)) > 1:
        raise ValueError(
            f"one range for images with mean {mean} needs the same MODEL.PIXEL_MEAN for all channels; granularity "
            "channel allows different ones, but INT8 engines do not carry it"
        )
    if spec.granularity == "channel" and len(mean) != num_channels:
        raise ValueError(f"{len(mean)} means for images of {num_channels} channels")
