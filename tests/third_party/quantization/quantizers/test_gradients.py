"""Gradients against the papers' closed forms, written down in numpy."""

import math

import numpy as np
import pytest
import torch

from third_party.quantization.quantizers import AffineQuantizer, build_quantizer
from third_party.quantization.spec import (
    AQDSpec,
    DoReFaSpec,
    LSQPlusSpec,
    LSQSpec,
    MinMaxSpec,
    PACTSpec,
    QuantSpec,
    Role,
)

SHAPE = (6, 5, 3, 3)


def _data(seed: int = 0, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = spread * torch.randn(SHAPE, generator=generator)
    return x.requires_grad_(), torch.randn(SHAPE, generator=generator)


def _run(spec: QuantSpec, role: Role, step: float, zero: float = 0.0) -> tuple[AffineQuantizer, np.ndarray, np.ndarray]:
    """Backward from given gradients; the quantizer, x and g in double precision, x.grad compared by the caller."""
    quantizer = build_quantizer(spec, role, SHAPE[0], 0)
    assert isinstance(quantizer, AffineQuantizer)
    x, g = _data()
    quantizer.store(torch.full(quantizer.group_shape(), step), torch.full(quantizer.group_shape(), zero))
    quantizer.mark_initialized()
    (quantizer(x) * g).sum().backward()
    quantizer.x_grad = x.grad  # type: ignore[assignment]
    return quantizer, x.detach().double().numpy(), g.double().numpy()


def _close(actual: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual.double().numpy(), expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_lsq_equation_3_and_its_gradient_scale(bits: int) -> None:
    step = 0.3 if bits < 8 else 0.012
    quantizer, x, g = _run(LSQSpec(bits=bits), Role.WEIGHT, step)
    qn, qp = 2 ** (bits - 1), 2 ** (bits - 1) - 1
    ratio = x / np.float64(np.float32(step))
    of_step = np.where(ratio <= -qn, -qn, np.where(ratio >= qp, qp, np.rint(ratio) - ratio))
    _close(quantizer.scale.grad, (g * of_step).sum() / math.sqrt(x.size * qp))
    _close(quantizer.x_grad, np.where((ratio > -qn) & (ratio < qp), g, 0.0))


def test_lsq_counts_the_values_of_a_group() -> None:
    quantizer, x, g = _run(LSQSpec(bits=3, granularity=2), Role.WEIGHT, 0.3)
    ratio = x / np.float64(np.float32(0.3))
    of_step = g * np.where(ratio <= -4, -4, np.where(ratio >= 3, 3, np.rint(ratio) - ratio))
    _close(quantizer.scale.grad, of_step.reshape(2, -1).sum(1) / math.sqrt(x.size / 2 * 3))


def test_lsq_plus_equations_4_and_5_of_the_offset() -> None:
    step, zero = 0.3, 4.0
    quantizer, x, g = _run(LSQPlusSpec(bits=4), Role.ACTIVATION, step, zero)
    step64 = np.float64(np.float32(step))
    position = x / step64 + zero
    below, above = position <= 0, position >= 15
    assert below.any() and not below.all()
    of_step = np.where(below, 0 - zero, np.where(above, 15 - zero, np.rint(position) - position))
    # With the offset held fixed, the zero-point -offset / s moves with s outside the range.
    of_step += np.where(below | above, zero, 0.0)
    factor = 1 / math.sqrt(x.size * 15)
    _close(quantizer.scale.grad, (g * of_step).sum() * factor)
    _close(quantizer.offset.grad, (g * (below | above)).sum() * factor)
    _close(quantizer.x_grad, np.where(below | above, 0.0, g))


@pytest.mark.parametrize("signed", [False, True])
def test_pact_equation_3_moves_the_clip_by_clipped_values_only(signed: bool) -> None:
    spec = PACTSpec(bits=4, signed=signed)
    quantizer, x, g = _run(spec, Role.ACTIVATION, 0.9 / (7 if signed else 15))
    clip = 0.9
    low = -clip if signed else 0.0
    of_clip = np.where(x >= clip, 1.0, np.where(x <= low, -1.0 if signed else 0.0, 0.0))
    _close(quantizer.clip.grad, (g * of_clip).sum())
    _close(quantizer.x_grad, np.where((x > low) & (x < clip), g, 0.0))


def test_only_pact_wants_weight_decay() -> None:
    assert build_quantizer(PACTSpec(), Role.ACTIVATION).decayed_parameters == {"clip"}
    assert not build_quantizer(LSQSpec(), Role.ACTIVATION).decayed_parameters


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("grid", ["interval", "integer"])
def test_aqd_gradient_of_the_interval(bits: int, grid: str) -> None:
    """q(x) = v / n * round(clip(x / v) * n), differentiated by v with a straight-through rounding."""
    v = 0.8
    steps = (2**bits - 1) / 2 if grid == "interval" else 2 ** (bits - 1) - 1
    quantizer, x, g = _run(AQDSpec(bits=bits, grid=grid, narrow_range=True), Role.WEIGHT, v / steps)
    clipped = np.clip(x / v, -1, 1)
    half = 0.5 if grid == "interval" else 0.0
    rounded = (np.rint(clipped * steps - half) + half) / steps
    of_v = np.where(np.abs(x) < v, rounded - x / v, np.sign(x))
    qp = 2 ** (bits - 1) - 1
    _close(quantizer.interval.grad, (g * of_v).sum() * steps**2 / math.sqrt(x.size * qp))
    _close(quantizer.x_grad, np.where(np.abs(x) < v, g, 0.0))
    _close(quantizer.grid().levels()[-1], np.float64(v))


def test_under_sgd_aqd_moves_as_lsq_times_the_number_of_steps() -> None:
    aqd, lsq = (build_quantizer(spec(bits=4), Role.WEIGHT) for spec in (AQDSpec, LSQSpec))
    optimizers = [torch.optim.SGD(q.parameters(), lr=0.05, momentum=0.9) for q in (aqd, lsq)]
    for i in range(20):
        x, g = _data(seed=i)
        for quantizer, optimizer in zip((aqd, lsq), optimizers, strict=True):
            optimizer.zero_grad()
            (quantizer(x.detach()) * (g + 0.5)).sum().backward()
            optimizer.step()
    torch.testing.assert_close(aqd.interval, 7 * lsq.scale, rtol=1e-4, atol=1e-6)
    first = build_quantizer(LSQSpec(bits=4), Role.WEIGHT)
    first(_data(seed=0)[0])
    assert abs(float(first.scale.detach() / lsq.scale.detach()) - 1) > 0.01, (
        "the step has to move for this to show anything"
    )


@pytest.mark.parametrize("grid", ["interval", "integer"])
def test_dorefa_weights_follow_equation_9(grid: str) -> None:
    bits = 3
    quantizer, (w, g) = build_quantizer(DoReFaSpec(bits=bits, grid=grid), Role.WEIGHT), _data()
    y = quantizer(w)
    (y * g).sum().backward()
    w64, g64 = w.detach().double().numpy(), g.double().numpy()

    def squashed(w: np.ndarray) -> np.ndarray:
        return np.tanh(w) / np.abs(np.tanh(w)).max()

    steps = 2**bits - 1
    if grid == "interval":
        _close(y.detach(), 2 / steps * np.rint(steps * (squashed(w64) / 2 + 0.5)) - 1)
    else:
        _close(y.detach(), np.rint(3 * squashed(w64)) / 3)
    # Straight-through: the gradient is that of the squashed weight, here by central differences.
    numeric = np.zeros(w64.size)
    for i in range(w64.size):
        moved = np.zeros(w64.size)
        moved[i] = 1e-6
        up, down = (squashed(w64 + sign * moved.reshape(SHAPE)) for sign in (1, -1))
        numeric[i] = ((up - down) * g64).sum() / 2e-6
    np.testing.assert_allclose(w.grad.reshape(-1).double().numpy(), numeric, rtol=1e-3, atol=1e-4)


def test_dorefa_activations_are_clipped_to_one() -> None:
    quantizer = build_quantizer(DoReFaSpec(bits=2), Role.ACTIVATION)
    x = torch.tensor([0.0, 0.1, 0.2, 0.6, 0.99, 3.0], requires_grad=True)
    y = quantizer(x)
    y.sum().backward()
    torch.testing.assert_close(y.detach(), torch.tensor([0, 0, 1, 2, 3, 3]) / 3)
    assert x.grad.tolist() == [1, 1, 1, 1, 1, 0]
    assert not list(quantizer.parameters())


def test_dorefa_zeros_stay_zero() -> None:
    w = torch.zeros(2, 3, requires_grad=True)
    build_quantizer(DoReFaSpec(bits=4, grid="integer", granularity="channel"), Role.WEIGHT, 2)(w).sum().backward()
    assert w.grad.tolist() == [[1.0] * 3] * 2


def test_dorefa_has_no_zero_point() -> None:
    with pytest.raises(ValueError, match="symmetric must be True for method dorefa"):
        build_quantizer(DoReFaSpec(grid="integer", symmetric=False), Role.ACTIVATION)


def test_minmax_passes_gradients_inside_and_learns_nothing() -> None:
    quantizer = build_quantizer(MinMaxSpec(bits=4), Role.ACTIVATION)
    quantizer(torch.tensor([0.0, 1.5]))
    x = torch.tensor([-1.0, 0.2, 1.4, 1.6], requires_grad=True)
    quantizer(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]
    assert not list(quantizer.parameters())


@pytest.mark.parametrize("offset", [3.0, -100.0])
def test_lsq_plus_offsets_outside_the_levels_can_come_back(offset: float) -> None:
    quantizer = build_quantizer(LSQPlusSpec(bits=4), Role.ACTIVATION)
    quantizer.mark_initialized()
    with torch.no_grad():
        quantizer.scale.fill_(1.0)
        quantizer.offset.fill_(offset)
    quantizer(torch.tensor([-200.0, 200.0])).sum().backward()
    assert float(quantizer.offset.grad) > 0
    assert 0.0 in quantizer.grid().levels()
