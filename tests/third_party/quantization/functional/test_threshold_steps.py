"""The staircase with free thresholds: values by searching, gradients by their stated sums."""

import numpy as np
import pytest
import torch

from third_party.quantization.functional.threshold_steps import threshold_steps


@pytest.mark.parametrize("groups", [None, 1, 2, 4])
def test_values_and_gradients(groups):
    generator = torch.Generator().manual_seed(0)
    axis = None if groups is None else 1
    shape = () if groups is None else (groups,)
    x = (torch.randn(3, 4, 5, generator=generator) * 2).requires_grad_()
    step = (torch.rand(shape, generator=generator) + 0.5).requires_grad_()
    thresholds = (torch.rand(*shape, 3, generator=generator) * 3 - 1.5).requires_grad_()
    grad = torch.randn(x.shape, generator=generator)
    out = threshold_steps(x, step, thresholds, -1.5, axis, 0.25)
    out.backward(grad)

    def rows(t):
        return t.detach().double().numpy().swapaxes(0, 1).reshape(groups or 1, -1)

    s, t = step.detach().double().numpy().reshape(-1, 1), thresholds.detach().double().numpy().reshape(-1, 3)
    u, g = rows(x) / s, rows(grad)
    level = np.stack([np.searchsorted(np.sort(t[i]), u[i], side="left") for i in range(len(u))]) - 1.5
    near = np.abs(u[..., None] - t[:, None]) <= 0.5
    np.testing.assert_allclose(rows(out), level * s, rtol=1e-5)
    np.testing.assert_allclose(rows(x.grad), g * near.sum(-1), rtol=1e-5)
    of_step = (g * (level - u * near.sum(-1))).sum(1) * 0.25
    np.testing.assert_allclose(step.grad.numpy().reshape(-1), of_step, rtol=1e-4, atol=1e-5)
    of_thresholds = -s * (g[..., None] * near).sum(1) * 0.25
    np.testing.assert_allclose(thresholds.grad.numpy().reshape(-1, 3), of_thresholds, rtol=1e-4, atol=1e-5)
