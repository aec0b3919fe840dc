"""The largest batch that fits into a GPU's memory, from a few small ones."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

__all__ = ["auto_batch_size", "fit_batch_size"]


def fit_batch_size(batch_sizes: Sequence[int], peaks: Sequence[float], budget: float) -> int:
    """The batch size at which a straight line through measured peaks reaches a budget, rounded down.

    Args:
        batch_sizes: two or more different ones.
        peaks: memory of each in bytes.
        budget: in bytes.

    Raises:
        ValueError: fewer than two sizes, memory that does not grow, or a budget too small for one image.
    """
    if len(set(batch_sizes)) < 2 or len(batch_sizes) != len(peaks):
        raise ValueError(f"two or more batch sizes have to be measured, got {list(batch_sizes)}")
    slope, offset = np.polyfit(batch_sizes, peaks, 1)
    if slope <= 0:
        raise ValueError(f"memory does not grow with the batch size: {list(peaks)} bytes for {list(batch_sizes)}")
    # Measured points on the line must not fall below their own size by rounding.
    largest = int((budget - offset) / slope + 1e-6)
    if largest < 1:
        raise ValueError(f"a batch of one image needs {slope + offset:.0f} bytes, but only {budget:.0f} are allowed")
    return largest


def auto_batch_size(
    step: Callable[[int], None],
    device: torch.device | str,
    fraction: float = 0.6,
    batch_sizes: Sequence[int] = (1, 2, 4, 8),
) -> int:
    """The largest batch size whose training step stays within a part of a GPU's memory.

    Args:
        step: runs forward and backward pass with so many images.
        device: the GPU.
        fraction: of its memory, in (0, 1].
        batch_sizes: tried in this order; those for which the memory does not suffice end the measurement.

    Raises:
        ValueError: the device is no GPU, whose memory alone says how large a batch may be; or ``fraction`` is out of
            range; or see :func:`fit_batch_size`.
    """
    device = torch.device(device)
    if device.type != "cuda":
        raise ValueError(
            f"the batch size can be found on a GPU only, not on {str(device)!r}: set SOLVER.IMS_PER_BATCH yourself"
        )
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction of the memory is {fraction}, but must lie in (0, 1]")
    peaks: list[int] = []
    for batch_size in batch_sizes:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            step(batch_size)
            torch.cuda.synchronize(device)
        except torch.cuda.OutOfMemoryError:
            break
        peaks.append(torch.cuda.max_memory_reserved(device))
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    return fit_batch_size(batch_sizes[: len(peaks)], peaks, fraction * total)
