"""What differs between versions of PyTorch."""

import inspect
import re
from typing import Any

import torch

__all__ = ["min_torch_version", "rename_buffer_option"]


def _release(version: str) -> tuple[int, ...]:
    """The release numbers at the beginning of a version, e.g. ``2.15.0+cu132`` -> (2, 15, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    if match is None:
        raise ValueError(f"{version!r} is not a version number such as '2.11'")
    return tuple(int(part) for part in match.group().split("."))


def min_torch_version(min_version: str) -> bool:
    """Whether the installed PyTorch is of this version or a later one; a nightly counts as its release.

    Args:
        min_version: e.g. ``"2.11"``.

    Raises:
        ValueError: not a version number.
    """
    return _release(torch.__version__) >= _release(min_version)


def rename_buffer_option(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of ``DistributedDataParallel`` with ``broadcast_buffers`` under the name that this PyTorch wants.

    Newer ones warn and call it ``forward_sync_buffers``; they copy the buffers once at the start in any case.
    """
    from torch.nn.parallel import DistributedDataParallel

    if "forward_sync_buffers" not in inspect.signature(DistributedDataParallel).parameters:
        return kwargs
    return {"forward_sync_buffers" if key == "broadcast_buffers" else key: value for key, value in kwargs.items()}
