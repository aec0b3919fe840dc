"""Every observer against an independent computation on the raw values, as exact as the histogram is fine."""

import numpy as np
import pytest
import torch

from third_party.quantization.ptq.observers import OBSERVERS, ObserverContext, observe
from third_party.quantization.ptq.statistics import TensorStatistics

from .cases import LEVELS, TENSORS, error, statistics_of

CASES = [(t, name) for t in TENSORS for name in LEVELS if name != "unsigned 8" or TENSORS[t].min() >= 0]


def both(tensor):
    return TENSORS[tensor].numpy().ravel(), statistics_of(TENSORS[tensor])


@pytest.mark.parametrize("name", OBSERVERS)
@pytest.mark.parametrize("tensor, levels", CASES)
def test_ranges_are_in_order_and_within_reach(name, tensor, levels):
    x, statistics = both(tensor)
    bottom, top = observe(name, statistics, LEVELS[levels])
    assert np.isfinite([bottom, top]).all() and bottom <= top
    reach = 1.001 * np.abs(x).max() + 0.2785
    assert -reach <= bottom and top <= reach


@pytest.mark.parametrize("tensor", TENSORS)
def test_minmax(tensor):
    x, statistics = both(tensor)
    assert observe("minmax", statistics, LEVELS["signed 8"]) == (x.min(), x.max())


@pytest.mark.parametrize("tensor", TENSORS)
def test_moving_average(tensor):
    _, statistics = both(tensor)
    parts = TENSORS[tensor].chunk(3)
    expected = [np.mean([part.min() for part in parts]), np.mean([part.max() for part in parts])]
    assert observe("moving_average", statistics, LEVELS["signed 8"]) == pytest.approx(expected)


@pytest.mark.parametrize("share", [0.5, 0.99, 0.9999, 1.0])
@pytest.mark.parametrize("tensor", TENSORS)
def test_percentile(tensor, share):
    x, statistics = both(tensor)
    context = ObserverContext(percentile=share)

    def inside(low, high):
        return ((x >= low) & (x <= high)).mean()

    bin_width = statistics.width
    _, top = observe("percentile", statistics, LEVELS["signed 8"], context)
    assert inside(-top - bin_width, top + bin_width) >= share - 1e-12
    assert inside(-top + bin_width, top - bin_width) <= share + 1e-4 or top <= bin_width
    bottom, top = observe("percentile", statistics, LEVELS["asymmetric 8"], context)
    for beyond in ((x < bottom - bin_width).mean(), (x > top + bin_width).mean()):
        assert beyond <= (1 - share) / 2 + 1e-12
    for beyond in ((x < bottom + bin_width).mean(), (x > top - bin_width).mean()):
        assert beyond >= (1 - share) / 2 - 1e-4


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("tensor, levels", CASES)
def test_least_error(tensor, levels, power):
    """No range of a dense search over the raw values is better by more than what the histogram cannot see."""
    x, statistics = both(tensor)
    levels = LEVELS[levels]
    if power == 2.0:
        bottom, top = observe("mse", statistics, levels)
    else:
        bottom, top = observe("lp", statistics, levels, ObserverContext(power=power))
    low, high = min(x.min(), 0.0), max(x.max(), 0.0)
    if levels.symmetric:
        largest = max(high, -low)
        ranges = [(-largest * s, largest * s) for s in np.linspace(0.01, 1, 150)]
    else:
        shares = np.linspace(0.04, 1, 25)
        ranges = [(low * s, high * t) for s in shares for t in shares]
    sample = x[:: max(len(x) // 4000, 1)]  # the same values for both sides
    extremes = [x.argmin(), x.argmax()]
    sample = np.concatenate([sample, x[extremes]])
    best = min(error(sample, *ends, levels, power) for ends in ranges)
    statistics = statistics_of(torch.from_numpy(sample).view(-1, 1))
    name, context = ("mse", None) if power == 2.0 else ("lp", ObserverContext(power=power))
    bottom, top = observe(name, statistics, levels, context)
    assert error(sample, bottom, top, levels, power) <= 1.06 * best


def test_a_greater_power_clips_less():
    statistics = statistics_of(TENSORS["tail"])
    tops = [observe("lp", statistics, LEVELS["signed 8"], ObserverContext(power=p))[1] for p in (1.0, 2.0, 3.0, 6.0)]
    assert tops == sorted(tops) and tops[0] < 0.5 * tops[-1]


def _divergence(counts, low, high, levels):
    """Of the histogram between two bins, by loops."""
    inside = counts[low:high].astype(float)
    reference = inside.copy()
    reference[0] += counts[:low].sum()
    reference[-1] += counts[high:].sum()
    spread = np.zeros_like(inside)
    levels = min(levels, len(inside))
    for level in range(levels):
        run = range(level * len(inside) // levels, (level + 1) * len(inside) // levels)
        filled = [i for i in run if inside[i] > 0]
        for i in filled:
            spread[i] = sum(inside[j] for j in run) / len(filled)
    p, q = reference / reference.sum(), np.maximum(spread / spread.sum(), 1e-6)
    return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


@pytest.mark.parametrize(
    "tensor, levels", [("tail", "signed 8"), ("silu, tail", "asymmetric 8"), ("normal", "interval 4")]
)
def test_entropy(tensor, levels):
    """The threshold's divergence, from a histogram of the raw values, is close to the least of some thresholds."""
    x, statistics = both(tensor)
    levels = LEVELS[levels]
    bottom, top = observe("entropy", statistics, levels)
    greatest = np.abs(x).max()
    values = np.abs(x) if levels.symmetric else x
    first = 0 if levels.symmetric else int(np.ceil(max(-x.min(), 0.0) / greatest * 2048))
    last = 2048 if levels.symmetric else int(np.ceil(x.max() / greatest * 2048))
    counts, _ = np.histogram(values, bins=first + last, range=(-first * greatest / 2048, last * greatest / 2048))
    number = levels.high + 1 if levels.symmetric else levels.high - levels.low + 1

    def at(bins):
        return _divergence(counts, max(first - bins, 0), min(first + bins, len(counts)), number)

    chosen = round(max(-bottom, top) / greatest * 2048)
    others = [at(bins) for bins in range(max(128, number), 2049, 160)]
    assert at(chosen) <= 1.1 * min(others) + 1e-3
    assert top < 0.8 * greatest or tensor == "normal"


@pytest.mark.parametrize("name", OBSERVERS)
def test_zeros_alone(name):
    statistics = TensorStatistics()
    statistics.update(torch.zeros(2, 3))
    bottom, top = observe(name, statistics, LEVELS["asymmetric 8"])
    assert bottom <= 0.0 and top == 0.0


def test_refusals():
    statistics = statistics_of(TENSORS["normal"])
    with pytest.raises(ValueError, match="observer must be one of .*; got 'mes'. Did you mean mse"):
        observe("mes", statistics, LEVELS["signed 8"])
    with pytest.raises(ValueError, match="no values"):
        observe("mse", TensorStatistics(), LEVELS["signed 8"])
    for settings, message in (({"percentile": 0.0}, "percentile must be"), ({"power": 0}, "power must be")):
        with pytest.raises(ValueError, match=message):
            ObserverContext(**settings)
