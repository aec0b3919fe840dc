"""ProxQuant: weights drawn to their levels after each optimizer step (arXiv 1810.00861)."""

import torch

from .layers import QuantizedTensor, refuse_off_grid


class ProxQuant:
    """After a step of the optimizer ``w <- (w + l Q(w)) / (1 + l)``, Q(w) being the level nearest to w.

    That is the proximal operator of ``l / 2`` times the squared distance to the levels (section 3.2, the W-shaped
    regulariser in its squared form). With ``p = l / (1 + l)`` it reads ``w <- (1 - p) w + p Q(w)``; p grows linearly
    from 0 at ``start`` to 1 at ``end`` and stays there: l grows from 0 to infinity.

    Args:
        weights: of ``quantized_weights``.
        start, end: iterations.

    Raises:
        ValueError: a weight is standardised, folded or transformed before quantization.
    """

    def __init__(self, weights: list[QuantizedTensor], start: int, end: int) -> None:
        refuse_off_grid(weights, "prox (ProxQuant)")
        self.weights = weights
        self.start, self.end = start, end

    def share(self, iteration: int) -> float:
        """p, 0 to 1."""
        return min(max((iteration - self.start) / (self.end - self.start), 0.0), 1.0)

    @torch.no_grad()
    def after_step(self, iteration: int) -> None:
        """Draw the weights; quantizers that are switched off, or have no range yet, take no part."""
        share = self.share(iteration)
        if share == 0.0:
            return
        for tensor in self.weights:
            if tensor.active:
                weight = tensor.quantized_from()
                level = tensor.quantizer.grid().values(tensor.quantizer.integers(weight))
                weight.lerp_(level.to(weight.dtype), share)
