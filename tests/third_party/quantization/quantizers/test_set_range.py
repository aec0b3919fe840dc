"""Ranges set from outside: the levels that follow, for every affine method."""

import pytest
import torch

from third_party.quantization.quantizers import build_quantizer
from third_party.quantization.spec import (
    AQDSpec,
    DoReFaSpec,
    ImageSpec,
    LSQPlusSpec,
    LSQSpec,
    MinMaxSpec,
    PACTSpec,
    Role,
)

SPECS = (MinMaxSpec, LSQSpec, LSQPlusSpec, AQDSpec, PACTSpec)


@pytest.mark.parametrize("spec_type", SPECS)
@pytest.mark.parametrize("bits", [2, 8])
def test_asymmetric(spec_type, bits):
    made = build_quantizer(spec_type(bits=bits, symmetric=False), Role.ACTIVATION)
    made.set_range(-0.5, 1.5)
    assert made.initialized
    grid = made.eval().grid()
    assert grid.scale.item() == pytest.approx(2.0 / (2**bits - 1))
    assert grid.zero_point.item() == round(0.25 * (2**bits - 1))
    assert torch.equal(made(torch.zeros(1)), torch.zeros(1))


@pytest.mark.parametrize("spec_type", SPECS)
def test_symmetric(spec_type):
    made = build_quantizer(spec_type(symmetric=True), Role.ACTIVATION)
    made.set_range(0.0, 2.0)
    assert (made.levels.low, made.levels.high, made.grid().scale.item()) == (0, 255, pytest.approx(2 / 255))
    made.set_range(-3.0, 2.0)
    assert made.signed and made.levels.high == 127
    assert made.grid().scale.item() == pytest.approx(3 / 127)
    unsigned = build_quantizer(spec_type(symmetric=True, signed=False), Role.ACTIVATION)
    unsigned.set_range(-3.0, 2.0)
    assert not unsigned.signed and unsigned.grid().scale.item() == pytest.approx(2 / 255)


def test_one_range_a_channel():
    made = build_quantizer(MinMaxSpec(granularity="channel", bits=4), Role.WEIGHT, 2)
    made.set_range(torch.tensor([-1.0, -2.0]), torch.tensor([3.0, 1.0]))
    assert made.grid().scale.tolist() == pytest.approx([3 / 7, 2 / 7])
    made.set_range(-7.0, 7.0)
    assert made.grid().scale.tolist() == pytest.approx([1.0, 1.0])


def test_the_range_is_widened_to_hold_zero():
    made = build_quantizer(MinMaxSpec(symmetric=False), Role.ACTIVATION)
    made.set_range(1.0, 2.55)
    assert (made.grid().scale.item(), made.grid().zero_point.item()) == (pytest.approx(0.01), 0)
    made.set_range(-2.55, -1.0)
    assert made.grid().zero_point.item() == 255
    made.set_range(0.0, 0.0)
    assert made.grid().scale.item() == pytest.approx(1 / 255)


@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_impossible_ranges(ends):
    with pytest.raises(ValueError, match="needs finite ends in order, got"):
        build_quantizer(MinMaxSpec(), Role.ACTIVATION).set_range(*ends)


@pytest.mark.parametrize("spec", [DoReFaSpec(), ImageSpec(mean=(0.0,), std=(1.0,))], ids=lambda spec: spec.method)
def test_fixed_ranges(spec):
    with pytest.raises(ValueError, match=f"the range of method {spec.method} is fixed"):
        build_quantizer(spec, Role.ACTIVATION).set_range(0.0, 1.0)
