"""``fvcore.nn`` without its warnings that TorchScript is deprecated, which no user can act upon.

Import what is needed of ``fvcore.nn`` from here; it is slow to import, so not from ``detectron2.modeling`` at the top.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torchscript_is_fine() -> Iterator[None]:
    """Inside, PyTorch does not warn about TorchScript, which fvcore uses on import and while it counts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.")
        yield


with torchscript_is_fine():
    from fvcore.nn import (
        FlopCountAnalysis,
        activation_count,
        flop_count,
        parameter_count,
        parameter_count_table,
        sigmoid_focal_loss_jit,
    )
    from fvcore.nn.precise_bn import get_bn_modules, update_bn_stats

__all__ = [
    "FlopCountAnalysis",
    "activation_count",
    "flop_count",
    "get_bn_modules",
    "parameter_count",
    "parameter_count_table",
    "sigmoid_focal_loss_jit",
    "torchscript_is_fine",
    "update_bn_stats",
]
