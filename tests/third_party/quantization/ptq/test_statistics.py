"""Statistics of a stream against NumPy on all of its values."""

import numpy as np
import pytest
import torch

from third_party.quantization.ptq.growing_histogram import HALF
from third_party.quantization.ptq.statistics import TensorStatistics

SCALES = (1.0, 0.25, 9.0, 0.0, 33.0, 2.0)


def batches(scales=SCALES, channels=3):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, channels, 5, 7, generator=generator).sub(0.5).mul(scale) for scale in scales]


def gathered(tensors):
    statistics = TensorStatistics()
    for x in tensors:
        statistics.update(x)
    return statistics


def direct(values, width):
    """The histogram of all values at a width, at once."""
    bins = np.floor(values.astype(np.float64) / width).astype(np.int64)
    assert bins.min() >= -HALF and bins.max() < HALF
    return np.bincount(bins + HALF, minlength=2 * HALF)


@pytest.mark.parametrize("scales", [SCALES, SCALES[::-1], (0.0, 1e-3, 1e3), (1e-20, 1.0)], ids=str)
def test_merged_histograms_are_those_of_all_values(scales):
    tensors = batches(scales)
    values = np.concatenate([x.numpy().ravel() for x in tensors])
    statistics = gathered(tensors)
    largest = np.abs(values).max()
    assert HALF * statistics.width / 2 <= largest < HALF * statistics.width
    assert np.array_equal(statistics.histogram.numpy(), direct(values, statistics.width))
    assert (statistics.count, statistics.zeros) == (values.size, (values == 0).sum())
    assert (statistics.minimum, statistics.maximum) == (values.min(), values.max())


def test_averages_of_extremes():
    tensors = batches()
    statistics = gathered(tensors)
    assert statistics.mean_minimum == pytest.approx(np.mean([x.min() for x in tensors]))
    assert statistics.mean_maximum == pytest.approx(np.mean([x.max() for x in tensors]))
    for _ in range(200):
        statistics.update(torch.ones(1, 1))
    shares = [1 / n if n <= 100 else 0.01 for n in range(1, 207)]
    average = 0.0
    for share, value in zip(shares, [x.max().item() for x in tensors] + [1.0] * 200, strict=True):
        average += (value - average) * share
    assert statistics.mean_maximum == pytest.approx(average)


def test_several_tensors_of_a_batch():
    statistics = TensorStatistics()
    for top in (1.0, 5.0, 3.0):
        statistics.add(torch.tensor([[0.0, top]]))
    statistics.end_batch()
    statistics.end_batch()
    assert (statistics.batches, statistics.mean_maximum) == (1, 5.0)


def test_extremes_of_channels():
    tensors = batches()
    statistics = gathered(tensors)
    values = torch.stack(tensors)
    assert torch.equal(statistics.channel_minimum, values.amin((0, 1, 3, 4)))
    assert torch.equal(statistics.channel_maximum, values.amax((0, 1, 3, 4)))
    statistics.update(torch.ones(1, 4, 2, 2))
    statistics.update(torch.ones(1, 3, 2, 2))
    assert statistics.channel_minimum is None and statistics.channel_maximum is None
    last = TensorStatistics(channel_axis=-1)
    last.update(torch.arange(12.0).view(2, 2, 3))
    assert last.channel_maximum.tolist() == [9.0, 10.0, 11.0]


def test_merge_and_state():
    tensors = batches()
    whole, first, second = gathered(tensors), gathered(tensors[:4]), gathered(tensors[4:])
    first.merge(second)
    restored = TensorStatistics()
    restored.load_state_dict(first.state_dict())
    for merged in (first, restored):
        state = merged.state_dict()
        for name, value in whole.state_dict().items():
            other = state[name]
            same = torch.equal(value, other) if isinstance(value, torch.Tensor) else value == pytest.approx(other)
            assert value is other is None or same, name
    restored.update(torch.full((1, 3, 1, 1), 99.0))
    assert restored.count == whole.count + 3 and first.count == whole.count
    first.merge(TensorStatistics())
    assert first.batches == whole.batches
    assert torch.equal(restored.histogram.sum(), first.histogram.sum() + 3)


def test_memory_does_not_grow():
    few, many = gathered(batches()[:1]), gathered(batches() * 3)

    def size(statistics):
        return sum(v.numel() for v in statistics.state_dict().values() if isinstance(v, torch.Tensor))

    assert size(few) == size(many) == 2 * HALF + 1 + 6


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_no_range_without_numbers(bad):
    statistics = gathered(batches()[:1])
    before = statistics.state_dict()
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        statistics.update(torch.tensor([[1.0, bad]]))
    after = statistics.state_dict()
    assert after["count"] == before["count"] and after["maximum"] == before["maximum"]


def test_nothing_is_not_counted():
    statistics = TensorStatistics()
    statistics.update(torch.empty(0, 3, 2, 2))
    assert statistics.count == statistics.batches == 0
    statistics.update(torch.zeros(2, 2))
    assert (statistics.zeros, statistics.width, statistics.histogram.sum().item()) == (4, 0.0, 4.0)
