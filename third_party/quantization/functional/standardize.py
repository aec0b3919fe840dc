"""Weights with zero mean and unit variance."""

from torch import Tensor


def standardize(weight: Tensor, axis: int = 0, eps: float = 1e-5) -> Tensor:
    """Weight standardization (arXiv 1903.10520, equations 7 to 9) before quantization, as AQD (2007.06919) does.

    Each output channel becomes ``(w - mean) / sqrt(var + eps)``, with the variance of all its N values (divided by N,
    not N - 1). Differentiable; a channel's gradient is then orthogonal to 1 and, but for eps, to the result.

    Args:
        weight: float, any shape.
        axis: of the output channels: 0 for convolutions and linear layers, 1 for transposed convolutions without
            groups.
        eps: added to the variance; positive, so that a constant channel becomes 0.

    Returns:
        the standardized weights, in the shape of ``weight``.

    Raises:
        ValueError: ``eps`` is not positive.
    """
    if not eps > 0:
        raise ValueError(f"eps of weight standardization must be positive, got {eps!r}")
    dims = [dim for dim in range(weight.dim()) if dim != axis % weight.dim()]
    centred = weight - weight.mean(dims, keepdim=True)
    return centred * (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
