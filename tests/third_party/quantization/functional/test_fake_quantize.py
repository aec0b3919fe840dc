"""Fake quantization: the plain twin against its definition, the native kernels against the plain twin."""

import itertools
import logging

import pytest
import torch
from torch import Tensor

from third_party.quantization.functional import eager, native
from third_party.quantization.functional.fake_quantize import LARGEST_LEVEL, fake_quantize
from third_party.quantization.functional.rounding import round_ste
from third_party.quantization.grids import IntegerGrid, IntervalGrid

OPS = torch.ops.third_party_quantization
LEVELS = {
    "1 bit": (0, 1, False),
    "4 bits": (0, 15, False),
    "signed 4 bits": (-8, 7, False),
    "signed 8 bits": (-128, 127, False),
    "16 bits": (0, 65535, False),
    "interval 1 bit": (-1, 0, True),
    "interval 4 bits": (-8, 7, True),
}
# shape, groups, axis, channels last
LAYOUTS = {
    "scalar": ((), 0, None, False),
    "empty": ((0, 3), 0, None, False),
    "three": ((3,), 0, None, False),
    "odd": ((2, 3, 5, 7), 0, None, False),
    "several tasks": ((3, 2, 101, 97), 0, None, False),
    "channels last": ((2, 3, 5, 7), 0, None, True),
    "weights": ((6, 5, 3, 3), 6, 0, False),
    "weights in groups": ((6, 5, 3, 3), 2, 0, False),
    "weights, channels last": ((6, 5, 3, 3), 3, 0, True),
    "long rows": ((2, 3, 181, 97), 3, 1, False),
    "activations": ((2, 6, 5, 7), 6, 1, False),
    "activations in groups": ((2, 6, 5, 7), 3, -3, False),
    "activations, channels last": ((2, 6, 5, 7), 6, 1, True),
    "groups, channels last": ((2, 6, 5, 7), 3, 1, True),
    "features": ((700, 47), 47, -1, False),
    "one group": ((4, 5), 1, 1, False),
}
CASES = list(itertools.product(LEVELS, LAYOUTS))


def sample(levels: str, layout: str, clip_only: bool = False) -> tuple:
    """Arguments of the operator: values inside, outside, half way between levels, and a zero-point with a fraction."""
    (low, high, half), (shape, groups, axis, last) = LEVELS[levels], LAYOUTS[layout]
    generator = torch.Generator().manual_seed(len(levels) + 7 * len(layout))
    step = 0.05 + torch.rand((groups,) if groups else (), generator=generator)
    zero = torch.zeros_like(step) if half or low < 0 else torch.rand(step.shape, generator=generator) * high / 3
    steps = torch.empty(shape).uniform_(low - 3, min(high, 40) + 3, generator=generator)
    steps = torch.where(torch.rand(shape, generator=generator) < 0.2, (2 * steps).round() / 2, steps)
    x = steps * (step if groups == 0 else step.mean())
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    return x, step, zero, low, high, axis, half, 0.25, clip_only


def define(x: Tensor, step: Tensor, zero: Tensor, low: int, high: int, axis: int | None, half: bool) -> Tensor:
    """The definition out of differentiable pieces, in float64."""
    if axis is not None:
        repeats = x.shape[axis] // step.shape[0]
        shape = [1] * x.dim()
        shape[axis] = x.shape[axis]
        step, zero = (v.repeat_interleave(repeats).reshape(shape) for v in (step, zero))
    zero, h = round_ste(zero), 0.5 if half else 0.0
    u = x / step + zero - h
    within = torch.where(u < low, float(low), torch.where(u > high, float(high), u))
    return (round_ste(within) - zero + h) * step


def close(found: Tensor, expected: Tensor, terms: float) -> None:
    """Equal but for the rounding of sums whose terms' magnitudes add up to ``terms``."""
    assert found.shape == expected.shape
    assert float((found.double() - expected.double()).abs().max()) <= 1e-6 * terms + 1e-30


needs_native = pytest.mark.skipif(not native.prepare("cpu"), reason=f"native kernels: {native.cpu_problem()}")


