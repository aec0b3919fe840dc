"""Initial ranges against numpy, over groups, signs and zero-points."""

import math

import numpy as np
import pytest
import torch

from third_party.quantization.grids.levels import Levels
from third_party.quantization.observers import ESTIMATORS, estimate_range, register_estimator
from third_party.quantization.spec import LSQSpec, MinMaxSpec
from third_party.quantization.spec.quant_spec import INITIAL_RANGES

SIGNED, UNSIGNED = Levels.of(4, True), Levels.of(4, False)
ASYMMETRIC = Levels.of(4, True, symmetric=False)
INTERVAL = Levels.of(4, True, interval=True)
ALL_LEVELS = pytest.mark.parametrize("levels", [SIGNED, UNSIGNED, ASYMMETRIC, INTERVAL], ids=str)
NAMES = pytest.mark.parametrize("name", INITIAL_RANGES)


def _data(levels: Levels, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator) + 0.3
    return x.abs() if levels is UNSIGNED else x


def _spec(name: str, percentile: float = 0.95) -> MinMaxSpec:
    return MinMaxSpec(initial_range=name, percentile=percentile)


def _error(x: np.ndarray, bottom: float, top: float, levels: Levels) -> float:
    """Squared error on the levels of a range, written down anew."""
    half = 0.5 if levels.half else 0.0
    if levels.symmetric:
        step, zero = top / (levels.high + half), 0.0
    else:
        step = (top - bottom) / (levels.high - levels.low)
        zero = np.rint(levels.low - bottom / step)
    k = np.clip(np.rint(x / step + zero - half), levels.low, levels.high)
    return float((((k - zero + half) * step - x) ** 2).mean())


def test_every_name_of_the_settings_has_an_estimator() -> None:
    assert set(ESTIMATORS) == set(INITIAL_RANGES)
    with pytest.raises(ValueError, match="'max' has an estimator already"):
        register_estimator("max")(ESTIMATORS["max"])


@NAMES
@ALL_LEVELS
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_groups_are_ranges_of_their_own(name: str, levels: Levels, axis: int) -> None:
    x = _data(levels, 4, 6, 8)
    for groups in (2, x.shape[axis]):
        bottom, top = estimate_range(x, _spec(name), levels, groups, axis)
        assert bottom.shape == top.shape == (groups,)
        for i, part in enumerate(x.chunk(groups, dim=axis)):
            alone = estimate_range(part, _spec(name), levels)
            assert alone[0].shape == ()
            torch.testing.assert_close((bottom[i], top[i]), alone)


@NAMES
@ALL_LEVELS
@pytest.mark.parametrize("fill", [0.0, 2.0, 1e-30, 3e38, -3e38], ids=str)
def test_one_value_gives_a_finite_step(name: str, levels: Levels, fill: float) -> None:
    if levels is UNSIGNED and fill < 0:
        pytest.skip("not for levels without sign")
    bottom, top = estimate_range(torch.full((7,), fill), _spec(name), levels)
    assert bool(bottom.isfinite()) and bool(top.isfinite()) and bottom <= 0 <= top
    step, zero = levels.place(bottom, top)
    assert bool(step.isfinite()) and step > 0 and levels.low <= zero <= levels.high


@NAMES
def test_levels_without_zero_point_have_symmetric_ends(name: str) -> None:
    x = _data(SIGNED, 100)
    bottom, top = estimate_range(x, _spec(name), SIGNED)
    assert bottom == -top
    assert estimate_range(x.abs(), _spec(name), UNSIGNED)[0] == 0


@NAMES
@pytest.mark.parametrize("sign", [1, -1])
def test_zero_lies_in_asymmetric_ranges(name: str, sign: int) -> None:
    x = sign * (_data(SIGNED, 100).abs() + 3)
    bottom, top = estimate_range(x, _spec(name), ASYMMETRIC)
    assert (bottom if sign > 0 else top) == 0 and (top if sign > 0 else -bottom) > 3


