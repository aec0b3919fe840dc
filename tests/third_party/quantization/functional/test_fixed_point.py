"""Fixed-point factors against exact fractions, batch norm and skip connections against float64."""

from fractions import Fraction

import pytest
import torch

from third_party.quantization.functional.fixed_point import (
    add_aligned,
    align_scales,
    fixed_point_batch_norm,
    fixed_point_multiplier,
    shift_right,
)

RATIOS = [1.0, 0.5, 1 / 3, -0.7, 3e-9, 1e-3, 0.999999999, 1.00001, 41.7, 1e6, -(2.0**-20), 32767.6]


@pytest.mark.parametrize("bits", [2, 8, 16, 31])
def test_multiplier_keeps_its_error_bound_and_width(bits):
    c, d = fixed_point_multiplier(torch.tensor(RATIOS, dtype=torch.float64), bits)
    assert c.dtype is torch.int64 and d.dtype is torch.int32
    for ratio, whole, shift in zip(RATIOS, c.tolist(), d.tolist(), strict=True):
        assert 2 ** (bits - 2) <= abs(whole) < 2 ** (bits - 1)
        error = abs(Fraction(whole) / Fraction(2) ** shift - Fraction(ratio))
        assert error <= abs(Fraction(ratio)) / 2 ** (bits - 1)


def test_more_bits_are_closer():
    errors = []
    for bits in (4, 8, 12, 16, 24):
        c, d = fixed_point_multiplier(torch.tensor([1 / 3, 0.7, 5.1], dtype=torch.float64), bits)
        errors.append(float((torch.ldexp(c.double(), -d) - torch.tensor([1 / 3, 0.7, 5.1])).abs().max()))
    assert errors[0] > errors[1] > errors[2] > errors[3] and errors[0] > 1000 * errors[3]


def test_multiplier_of_zero_of_a_number_and_within_a_largest_shift():
    assert [int(v) for v in fixed_point_multiplier(0.0)] == [0, 0]
    assert [int(v) for v in fixed_point_multiplier(0.75, 3)] == [3, 2]
    c, d = fixed_point_multiplier(1e-3, 16, largest_shift=12)
    assert int(d) == 12 and abs(int(c) / 4096 - 1e-3) <= 2.0**-13


def test_mistakes_are_named():
    for bits in (1, 32):
        with pytest.raises(ValueError, match=f"2 to 31, got {bits}"):
            fixed_point_multiplier(0.5, bits)
    with pytest.raises(ValueError, match="inf"):
        fixed_point_multiplier(torch.tensor([1.0, float("inf")]))
    with pytest.raises(ValueError, match="positive"):
        align_scales(torch.tensor(0.0), torch.tensor(1.0))


@pytest.mark.parametrize("shift", [-3, 0, 1, 2, 5, 40, 62])
def test_shift_right_rounds_half_to_even(shift):
    unit = 2 ** max(shift, 1)
    values = [0, 1, -1, unit // 2, -unit // 2, 3 * (unit // 2) % 2**61, 7, -7, 2**52 + 1, -(2**55) + 3]
    expected = [round(Fraction(v) / Fraction(2) ** shift) for v in values]  # Python rounds half to even
    assert shift_right(torch.tensor(values), shift).tolist() == expected


def norm(channels: int) -> dict[str, torch.Tensor | float]:
    generator = torch.Generator().manual_seed(0)
    gamma, beta, mean = (torch.randn(channels, generator=generator) for _ in range(3))
    gamma[0], gamma[1] = 0.0, 1e-9  # pruned channels, whose shift alone is left
    var = torch.rand(channels, generator=generator) + 0.01
    return {"gamma": gamma, "beta": beta, "mean": mean, "var": var, "eps": 1e-5}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("per_channel", [False, True])
def test_batch_norm_in_integers_is_the_norm(bits, per_channel):
    p, generator = norm(12), torch.Generator().manual_seed(1)
    accumulator_scale = 1e-4 * (torch.rand(12 if per_channel else (), generator=generator) + 0.5)
    output_scale = torch.tensor(0.037)
    affine = fixed_point_batch_norm(**p, accumulator_scale=accumulator_scale, output_scale=output_scale, bits=bits)
    k = torch.randint(-(2**20), 2**20, (3, 12, 5), generator=generator)

    def channels(v: torch.Tensor) -> torch.Tensor:
        return v.double().reshape(-1, 1) if v.dim() else v.double()

    y = torch.nn.functional.batch_norm(
        k * channels(accumulator_scale), *(p[n].double() for n in ("mean", "var", "gamma", "beta")), eps=p["eps"]
    )
    exact = y / output_scale.double()
    bound = 0.5 + (k.abs() + 1) / (2.0 ** (affine.d.double() + 1)).reshape(-1, 1)
    found = affine.apply(k)
    assert found.dtype is torch.int64
    assert bool(((found - exact).abs() <= bound + 1e-9).all())
    # what that bound means: a relative error of 2 ** -(bits - 1) in the slope, so nothing like the bias alone rounded
    slope = exact - channels(fixed_point_shift(p, output_scale))
    assert bool(((found - exact).abs() <= 0.51 + slope.abs() * 2.0 ** (1 - bits)).all())
    assert int(affine.c.abs().max()) < 2 ** (bits - 1)
    assert torch.equal(affine.simulate(k), found.double())


def fixed_point_shift(p: dict, output_scale: torch.Tensor) -> torch.Tensor:
    scale = p["gamma"].double() / (p["var"].double() + p["eps"]).sqrt()
    return (p["beta"].double() - p["mean"].double() * scale) / output_scale.double()


def test_batch_norm_multiplier_is_an_integer_that_matters():
    """The multiplier must act: with 2 bits its rounding is seen, with 16 it is not."""
    p = norm(12)
    scales = {"accumulator_scale": torch.tensor(1e-4), "output_scale": torch.tensor(0.037)}
    k = torch.arange(-(2**19), 2**19, 4099).expand(1, 12, -1)
    ratio = p["gamma"].double() / (p["var"].double() + p["eps"]).sqrt() * 1e-4 / 0.037
    exact = k * ratio.view(-1, 1) + fixed_point_shift(p, scales["output_scale"]).view(-1, 1)
    errors = [(fixed_point_batch_norm(**p, **scales, bits=b).apply(k) - exact).abs().max() for b in (2, 16)]
    assert errors[0] > 20 and errors[1] < 1


def test_skip_connection_aligns_different_scales():
    generator = torch.Generator().manual_seed(2)
    first, second = (torch.randint(-128, 128, (2, 6, 9), generator=generator) for _ in range(2))
    for scale, reference in ((0.013, 0.05), (0.05, 0.013), (1.0, 1.0)):
        c, d = align_scales(torch.tensor(scale), torch.tensor(reference))
        total = add_aligned(first, second, c, d)
        assert total.dtype is torch.int64
        expected = first * (scale / reference) + second
        assert float((total - expected).abs().max()) <= 0.5 + 128 * scale / reference * 2.0**-15
        if scale != reference:  # adding codes as they are would be far off
            assert float((first + second - expected).abs().max()) > 10


def test_skip_connection_aligns_channels_one_by_one():
    scales, reference = torch.tensor([0.02, 0.3, 0.1]), torch.tensor(0.1)
    c, d = align_scales(scales, reference)
    codes, zeros = torch.full((2, 3, 4), 100), torch.zeros(2, 3, 4, dtype=torch.int64)
    total = add_aligned(codes, zeros, c, d, axis=1)
    assert total[0, :, 0].tolist() == [20, 300, 100]
