"""Asking whether ``torch.fx`` is tracing, and assertions that do not stop it."""

import torch
from torch.fx import _symbolic_trace

from detectron2.utils.env import TORCH_VERSION

__all__ = ["TORCH_VERSION", "assert_fx_safe", "is_fx_tracing", "is_fx_tracing_legacy"]

# Both ways of asking exist in every PyTorch this package supports; clients branch on these names.
tracing_current_exists: bool = True
tracing_legacy_exists: bool = True

# The newer name does not warn, and leaves out torch.export and torch.compile
_is_symbolic_tracing = getattr(_symbolic_trace, "is_fx_symbolic_tracing", _symbolic_trace.is_fx_tracing)


@torch.jit.ignore
def is_fx_tracing_legacy() -> bool:
    """Whether ``torch.fx`` has replaced the call of modules by its own, which it does while it traces."""
    return torch.nn.Module.__call__ is not _symbolic_trace._orig_module_call


def is_fx_tracing() -> bool:
    """Whether the code runs under ``torch.fx.symbolic_trace``; False while scripting."""
    return not torch.jit.is_scripting() and _is_symbolic_tracing()


def assert_fx_safe(condition: bool, message: str) -> torch.Tensor:
    """Assert, except under ``torch.fx``, where the condition is a proxy without a truth value.

    Args:
        condition: what has to hold.
        message: of the AssertionError.

    Returns:
        Tensor[1], so that the call can stand in a traced graph.
    """
    return torch.zeros(1) if is_fx_tracing() else _do_assert_fx_safe(condition, message)


def _do_assert_fx_safe(condition: bool, message: str) -> torch.Tensor:
    if not condition:
        raise AssertionError(message)
    return torch.ones(1)
