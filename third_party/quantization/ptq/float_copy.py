"""What a model computed before its weights were rounded."""

from copy import deepcopy

from torch import nn

from ..transform.access import quantizers


def float_copy(model: nn.Module) -> nn.Module:
    """A copy of a prepared model in evaluation mode, its quantizers off, for steps that change weights or biases.

    Steps that follow each other need one copy of before all of them: a model whose weights are rounded, or whose
    biases are corrected, no longer shows what it computed in floating point when its quantizers are switched off.
    """
    copy = deepcopy(model).eval()
    for _, quantizer in quantizers(copy):
        quantizer.set_enabled(False)
    return copy
