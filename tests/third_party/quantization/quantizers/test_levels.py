"""Levels of the equally spaced methods: their numbers, zero, clipping, and what a change of bits keeps."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from third_party.quantization.quantizers import AffineQuantizer, build_quantizer
from third_party.quantization.spec import AQDSpec, LSQPlusSpec, LSQSpec, MinMaxSpec, PACTSpec, QuantSpec, Role

from .cases import Case, affine_cases, data, make

METHODS = [AQDSpec, LSQSpec, MinMaxSpec, PACTSpec, LSQPlusSpec]
WIDTHS = range(1, 9)


def _ready(spec: QuantSpec, role: Role, step: float = 0.5, zero_point: float = 0.0) -> AffineQuantizer:
    quantizer = build_quantizer(spec, role)
    assert isinstance(quantizer, AffineQuantizer)
    quantizer.store(torch.tensor(step), torch.tensor(zero_point))
    quantizer.mark_initialized()
    return quantizer


def _reached(quantizer: AffineQuantizer) -> np.ndarray:
    """All values that come out of a fine and wide ramp."""
    return quantizer(torch.linspace(-200, 200, 40001)).detach().unique().numpy()


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grid", ["integer", "interval"])
def test_unsigned_levels_are_zero_to_the_highest(method: type[QuantSpec], bits: int, grid: str) -> None:
    spec = method(bits=bits, signed=False, symmetric=True, grid=grid)
    expected = 0.5 * np.arange(2**bits)
    np.testing.assert_array_equal(_reached(_ready(spec, Role.ACTIVATION)), expected)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("bits", WIDTHS[1:])
@pytest.mark.parametrize("method", [AQDSpec, LSQSpec, MinMaxSpec])
def test_signed_integer_levels(method: type[QuantSpec], bits: int, narrow: bool) -> None:
    quantizer = _ready(method(bits=bits, narrow_range=narrow), Role.WEIGHT)
    lowest = -(2 ** (bits - 1)) + narrow
    np.testing.assert_array_equal(_reached(quantizer), 0.5 * np.arange(lowest, 2 ** (bits - 1)))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("method", [AQDSpec, LSQSpec, MinMaxSpec])
def test_signed_interval_divides_the_range_into_equal_steps(method: type[QuantSpec], bits: int) -> None:
    v = 0.25 * (2**bits - 1)
    quantizer = _ready(method(bits=bits, grid="interval"), Role.WEIGHT, step=2 * v / (2**bits - 1))
    np.testing.assert_allclose(_reached(quantizer), np.linspace(-v, v, 2**bits), rtol=1e-6)
    assert 0.0 not in _reached(quantizer)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("method", [AQDSpec, LSQSpec, MinMaxSpec, PACTSpec, LSQPlusSpec])
def test_zero_point_is_whole_and_zero_exact(method: type[QuantSpec], bits: int) -> None:
    zero = 0.3 * (2**bits - 1)
    quantizer = _ready(method(bits=bits, symmetric=False), Role.ACTIVATION, zero_point=zero)
    np.testing.assert_array_equal(_reached(quantizer), 0.5 * (np.arange(2**bits) - round(zero)))
    assert quantizer(torch.zeros(3)).tolist() == [0.0] * 3


def test_pact_with_sign_is_symmetric() -> None:
    quantizer = _ready(PACTSpec(bits=3, signed=True), Role.ACTIVATION)
    np.testing.assert_array_equal(_reached(quantizer), 0.5 * np.arange(-3, 4))


@pytest.mark.parametrize("method", [LSQPlusSpec, MinMaxSpec])
def test_zero_stays_a_level_when_the_zero_point_leaves_the_range(method: type[QuantSpec]) -> None:
    for zero in (-7.0, 40.0):
        quantizer = _ready(method(bits=4, symmetric=False), Role.ACTIVATION, zero_point=zero)
        assert 0.0 in _reached(quantizer)
        assert len(quantizer.grid().levels()) == 16


def test_data_on_one_side_of_zero_get_a_range_that_reaches_it() -> None:
    quantizer = build_quantizer(MinMaxSpec(bits=8, symmetric=False), Role.ACTIVATION)
    quantizer(torch.linspace(5, 10, 11))
    levels = quantizer.grid().levels()
    torch.testing.assert_close(levels, torch.linspace(0, 10, 256))


@affine_cases
@pytest.mark.parametrize("bits", [2, 3, 8])
def test_set_bits_keeps_the_range_and_changes_the_number_of_levels(case: Case, bits: int) -> None:
    case = dataclasses.replace(case[0], initial_range="max"), case[1]
    quantizer, x = make(*case), data(*case)
    if bits not in case[0].supported_bits:
        with pytest.raises(ValueError, match=f"method {case[0].method} has 8 to 8 bits, not {bits}"):
            quantizer.set_bits(bits)
        return
    quantizer(x)
    before = quantizer.grid().levels()
    quantizer.set_bits(bits)
    after = quantizer.grid().levels()
    symmetric_ends = 1 if case[0].symmetric and case[0].grid == "integer" else 2
    assert after.shape[-1] == 2**bits - (case[0].method == "pact" and symmetric_ends == 1)
    if case[0].symmetric:
        torch.testing.assert_close(after[..., -1], before[..., -1])
    else:
        # The zero-point is rounded: either end may move by half a step of either width.
        slack = (before[..., 1] - before[..., 0] + after[..., 1] - after[..., 0]) / 2
        assert bool(((after[..., -1] - before[..., -1]).abs() <= slack * 1.001).all())
        assert bool(((after[..., 0] - before[..., 0]).abs() <= slack * 1.001).all())
    assert quantizer(x).detach().unique().numel() > 1
    assert quantizer.bits == bits and quantizer.state[0] == bits


def test_many_changes_of_bits_do_not_wear_the_range() -> None:
    quantizer = _ready(LSQSpec(bits=8), Role.WEIGHT, step=0.01)
    for bits in (6, 4, 3, 2, 5, 8):
        quantizer.set_bits(bits)
    torch.testing.assert_close(quantizer.scale.detach(), torch.tensor(0.01))


@pytest.mark.parametrize("method", [AQDSpec, LSQSpec, MinMaxSpec])
def test_one_signed_bit_has_no_levels_with_zero(method: type[QuantSpec]) -> None:
    quantizer = _ready(method(bits=4), Role.WEIGHT)
    before = {name: tensor.clone() for name, tensor in quantizer.state_dict().items()}
    with pytest.raises(ValueError, match="no positive level"):
        quantizer.set_bits(1)
    assert quantizer.bits == 4 and all(torch.equal(t, before[n]) for n, t in quantizer.state_dict().items())
    activation = build_quantizer(method(bits=1), Role.ACTIVATION)
    with pytest.raises(ValueError, match="no positive level"):
        activation(torch.tensor([-1.0, 1.0]))


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-20])
def test_steps_driven_to_zero_stay_positive_and_can_come_back(scale: float) -> None:
    quantizer = _ready(LSQSpec(bits=4), Role.WEIGHT)
    with torch.no_grad():
        quantizer.scale.fill_(scale)
    y = quantizer(torch.tensor([1.0, -1.0, 0.5]))
    y.sum().backward()
    assert bool(y.isfinite().all()) and quantizer.scale.grad is not None and float(quantizer.scale.grad) != 0
    assert bool((quantizer.grid().levels().diff() > 0).all())


@pytest.mark.parametrize("settings", [{"granularity": 3}, {"granularity": "channel", "symmetric": False}])
def test_groups_share_consecutive_channels(settings: dict[str, Any]) -> None:
    quantizer = build_quantizer(MinMaxSpec(bits=8, **settings), Role.ACTIVATION, 6, 1)
    x = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    y = quantizer(x)
    size = 6 // quantizer.num_groups
    for first in range(0, 6, size):
        part = x[:, first : first + size]
        alone = build_quantizer(MinMaxSpec(bits=8, symmetric=settings.get("symmetric", True)), Role.ACTIVATION)
        assert bool((part < 0).any()), "both would have to find a sign"
        assert torch.equal(alone(part), y[:, first : first + size])