@pytest.mark.parametrize("levels, layout", CASES)
def test_plain_twin_is_the_definition(levels, layout):
    x, step, *rest = sample(levels, layout)
    # powers of two as steps and few digits in x: then float32 divides, and meets half way, as float64 does
    x, step = (x * 512).round() / 512, 2.0 ** step.log2().ceil()
    zero, low, high, axis, half, factor, _ = rest
    inputs = [v.double().requires_grad_() for v in (x, step, zero)]
    expected = define(*inputs, low, high, axis, half)
    assert torch.equal(eager.forward(x, step, *rest).double(), expected)
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    terms = torch.autograd.grad(expected, inputs, grad.double())
    found = eager.backward(grad, x, step, *rest)
    scale = float(grad.abs().sum()) * (1 + max(abs(low), abs(high)))
    assert torch.equal(found[0].double(), terms[0])
    close(found[1], factor * terms[1], scale)
    close(found[2], factor * terms[2], scale)


@needs_native
@pytest.mark.parametrize("levels, layout", CASES)
@pytest.mark.parametrize("clip_only", [False, True])
def test_native_equals_plain(levels, layout, clip_only):
    arguments = sample(levels, layout, clip_only)
    x = arguments[0]
    found, expected = OPS.fake_quantize(*arguments), eager.forward(*arguments)
    assert torch.equal(found, expected) and found.stride() == expected.stride()
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))  # contiguous, whatever x is
    found, expected = OPS.fake_quantize_backward(grad, *arguments), eager.backward(grad, *arguments)
    assert torch.equal(found[0], expected[0])
    terms = float(grad.abs().sum()) * (1 + max(abs(arguments[3]), abs(arguments[4])))
    close(found[1], expected[1], terms)
    close(found[2], expected[2], terms)


@needs_native
def test_native_rounds_as_pytorch_over_all_magnitudes():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200_000, generator=generator) * 10.0 ** torch.randint(-40, 38, (200_000,), generator=generator)
    zero = torch.tensor(0.0)
    for step in (1.0, 0.1, 1e-8, 3e7):
        for bound in (7, 255, LARGEST_LEVEL):
            arguments = (x, torch.tensor(step), zero, -bound, bound, None, False, 1.0, False)
            assert torch.equal(OPS.fake_quantize(*arguments), eager.forward(*arguments))


@pytest.mark.parametrize("levels, layout", CASES)
def test_grids_have_these_levels_bit_for_bit(levels, layout):
    x, step, zero, low, high, axis, half, *_ = sample(levels, layout)
    bits = (high - low).bit_length()
    grid = IntervalGrid(step / 2, bits, axis) if half else IntegerGrid(step, zero, low, high, bits, axis)
    assert torch.equal(grid.values(grid.codes(x)), fake_quantize(x, step, zero, low, high, axis=axis, half=half))


@needs_native
@pytest.mark.parametrize("layout", ["several tasks", "long rows", "features"])
def test_sums_do_not_depend_on_threads(layout):
    arguments = sample("4 bits", layout)
    grad = torch.randn(arguments[0].shape, generator=torch.Generator().manual_seed(2))
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(OPS.fake_quantize_backward(grad, *arguments))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("layout", ["odd", "activations", "features"])
def test_not_a_number_stays(layout):
    x, step, zero, low, high, axis, half, *_ = sample("4 bits", layout)
    x.view(-1)[5:8] = torch.tensor([float("nan"), float("inf"), float("-inf")])
    y = fake_quantize(x, step, zero, low, high, axis=axis, half=half)
    assert y.isnan().nonzero().tolist() == x.isnan().nonzero().tolist()
    assert y.view(-1)[6] > y.view(-1)[7]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_types_compute_in_float(dtype):
    x, step, zero, low, high, axis, half, factor, clip = sample("4 bits", "activations")
    arguments = (x.to(dtype), step, zero, low, high, axis, half, factor, clip)
    y = OPS.fake_quantize(*arguments)
    assert y.dtype is dtype
    assert torch.equal(y, eager.forward(x.to(dtype).float(), *arguments[1:]).to(dtype))
    grads = OPS.fake_quantize_backward(torch.ones_like(y), *arguments)
    assert [g.dtype for g in grads] == [dtype, torch.float32, torch.float32]
    assert all(torch.allclose(a, b) for a, b in zip(grads, eager.backward(torch.ones_like(y), *arguments), strict=True))


