"""LQ-Nets against a numpy version of its quantization error minimization, B formed in full."""

import itertools
import threading

import numpy as np
import pytest
import torch

from third_party.quantization.quantizers import quantizer as quantizer_module
from third_party.quantization.quantizers.registry import build_quantizer
from third_party.quantization.spec import LQNetSpec, Role

SHAPE = (6, 4, 5, 5)
GROUPS = [("tensor", 1), ("channel", 4), (2, 2)]


def make(bits=2, role=Role.WEIGHT, granularity="tensor", **settings):
    return build_quantizer(LQNetSpec(bits=bits, granularity=granularity, **settings), role, 4, 1)


def data(signed=True, seed=0):
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
    return x if signed else x.relu()


def rows_of(x, groups):
    return x.detach().double().numpy().swapaxes(0, 1).reshape(groups, -1)


def encode(values, basis, signed):
    """B, one encoding a value: that of the nearest sum."""
    encodings = np.array(list(itertools.product((-1, 1) if signed else (0, 1), repeat=len(basis))))
    return encodings[np.abs(values[:, None] - encodings @ basis).argmin(1)]


def alternate(values, basis, signed):
    return np.linalg.lstsq(encode(values, basis, signed), values, rcond=None)[0]


def used_basis(quantizer):
    return quantizer.basis.double().numpy().reshape(quantizer.num_groups, -1)[:, : quantizer.bits].copy()


@pytest.mark.parametrize("bits", LQNetSpec.supported_bits)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("granularity", "groups"), GROUPS)
def test_a_training_step_moves_the_basis_by_qem(bits, signed, granularity, groups):
    quantizer = make(bits, Role.ACTIVATION, granularity, momentum=0.75, iterations=2)
    quantizer.observe(data(signed))
    before, x = used_basis(quantizer), 1.1 * data(signed, seed=1)
    quantizer(x)
    for found, start, values in zip(used_basis(quantizer), before, rows_of(x, groups), strict=True):
        fitted = alternate(values, alternate(values, start, signed), signed)
        np.testing.assert_allclose(found, 0.75 * start + 0.25 * fitted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bits", LQNetSpec.supported_bits)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("granularity", "groups"), GROUPS)
def test_values_are_the_nearest_sums(bits, signed, granularity, groups):
    quantizer = make(bits, Role.ACTIVATION, granularity)
    x = data(signed)
    out = quantizer(x)
    for found, basis, values in zip(rows_of(out, groups), used_basis(quantizer), rows_of(x, groups), strict=True):
        np.testing.assert_allclose(found, encode(values, basis, signed) @ basis, rtol=1e-5, atol=1e-6)
    grid = quantizer.grid()
    assert torch.equal(grid.values(quantizer.integers(x)), out)
    assert not grid.exact and "codebook" in grid.refusal
    assert grid.has_zero is not signed


def test_one_bit_is_the_mean_magnitude():
    x = data()
    torch.testing.assert_close(make(1).eval()(x).abs(), x.abs().mean().expand(SHAPE), rtol=1e-4, atol=1e-5)


def test_sums_of_a_basis_are_found_exactly():
    signs = torch.randint(0, 2, (1000, 2), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    x = signs @ torch.tensor([0.3, 1.0])
    torch.testing.assert_close(make(2).eval()(x), x, rtol=1e-4, atol=1e-4)


def test_more_iterations_do_not_raise_the_error():
    x = data() ** 3
    quantizer = make(3, momentum=0.0)
    errors = [float((quantizer(x) - x).square().mean()) for _ in range(10)]
    assert all(later <= earlier * (1 + 1e-5) for earlier, later in itertools.pairwise(errors))


def test_gradient_of_weights_passes_unchanged():
    x, grad = data().requires_grad_(), data(seed=2)
    make()(x).backward(grad)
    assert torch.equal(x.grad, grad)


def test_gradient_of_activations_passes_between_the_ends():
    x, grad = data().requires_grad_(), data(seed=2)
    quantizer = make(role=Role.ACTIVATION)
    quantizer(x).backward(grad)
    low, high = quantizer.grid().levels()[[0, -1]]
    inside = (x.detach() >= low) & (x.detach() <= high)
    assert 0 < int(inside.sum()) < x.numel()
    assert torch.equal(x.grad, grad * inside)


@pytest.mark.parametrize("stop", ["eval", "frozen"])
def test_basis_stays_when_it_should(stop):
    quantizer = make()
    quantizer(data())
    quantizer.eval() if stop == "eval" else quantizer.set_frozen(True)
    before = quantizer.basis.clone()
    quantizer(5 * data(seed=1))
    assert torch.equal(quantizer.basis, before)


def test_values_that_are_not_finite_do_not_spoil_the_basis():
    quantizer = make(role=Role.ACTIVATION)
    quantizer(data())
    before = quantizer.basis.clone()
    assert quantizer(torch.tensor([float("nan"), 1.0])).isnan().tolist() == [True, False]
    quantizer(torch.tensor([float("inf"), 1.0]))
    torch.testing.assert_close(quantizer.basis, before)


def test_an_empty_tensor_changes_nothing():
    quantizer = make(role=Role.ACTIVATION, granularity="channel")
    quantizer(data())
    before = quantizer.basis.clone()
    assert quantizer(torch.zeros(0, 4, 5, 5)).shape == (0, 4, 5, 5)
    torch.testing.assert_close(quantizer.basis, before)


def test_width_changes_keep_the_highest_level():
    quantizer = make(2)
    quantizer(data())
    top = float(quantizer.grid().levels()[-1])
    for bits in (4, 1, 3):
        quantizer.set_bits(bits)
        levels = quantizer.grid().levels()
        assert len(levels) == 2**bits and float(levels[-1]) == pytest.approx(top, rel=1e-5)
        torch.testing.assert_close(levels.diff(), levels.diff()[:1].expand(len(levels) - 1), rtol=1e-4, atol=1e-6)


def test_processes_keep_one_basis_that_fits_all_data(monkeypatch):
    # Two threads stand for two processes: the reduction adds up what both hand in.
    barrier, handed_in = threading.Barrier(2, timeout=20), [None, None]
    number = threading.local()

    def reduce(value, operation):
        handed_in[number.value] = value.clone()
        barrier.wait()
        total = sum(handed_in) if operation == "sum" else torch.maximum(*handed_in)
        barrier.wait()
        return total

    quantizers = [make(role=Role.ACTIVATION) for _ in range(2)]

    def work(index):
        number.value = index
        for seed in (0, 10):
            quantizers[index]((index + 1) * data(seed=seed + index))

    with monkeypatch.context() as patch:
        patch.setattr(quantizer_module, "is_distributed", lambda: True)
        patch.setattr(quantizer_module, "reduce_over_processes", reduce)
        threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    alone = make(role=Role.ACTIVATION)
    for seed in (0, 10):
        alone(torch.cat([data(seed=seed), 2 * data(seed=seed + 1)]))
    assert torch.equal(quantizers[0].basis, quantizers[1].basis)
    torch.testing.assert_close(quantizers[0].basis, alone.basis, rtol=1e-4, atol=1e-5)
