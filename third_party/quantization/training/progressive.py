"""Bits that go down in steps, as steps of a schedule."""

import re

from torch import nn

from ..spec.names import NamePattern, Precision
from ..spec.schedule import SetBits, Step
from ..spec.training_groups import ProgressiveConfig
from .layers import quantized_tensors


def progressive_steps(model: nn.Module, config: ProgressiveConfig, reset_momentum: bool = True) -> list[Step]:
    """Steps that bring quantizers from ``start_bits`` at iteration 0 to ``end_bits`` at the last of ``steps``.

    They concern the quantizers that are named and whose spec has ``end_bits``: layers that rules gave another width,
    as the first and last often have, keep it.

    Args:
        model: quantized.
        config: when, and from which width to which; disabled gives no steps.
        reset_momentum: forget the optimizer's momentum at each change of width.

    Raises:
        ValueError: no quantizer is named, or none of those named ends with ``end_bits``.
    """
    if not config.enabled:
        return []
    pattern = NamePattern(config.name)
    named = [t for t in quantized_tensors(model) if pattern.matches(t.name) and config.role in (None, t.role)]
    changing = [t for t in named if t.quantizer.spec.bits == config.end_bits]
    if not changing:
        widths = sorted({t.quantizer.spec.bits for t in named})
        found = (
            f"those named have {widths} bits"
            if named
            else "no quantizer is named" + pattern.advice([t.name for t in quantized_tensors(model)])
        )
        raise ValueError(
            f"progressive (name {config.name!r}) ends with end_bits {config.end_bits}, which must be the width of the "
            f"layers' specs; {found}"
        )
    steps = []
    before = None
    for iteration in (0, *config.steps):
        bits = config.bits_at(iteration)
        if bits != before:
            action = SetBits(bits, reset_momentum)
            steps += [Step(iteration, action, _literally(t.name), t.role) for t in changing]
        before = bits
    return steps


def _literally(name: str) -> str:
    """A pattern that means this name alone; the empty name, of a model that is itself one layer, included."""
    exact = bool(name) and NamePattern(name).precision is Precision.EXACT
    return name if exact else f"re:({re.escape(name)})"
