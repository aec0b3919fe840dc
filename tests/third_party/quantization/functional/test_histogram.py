"""Histograms against NumPy's floor and counting, natively and not."""

import numpy as np
import pytest
import torch

from third_party.quantization.functional import histogram as module
from third_party.quantization.functional.histogram import histogram

HALF = 64
WIDTH = 2.0**-3
SHAPES = [(1, 1), (7, 1), (2, 3, 5, 7), (3, 1031), (2, 3, 2, 1031)]


def sample(shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator) * 3
    # Edges of bins, both zeros, numbers too small to move an edge, and some beyond the outermost bins.
    special = torch.tensor([0.0, -0.0, WIDTH, -WIDTH, 1e-30, -1e-30, 8.0, -8.0, 7.99999, 1e30, -1e30, 0.0])
    flat = x.view(-1)
    flat[: len(special)] = special[: flat.numel()]
    return x


def expected(x):
    values = x.numpy().astype(np.float64).ravel()
    bins = np.clip(np.floor(values / WIDTH), -HALF, HALF - 1).astype(np.int64) + HALF
    return [*np.bincount(bins, minlength=2 * HALF), (values == 0).sum()]


def check(count, x, axis):
    counts, low, high = count(x, WIDTH, HALF, axis)
    assert counts.tolist() == expected(x.float().contiguous())
    others = tuple(dim for dim in range(x.dim()) if dim != axis % x.dim())
    assert np.array_equal(low.numpy(), x.float().numpy().min(others))
    assert np.array_equal(high.numpy(), x.float().numpy().max(others))


@pytest.mark.parametrize("count", [histogram, module._eager], ids=["operator", "eager"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_counts_and_extremes(count, shape, axis):
    check(count, sample(shape), axis)


def test_layouts_and_types():
    x = sample((2, 3, 5, 7))
    for other in (x.to(memory_format=torch.channels_last), x.transpose(1, 3), x.double(), x.bfloat16(), x[:, 1:2]):
        for axis in (0, 1, -1):
            check(histogram, other, axis)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("shape, axis", [((2, 3, 5, 7), 1), ((6, 4), 1)])
def test_values_without_a_bin_show_in_the_extremes(shape, axis, bad):
    for place in (0, -1):
        x = torch.ones(shape)
        x.view(-1)[place] = bad
        for count in (histogram, module._eager):
            _, low, high = count(x, WIDTH, HALF, axis)
            assert not (low.isfinite() & high.isfinite()).all()
            assert (low.isfinite() & high.isfinite()).sum() == shape[axis] - 1


def test_several_threads_count_the_same():
    x = torch.randn(7, 3, 1 << 16, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        check(histogram, x, 1)
        check(histogram, x.view(-1, 16), 1)
    finally:
        torch.set_num_threads(before)


def test_opcheck():
    torch.library.opcheck(torch.ops.third_party_quantization.histogram, (sample((2, 3, 5, 7)), WIDTH, HALF, 1))


@pytest.mark.parametrize("width, half", [(0.0, 4), (-1.0, 4), (float("nan"), 4), (1.0, 0)])
def test_refusals(width, half):
    with pytest.raises(ValueError, match="a histogram needs bins of a positive width"):
        histogram(torch.zeros(3), width, half, 0)
    for empty in (torch.zeros(()), torch.zeros(0, 3)):
        with pytest.raises(ValueError, match="needs values along an axis"):
            histogram(empty, 1.0, 4, 0)