def test_gradients_reach_the_leaves_with_their_factor():
    x = torch.tensor([-1.0, 0.3, 1.2, 9.0], requires_grad=True)
    step, zero = torch.tensor(0.5, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    y = fake_quantize(x, step, zero, 0, 3, gradient_factor=0.1)
    assert y.tolist() == [-0.5, 0.5, 1.0, 1.0]
    y.sum().backward()
    # u = -1, 1.6, 3.4, 19: levels -1, 1, 2, 2 in steps; only the second lies inside
    assert x.grad.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert float(step.grad) == pytest.approx(0.1 * (-1 + (1 - 0.6) + 2 + 2))
    assert float(zero.grad) == pytest.approx(0.1 * (-0.5 * 3))


@pytest.mark.parametrize("layout", ["odd", "channels last", "weights", "activations, channels last", "features"])
def test_opcheck(layout):
    arguments = sample("signed 4 bits", layout)
    learned = [v.clone().requires_grad_() for v in arguments[:3]]
    torch.library.opcheck(OPS.fake_quantize, (*learned, *arguments[3:]))
    torch.library.opcheck(OPS.fake_quantize_backward, (torch.randn(arguments[0].shape), *arguments))


def test_compiled_and_exported_graphs_hold_the_operator():
    def loss(x: Tensor, step: Tensor) -> Tensor:
        return fake_quantize(x, step, torch.zeros_like(step), -8, 7, axis=0, gradient_factor=0.5).square().sum()

    x, step, *_ = sample("signed 4 bits", "weights")
    eager_inputs = [x.clone().requires_grad_(), step.clone().requires_grad_()]
    compiled_inputs = [x.clone().requires_grad_(), step.clone().requires_grad_()]
    loss(*eager_inputs).backward()
    torch.compile(loss, backend="aot_eager", fullgraph=True)(*compiled_inputs).backward()
    for a, b in zip(eager_inputs, compiled_inputs, strict=True):
        assert torch.equal(a.grad, b.grad)

    class Model(torch.nn.Module):
        def forward(self, x: Tensor, step: Tensor) -> Tensor:
            return fake_quantize(x, step, torch.zeros_like(step), -8, 7, axis=0)

    program = torch.export.export(Model(), (x, step))
    assert "third_party_quantization.fake_quantize" in str(program.graph)
    assert torch.equal(program.module()(x, step), Model()(x, step))


def test_mistakes_are_named():
    x, one, two = torch.ones(2, 3), torch.tensor(1.0), torch.ones(2)
    with pytest.raises(ValueError, match="zero-point"):
        fake_quantize(x, one, two, 0, 1)
    with pytest.raises(ValueError, match="3 channels"):
        fake_quantize(x, two, two, 0, 1, axis=1)
    with pytest.raises(ValueError, match="no axis"):
        fake_quantize(x, two, two, 0, 1)
    with pytest.raises(ValueError, match="levels 3 to 1"):
        fake_quantize(x, one, one, 3, 1)


def test_a_missing_library_is_said_once(monkeypatch, caplog, tmp_path):
    monkeypatch.delenv("QUANTIZATION_NATIVE", raising=False)
    monkeypatch.setattr(native, "_PACKAGE", tmp_path)
    monkeypatch.setattr(native, "cpu_problem", native.cpu_problem.__wrapped__)
    native._explain.cache_clear()
    try:
        with caplog.at_level(logging.INFO, native.__name__):
            assert not native.prepare("cpu") and not native.prepare("cpu")
        assert len(caplog.records) == 1 and "make native" in caplog.text
        monkeypatch.setenv("QUANTIZATION_NATIVE", "0")
        assert "QUANTIZATION_NATIVE=0" in native.cpu_problem()
    finally:
        native._explain.cache_clear()
