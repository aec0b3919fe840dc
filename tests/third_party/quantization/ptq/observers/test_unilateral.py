"""Q-YOLO's observer: right against a direct search, and what is wrong with it as published."""

import numpy as np
import pytest

from third_party.quantization.ptq.observers import observe

from .cases import LEVELS, TENSORS, error, quantize, statistics_of

SILU = -0.27846454276105104


@pytest.mark.parametrize("bits", ["asymmetric 8", "asymmetric 4"])
@pytest.mark.parametrize("tensor, bound", [("silu", SILU), ("silu, tail", SILU), ("tail", None), ("relu", 0.0)])
def test_right_against_a_direct_search(tensor, bound, bits):
    x = TENSORS[tensor].numpy().ravel()[-4000:]
    statistics = statistics_of(TENSORS[tensor].view(-1, 1)[-4000:])
    statistics.lower_bound = bound
    bottom, top = observe("unilateral", statistics, LEVELS[bits])
    assert bottom == (min(x.min(), 0.0) if bound is None else bound)
    tops = bottom + (x.max() - bottom) * np.arange(128, 2049, 4) / 2048
    errors = [error(x, bottom, candidate, LEVELS[bits]) for candidate in tops if candidate > 0]
    assert error(x, bottom, top, LEVELS[bits]) <= 1.05 * min(errors)
    bins = (top - bottom) / (x.max() - bottom) * 2048
    assert bins == pytest.approx(round(bins), abs=1e-3) and bins > 127.5


def published(x, levels):
    """The observer as published, on raw values."""
    counts, edges = np.histogram(x[x >= 0], bins=2048, range=(0, x.max()))
    centres = (edges[1:] + edges[:-1]) / 2
    tops = edges[128:]
    errors = []
    for top in tops:
        step = (top + 0.2785) / (levels.high - levels.low)
        codes = np.clip(np.round((centres + 0.2785) / step), 0, levels.high - levels.low)
        errors.append((counts * (codes * step - 0.2785 - centres) ** 2).sum())
    return tops, np.array(errors)


@pytest.mark.parametrize("bits", ["asymmetric 8", "asymmetric 4"])
@pytest.mark.parametrize("tensor", ["silu", "silu, tail", "relu"])
def test_faithful_is_what_was_published(tensor, bits):
    x = TENSORS[tensor].numpy().ravel().astype(np.float64)
    bottom, top = observe("unilateral_faithful", statistics_of(TENSORS[tensor]), LEVELS[bits])
    tops, errors = published(x, LEVELS[bits])
    assert bottom == -0.2785
    chosen = np.abs(tops - top).argmin()
    assert tops[chosen] == pytest.approx(top)
    assert errors[chosen] <= 1.03 * errors.min()


def test_faithful_does_not_count_negative_values():
    x = TENSORS["silu"]
    with_more = statistics_of(x)
    with_more.update(-x.abs().clamp_max(0.25).repeat(9, 1))
    levels = LEVELS["asymmetric 4"]
    faithful = [observe("unilateral_faithful", s, levels) for s in (statistics_of(x), with_more)]
    right = [observe("unilateral", s, levels) for s in (statistics_of(x), with_more)]
    assert faithful[0] == pytest.approx(faithful[1], rel=0.02)
    assert right[1][1] < 0.8 * right[0][1]


@pytest.mark.parametrize("tensor", ["tail", "negative"])
def test_faithful_cuts_what_lies_below_the_minimum_of_silu(tensor):
    x, levels = TENSORS[tensor].numpy().ravel(), LEVELS["asymmetric 8"]
    statistics = statistics_of(TENSORS[tensor])
    faithful = observe("unilateral_faithful", statistics, levels)
    right = observe("unilateral", statistics, levels)
    assert error(x, *faithful, levels) > 10 * error(x, *right, levels)


def test_faithful_spends_levels_below_relu():
    statistics = statistics_of(TENSORS["relu"])
    statistics.lower_bound = 0.0
    x, levels = TENSORS["relu"].numpy().ravel(), LEVELS["asymmetric 4"]
    errors = [error(x, *observe(name, statistics, levels), levels) for name in ("unilateral_faithful", "unilateral")]
    assert errors[0] > 1.1 * errors[1]


def test_faithful_has_no_zero():
    bottom, top = observe("unilateral_faithful", statistics_of(TENSORS["silu"]), LEVELS["asymmetric 4"])
    assert abs(quantize(0.0, bottom, top, LEVELS["asymmetric 4"], whole=False)) > 1e-3
    assert quantize(0.0, bottom, top, LEVELS["asymmetric 4"]) == 0.0
