"""Histograms against NumPy's floor and counting, natively and not."""

import numpy as np
import pytest
import torch

from third_party.quantization.functional import histogram as module
from third_party.quantization.functional.histogram import add_to_histogram

HALF = 64
WIDTH = 2.0**-3
SHAPES = [(1, 1), (7, 1), (2, 3, 5, 7), (3, 1031), (2, 3, 2, 1031), (300, 8)]
BOTH = pytest.mark.parametrize("count", [add_to_histogram, module._eager], ids=["operator", "eager"])


def sample(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
    # Edges of bins, both zeros, and numbers too small to move an edge.
    special = torch.tensor([0.0, -0.0, WIDTH, -WIDTH, 1e-30, -1e-30, 7.99999, -8.0, 0.0])
    flat = x.view(-1)
    flat[: len(special)] = special[: flat.numel()]
    return x


def zeros():
    return torch.zeros(2 * HALF + 1, dtype=torch.float64)


def expected(x):
    values = x.numpy().astype(np.float64).ravel()
    bins = np.floor(values / WIDTH).astype(np.int64) + HALF
    return [*np.bincount(bins, minlength=2 * HALF), (values == 0).sum()]


def check(count, x, axis):
    counts = zeros()
    for times in (1, 2):
        low, high = count(counts, x, WIDTH, axis)
        assert (counts / times).tolist() == expected(x.float().contiguous())
    others = tuple(dim for dim in range(x.dim()) if dim != axis % x.dim())
    assert np.array_equal(low.numpy(), x.float().numpy().min(others))
    assert np.array_equal(high.numpy(), x.float().numpy().max(others))


@BOTH
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_counts_and_extremes(count, shape, axis):
    check(count, sample(shape), axis)


def test_layouts_and_types():
    x = sample((2, 3, 5, 7))
    for other in (x.to(memory_format=torch.channels_last), x.transpose(1, 3), x.double(), x.bfloat16(), x[:, 1:2]):
        for axis in (0, 1, -1):
            check(add_to_histogram, other.clamp_max(7.5), axis)


@BOTH
@pytest.mark.parametrize("beyond", [8.0, -8.01, 1e30, float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("shape, axis", [((2, 3, 5, 7), 1), ((6, 5), 1), ((6, 5), 0)])
def test_nothing_is_counted_when_a_value_has_no_bin(count, shape, axis, beyond):
    for place in (0, -1):
        x = torch.ones(shape)
        x.view(-1)[place] = beyond
        counts = zeros()
        low, high = count(counts, x, WIDTH, axis)
        assert not counts.any()
        finite = low.isfinite() & high.isfinite()
        assert finite.sum() == shape[axis] - (not np.isfinite(beyond))
        if np.isfinite(beyond):
            assert (low.min() if beyond < 0 else high.max()) == torch.tensor(beyond)


@pytest.mark.parametrize("shape, axis", [((7, 3, 1 << 16), 1), ((1 << 16, 18), 1)])
def test_several_threads_count_the_same(shape, axis):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        check(add_to_histogram, sample(shape), axis)
    finally:
        torch.set_num_threads(before)


def test_opcheck():
    operator = torch.ops.third_party_quantization.add_to_histogram
    torch.library.opcheck(operator, (zeros(), sample((2, 3, 5, 7)), WIDTH, 1))


def test_refusals():
    for width in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="a histogram needs bins of a positive width"):
            add_to_histogram(zeros(), torch.zeros(3), width, 0)
    for counts in (zeros().float(), zeros()[:-1], zeros()[:1], zeros()[None]):
        with pytest.raises(ValueError, match="a histogram needs float64 counts of an odd number"):
            add_to_histogram(counts, torch.zeros(3), 1.0, 0)
    for empty in (torch.zeros(()), torch.zeros(0, 3)):
        with pytest.raises(ValueError, match="needs values along an axis"):
            add_to_histogram(zeros(), empty, 1.0, 0)
