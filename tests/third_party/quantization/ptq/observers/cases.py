"""Tensors, levels, and quantization of raw values in NumPy, for tests of observers."""

import numpy as np
import torch

from third_party.quantization.grids.levels import Levels
from third_party.quantization.ptq.statistics import TensorStatistics

LEVELS = {
    "unsigned 8": Levels.of(8, False),
    "signed 8": Levels.of(8, True),
    "asymmetric 8": Levels.of(8, True, symmetric=False),
    "asymmetric 4": Levels.of(4, True, symmetric=False),
    "interval 4": Levels.of(4, True, interval=True),
}


def _silu(x):
    return torch.nn.functional.silu(x)


def tensors():
    """Name to a tensor ``[N, 4]``: with tails, cut at zero, one-sided, negative, far from zero."""
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(20000, generator=generator).view(-1, 4)
    tail = torch.cat([normal, torch.tensor([[40.0, -15.0, 25.0, 30.0]])])
    return {
        "normal": normal,
        "tail": tail,
        "relu": normal.relu(),
        "silu": _silu(2 * normal),
        "silu, tail": _silu(tail),
        "negative": -normal.abs() - 0.01,
        "positive": normal.abs() + 3,
    }


TENSORS = tensors()


def statistics_of(x, parts=3):
    made = TensorStatistics(channel_axis=-1)
    for part in x.chunk(parts):
        made.update(part)
    return made


def quantize(x, bottom, top, levels, whole=True):
    """Raw values on the levels of a range, float64; a zero-point is rounded if ``whole``."""
    x = np.asarray(x, dtype=np.float64)
    if levels.symmetric:
        step, zero = max(top, 1e-30) / levels.span, 0.0
    else:
        bottom, top = min(bottom, 0.0), max(top, 0.0)
        step = (top - bottom) / (levels.high - levels.low)
        zero = levels.low - bottom / step
        zero = np.clip(np.round(zero) if whole else zero, levels.low, levels.high)
    half = 0.5 * levels.half
    codes = np.clip(np.round(x / step + zero - half), levels.low, levels.high)
    return (codes - zero + half) * step


def error(x, bottom, top, levels, power=2.0):
    """Mean of |q(x) - x| ** power over raw values."""
    x = np.asarray(x, dtype=np.float64)
    return (np.abs(quantize(x, bottom, top, levels) - x) ** power).mean()
