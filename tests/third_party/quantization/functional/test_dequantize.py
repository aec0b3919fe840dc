"""Dequantization against its definition, as an operator, and in the layers that use it."""

import numpy as np
import pytest
import torch
from torch import nn

from third_party.quantization import QuantConfig, convert, prepare
from third_party.quantization.functional.dequantize import dequantize
from third_party.quantization.spec import LSQSpec, MinMaxSpec

OP = torch.ops.third_party_quantization.dequantize
# shape of the codes, of the scale, of the zero-point, axis
LAYOUTS = {
    "one scale": ((3, 2), (), (), None),
    "empty": ((0, 3), (), (), None),
    "rows": ((6, 5, 3, 3), (6,), (6,), 0),
    "rows, one zero-point": ((6, 5, 3, 3), (6,), (), 0),
    "groups of rows": ((6, 5), (2,), (2,), 0),
    "columns": ((4, 6, 2, 2), (6,), (6,), 1),
    "from the end": ((4, 6), (6,), (6,), -1),
    "as the codes": ((4, 6, 2, 2), (4, 6, 1, 1), (), None),
}


def sample(layout, dtype=torch.int8):
    shape, of_scale, of_zero, axis = LAYOUTS[layout]
    generator = torch.Generator().manual_seed(0)
    low = -128 if dtype.is_signed else 0
    codes = torch.randint(low, low + 256, shape, generator=generator).to(dtype)
    scale = torch.randn(of_scale, generator=generator)
    return codes, scale, torch.randint(-9, 10, of_zero, generator=generator).int(), axis


def spread(values, codes, axis):
    """NumPy's own view of a value for each group of channels."""
    if axis is None:
        return values.numpy()
    values = np.repeat(values.numpy(), codes.shape[axis] // max(values.numel(), 1)) if values.dim() else values.numpy()
    return values.reshape([-1 if i == axis % codes.dim() else 1 for i in range(codes.dim())])


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_values(layout, dtype):
    codes, scale, zero, axis = sample(layout, dtype)
    whole = codes.numpy().astype(np.int64) - spread(zero, codes, axis)
    expected = whole.astype(np.float32) * spread(scale, codes, axis)
    value = dequantize(codes, scale, zero, axis)
    assert value.dtype is torch.float32
    assert np.array_equal(value.numpy(), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_opcheck(layout):
    codes, scale, zero, axis = sample(layout)
    torch.library.opcheck(OP, (codes, scale, zero, axis))
    torch.library.opcheck(OP, (codes, scale.clone().requires_grad_(), zero, axis))


@pytest.mark.parametrize("layout", ["one scale", "groups of rows", "columns", "as the codes"])
def test_gradient_of_the_scale(layout):
    codes, scale, zero, axis = sample(layout)
    scale.requires_grad_()
    weight = torch.randn(codes.shape)
    (dequantize(codes, scale, zero, axis) * weight).sum().backward()
    # The result is linear in the scale: a difference quotient is exact up to rounding.
    for index in np.ndindex(*scale.shape):
        moved = torch.zeros_like(scale)
        moved[index] = 1.0
        slope = (dequantize(codes, moved, zero, axis) * weight).sum()
        assert torch.allclose(scale.grad[index], slope, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"codes": torch.zeros(2)}, "codes must be integers, got torch.float32"),
        ({"zero_point": torch.zeros(())}, "zero_point must be integers"),
        ({"scale": torch.ones(3)}, r"scale of shape \(3,\) does not fit codes of shape \(4, 6\) along axis 0"),
        ({"axis": None, "scale": torch.ones(4)}, r"without an axis"),
        ({"zero_point": torch.zeros(1, 1, dtype=torch.int32)}, r"zero_point of shape \(1, 1\) does not fit"),
    ],
)
def test_refusals(changes, message):
    arguments = {
        "codes": torch.zeros(4, 6, dtype=torch.int8),
        "scale": torch.ones(4),
        "zero_point": torch.zeros(4, dtype=torch.int32),
        "axis": 0,
    }
    with pytest.raises(ValueError, match=message):
        dequantize(**(arguments | changes))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_layers_trace_to_the_operator(kind, groups):
    torch.manual_seed(0)
    net = nn.Sequential(kind(4, 6, 3, groups=groups), nn.BatchNorm2d(6)).eval()
    nn.init.normal_(net[1].weight)
    weight = MinMaxSpec(granularity="channel", symmetric=False)
    prepare(net, QuantConfig(weight=weight, activation=LSQSpec()))
    x = torch.randn(1, 4, 5, 5)
    net.train()(x)
    expected = net.eval()(x)
    convert(net)
    assert torch.allclose(net(x), expected, atol=1e-5)
    program = torch.export.export(net, (x,))
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert targets.count(OP.default) == 1
    assert torch.equal(program.module()(x), net(x))