def test_empty_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"empty tensor of shape \(0, 3\)"):
        estimate_range(torch.empty(0, 3), _spec("max"), SIGNED)


def test_max() -> None:
    x = torch.tensor([-3.0, 1.0, 2.0])
    assert estimate_range(x, _spec("max"), SIGNED)[1] == 3
    assert [float(end) for end in estimate_range(x, _spec("max"), ASYMMETRIC)] == [-3, 2]


@pytest.mark.parametrize("percentile", [0.5, 0.9, 0.999, 1.0])
def test_percentile_leaves_the_share_inside(percentile: float) -> None:
    x = _data(SIGNED, 1000)
    values = x.numpy()
    _, top = estimate_range(x, _spec("percentile", percentile), SIGNED)
    inside = np.abs(values) <= float(top)
    assert inside.sum() == round(percentile * 1000)
    bottom, top = estimate_range(x, _spec("percentile", percentile), ASYMMETRIC)
    tail = round((1 - percentile) / 2 * 1000 - 0.25)
    assert (values < float(bottom)).sum() == tail and (values > float(top)).sum() == tail


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("interval", [False, True])
def test_lsq_step_is_section_2_1(bits: int, interval: bool) -> None:
    signed = bits > 1 or interval
    levels = Levels.of(bits, signed, interval=interval)
    x = _data(SIGNED, 500) if signed else _data(UNSIGNED, 500)
    step, _ = levels.place(*estimate_range(x, LSQSpec(initial_range="lsq"), levels))
    qp = max(levels.high + 0.5 * levels.half, 1)
    largest = np.abs(x.numpy()).max()
    assert float(step) == pytest.approx(min(2 * np.abs(x.numpy()).mean() / math.sqrt(qp), largest / qp), rel=1e-5)


def test_lsq_without_symmetry_takes_three_deviations_of_the_data() -> None:
    x = _data(SIGNED, 100_000)
    bottom, top = estimate_range(x, _spec("lsq"), ASYMMETRIC)
    mean, deviation = x.numpy().mean(), x.numpy().std()
    assert float(bottom) == pytest.approx(mean - 3 * deviation, rel=1e-4)
    assert float(top) == pytest.approx(mean + 3 * deviation, rel=1e-4)
    bottom, top = estimate_range(torch.tensor([-1.0, 1.0]), _spec("lsq"), ASYMMETRIC)
    assert (float(bottom), float(top)) == (-1.0, 1.0)


@ALL_LEVELS
def test_mse_is_as_good_as_a_full_search(levels: Levels) -> None:
    x = _data(levels, 2000)
    x[0] = 12.0  # one outlier, which the largest value would follow
    values = x.double().numpy()
    bottom, top = (float(end) for end in estimate_range(x, _spec("mse"), levels))
    found = _error(values, bottom, top, levels)
    shares = np.linspace(0.02, 1, 50)
    least, most = min(values.min(), 0.0), values.max()
    if levels.symmetric:
        best = min(_error(values, 0, share * np.abs(values).max(), levels) for share in shares)
    else:
        best = min(_error(values, a * least, b * most, levels) for a in shares for b in shares)
    assert found <= best * 1.02
    assert found < 0.65 * _error(values, least, most, levels)


def test_mse_of_a_long_row_needs_only_a_part_of_it() -> None:
    x = torch.randn(64, 64, 64, generator=torch.Generator().manual_seed(0))
    x[:, :, 0] *= 10  # a column that a stride of even length would meet always or never
    _, top = estimate_range(x, _spec("mse"), SIGNED)
    tried = np.linspace(0.05, 1, 100) * float(x.abs().max())
    values = x.double().numpy()
    best = min(_error(values, 0, v, SIGNED) for v in tried[::5])
    assert _error(values, 0, float(top), SIGNED) <= best * 1.05
