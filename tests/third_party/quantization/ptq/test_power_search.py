"""The search for the power of the error by a loss."""

import pytest
import torch

from tests.third_party.quantization.transform.test_ties import images, make
from third_party.quantization.ptq.collect import collect
from third_party.quantization.ptq.observers import ObserverContext, observe
from third_party.quantization.ptq.power_search import search_power

BATCHES = [images(seed) for seed in range(2)]


def test_a_parabola_is_found():
    net = make()
    statistics = collect(net, BATCHES)
    quantizer, name = net.enter.input_quantizer, "enter.input_quantizer"
    tried = []

    def loss():
        """(p - 2.2)^2, by the order of trial; what the ranges are is checked beside it."""
        tried.append(float(quantizer.grid().scale))
        return ([1.0, 2.0, 3.0, 4.0, 2.2][len(tried) - 1] - 2.2) ** 2

    found = search_power(net, statistics, loss, powers=(3.0, 1.0, 2.0, 4.0))
    assert found.power == pytest.approx(2.2) and list(found.losses)[:4] == [1.0, 2.0, 3.0, 4.0]
    for power, step in zip(found.losses, tried, strict=True):
        bottom, top = observe("lp", statistics[name], quantizer.levels, ObserverContext(power=power))
        assert step == pytest.approx((max(top, 0) - min(bottom, 0)) / 255, rel=1e-5)
    assert float(quantizer.grid().scale) == pytest.approx(tried[-1])
    assert found.rows[0]["observer"] == "lp"


def test_the_best_of_the_powers_stays_where_it_is_at_an_end():
    net = make()
    statistics = collect(net, BATCHES)
    with torch.no_grad():
        expected = [x.clone() for x in make_float(net)]

    def loss():
        with torch.no_grad():
            return sum(float((a - b).square().mean()) for a, b in zip(net(BATCHES[0]), expected, strict=True))

    found = search_power(net, statistics, loss, powers=(0.5, 2.0))
    assert found.power == min(found.losses, key=found.losses.get) and len(found.losses) == 2
    assert loss() == pytest.approx(found.losses[found.power])
    with pytest.raises(ValueError, match="needs some powers"):
        search_power(net, statistics, loss, powers=())


def make_float(net):
    from third_party.quantization.transform.flow import float_evaluation

    with float_evaluation(net):
        return net(BATCHES[0])
