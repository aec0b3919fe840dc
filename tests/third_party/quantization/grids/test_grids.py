"""Grids: levels against their definitions, nearest level by search, codes that fit their types."""

import numpy as np
import pytest
import torch

from third_party.quantization.grids import CodebookGrid, Grid, IntegerGrid, IntervalGrid

SIGNED_BITS = range(2, 17)


def signed(bits: int, scale: float = 0.25) -> IntegerGrid:
    return IntegerGrid(torch.tensor(scale), torch.tensor(0.0), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, bits)


def unsigned(bits: int, scale: float = 0.25, zero: float = 0.0) -> IntegerGrid:
    return IntegerGrid(torch.tensor(scale), torch.tensor(zero), 0, 2**bits - 1, bits)


def interval(bits: int, scale: float = 0.25) -> IntervalGrid:
    return IntervalGrid(torch.tensor(scale), bits)


GRIDS: dict[str, Grid] = {
    **{f"signed {bits}": signed(bits) for bits in SIGNED_BITS},
    **{f"unsigned {bits}": unsigned(bits) for bits in range(1, 17)},
    **{f"unsigned {bits} with zero-point": unsigned(bits, zero=2**bits // 3) for bits in (2, 4, 8, 16)},
    **{f"interval {bits}": interval(bits) for bits in range(1, 9)},
    "codebook": CodebookGrid(torch.tensor([-2.0, -0.5, 0.0, 0.25, 1.0]), 3),
    "ternary": CodebookGrid(torch.tensor([-0.5, 0.0, 0.5]), 2, scale=torch.tensor(0.5), zero_point=torch.tensor(1)),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_codes_are_those_of_the_nearest_level(grid):
    levels = grid.levels().double().numpy()
    span = levels[-1] - levels[0]
    x = torch.linspace(float(levels[0] - 0.2 * span), float(levels[-1] + 0.2 * span), 401)
    found = grid.values(grid.codes(x)).double().numpy()
    nearest = np.abs(x.double().numpy()[:, None] - levels[None]).min(axis=1)
    np.testing.assert_allclose(np.abs(found - x.double().numpy()), nearest, rtol=1e-5, atol=1e-6 * span)
    assert set(found) <= set(levels)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_levels_come_back_through_codes_and_indices(grid):
    levels = grid.levels()
    codes = grid.codes(levels)
    assert codes.dtype is torch.int32
    assert (int(codes[0]), int(codes[-1])) == grid.code_range
    assert torch.equal(grid.values(codes), levels)
    indices = grid.indices(codes)
    assert torch.equal(indices, torch.arange(len(levels), dtype=torch.int32))
    assert len(levels) <= 2**grid.bits
    assert torch.equal(grid.codes_of(indices), codes)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_exact_grids_are_integers_times_scale(grid):
    if not grid.exact:
        assert grid.refusal
        return
    codes = grid.codes(grid.levels()).numpy().astype(np.int64)
    rebuilt = (codes - grid.zero_point.numpy()).astype(np.float32) * grid.scale.numpy()
    np.testing.assert_array_equal(rebuilt, grid.levels().numpy())
    assert grid.zero_point.dtype is torch.int32
    stored = torch.tensor(codes.tolist(), dtype=torch.int64).to(grid.code_dtype)
    assert stored.to(torch.int64).tolist() == codes.tolist()
    assert torch.iinfo(grid.code_dtype).bits <= 16


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_zero_is_a_level_where_it_is_said_to_be(grid):
    assert grid.has_zero == bool((grid.levels() == 0).any())
    zeros = torch.zeros(3)
    assert torch.equal(grid.values(grid.codes(zeros)), zeros) == grid.has_zero


@pytest.mark.parametrize("bits", range(1, 9))
def test_interval_levels(bits):
    v = 2.0**bits - 1  # so that every level is a whole number
    grid = IntervalGrid(torch.tensor(v / (2**bits - 1)), bits)
    np.testing.assert_array_equal(grid.levels().numpy(), np.arange(-(2**bits) + 1, 2**bits, 2))
    assert not grid.has_zero and not bool((grid.codes(grid.levels()) % 2 == 0).any())
    assert torch.equal(grid.codes(torch.tensor([-1e9, 0.0, 1e9])), torch.tensor([1 - 2**bits, 1, 2**bits - 1]).int())


def test_interval_grid_refuses_what_int8_and_packed_storage_cannot_hold():
    assert interval(7).exact and interval(7).code_dtype is torch.int8
    assert not interval(8).exact and "255" in str(interval(8).refusal)
    for bits in (1, 2, 4, 7):
        assert str((2**bits - 1) / 2) in str(interval(bits).packed_refusal)
    assert signed(4).packed_refusal is None and unsigned(4, zero=5).packed_refusal is None


@pytest.mark.parametrize("bits", [*range(1, 9), 16])
def test_integer_grid_clips_at_its_ends(bits):
    grid = unsigned(bits, zero=1.0)
    low, high = grid.code_range
    assert grid.codes(torch.tensor([-1e30, 1e30, float("-inf"), float("inf")])).tolist() == [low, high, low, high]
    assert grid.levels()[0] == -0.25 and grid.levels()[-1] == (2**bits - 2) * 0.25


def test_half_way_goes_to_the_even_code():
    assert signed(4, 1.0).codes(torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])).tolist() == [-2, 0, 0, 2, 2]


def test_code_types_and_refusals_of_integer_grids():
    assert signed(8).code_dtype is torch.int8 and unsigned(8).code_dtype is torch.uint8
    assert signed(16).code_dtype is torch.int16 and unsigned(16).code_dtype is torch.uint16
    far = IntegerGrid(torch.tensor(1.0), torch.tensor(-70000.0), 0, 15, 4)
    assert not far.exact and "-70000" in str(far.refusal) and not far.has_zero
    outside = unsigned(4, zero=20.0)
    assert outside.exact and not outside.has_zero and "4 bits" in str(outside.packed_refusal)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_groups_of_channels_have_their_own_levels(axis):
    x = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(0))
    scale, zero = torch.tensor([0.1, 0.3]), torch.tensor([3.0, 7.0])
    codebook = torch.tensor([[-1.0, 0.0, 0.5], [-0.25, 0.25, 2.0]])
    whole = {
        "integer": (
            IntegerGrid(scale, zero, 0, 15, 4, axis),
            [IntegerGrid(s, z, 0, 15, 4) for s, z in zip(scale, zero, strict=True)],
        ),
        "interval": (IntervalGrid(scale, 3, axis), [IntervalGrid(s, 3) for s in scale]),
    }
    for grouped, single in whole.values():
        for group, alone in enumerate(single):
            part = x.movedim(axis, 0)[2 * group : 2 * group + 2]
            codes = grouped.codes(x)
            assert torch.equal(codes.movedim(axis, 0)[2 * group : 2 * group + 2], alone.codes(part))
            assert torch.equal(
                grouped.values(codes).movedim(axis, 0)[2 * group : 2 * group + 2], alone.values(alone.codes(part))
            )
            assert torch.equal(grouped.levels()[group], alone.levels())
    grid = CodebookGrid(codebook, 2, axis)
    values = grid.values(grid.codes(x)).movedim(axis, 0)
    for channel in range(4):
        levels = codebook[channel // 2]
        part = x.movedim(axis, 0)[channel]
        assert torch.equal(values[channel], levels[(part[..., None] - levels).abs().argmin(-1)])


def test_mistakes_are_named():
    one, two = torch.tensor(1.0), torch.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="zero-point"):
        IntegerGrid(two, one, 0, 3, 2)
    with pytest.raises(ValueError, match="2 bits"):
        IntegerGrid(one, one, 0, 4, 2)
    with pytest.raises(ValueError, match="at least 1"):
        IntervalGrid(one, 0)
    with pytest.raises(ValueError, match="increasing"):
        CodebookGrid(torch.tensor([1.0, 0.0]), 1)
    with pytest.raises(ValueError, match="1 bits"):
        CodebookGrid(torch.tensor([0.0, 1.0, 2.0]), 1)
    with pytest.raises(ValueError, match="as stated"):
        CodebookGrid(torch.tensor([-1.0, 0.0, 1.1]), 2, scale=one, zero_point=one)
    for grid in (signed(4), interval(2), GRIDS["codebook"]):
        with pytest.raises(FloatingPointError, match="NaN"):
            grid.codes(torch.tensor([1.0, float("nan")]))


def test_a_grid_is_a_copy():
    scale = torch.tensor(0.5)
    grid = IntegerGrid(scale, torch.tensor(0.0), -8, 7, 4)
    scale.fill_(2.0)
    assert float(grid.levels()[-1]) == 3.5
