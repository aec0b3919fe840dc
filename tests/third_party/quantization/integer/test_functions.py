"""Grids of pre-activations that the model does not quantize."""

import pytest
import torch
import torch.nn.functional as F

from third_party.quantization.integer.code_grid import CodeGrid
from third_party.quantization.integer.lowering.functions import preactivation_grid

FUNCTIONS = {
    "silu": F.silu,
    "leaky relu": lambda x: F.leaky_relu(x, 0.1),
    "hardswish": F.hardswish,
    "mish": F.mish,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "constant": torch.zeros_like,
}


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_grid_reaches_both_ends_of_the_function(name, bits):
    function, dense = FUNCTIONS[name], torch.linspace(-100, 100, 20_001)
    for top in torch.logspace(-1.5, 1, 29).tolist():
        grid = CodeGrid(float(torch.tensor(top / (2**bits - 1))), (2**bits // 8,), 0, 2**bits - 1)
        found = preactivation_grid(function, grid)
        assert found.high - found.low == 2**16 - 1
        arguments = found.values(found.all_codes())
        levels, wanted = grid.levels(function(arguments)), grid.levels(function(dense))
        assert (int(levels[0]), int(levels[-1])) == (int(wanted[0]), int(wanted[-1]))
        nearest = found.values(found.codes(dense[::7]))
        assert (grid.levels(function(nearest)) - wanted[::7]).abs().max() <= 1
