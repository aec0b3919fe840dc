"""Histograms that are looked at, against counting."""

import numpy as np
import pytest
import torch

from third_party.quantization.ptq.histograms import coarse_histogram
from third_party.quantization.ptq.statistics import TensorStatistics


def _statistics(values):
    statistics = TensorStatistics()
    statistics.update(values.view(1, -1))
    return statistics


@pytest.mark.parametrize("shift", [-3.0, 0.0, 40.0])
@pytest.mark.parametrize("bins", [2, 17, 96])
def test_bins_count_what_lies_in_them(shift, bins):
    values = torch.randn(5000, generator=torch.Generator().manual_seed(0)) * 5 + shift
    found = coarse_histogram("conv", _statistics(values), -1.0, 2.0, bins)
    count = len(found["counts"])
    assert bins / 2 - 1 <= count <= bins and sum(found["counts"]) == 5000
    edges = found["start"] + found["width"] * np.arange(count + 1)
    assert found["counts"] == np.histogram(values.double().numpy(), edges)[0].tolist()
    assert found["counts"][0] > 0 and found["counts"][-1] > 0
    assert not any(low < 0 < high for low, high in zip(edges, edges[1:], strict=False))
    assert (found["name"], found["bottom"], found["top"]) == ("conv", -1.0, 2.0)


def test_nothing_to_show():
    assert coarse_histogram("conv", TensorStatistics(), 0.0, 1.0) is None
    assert coarse_histogram("conv", _statistics(torch.zeros(8)), 0.0, 1.0) is None
