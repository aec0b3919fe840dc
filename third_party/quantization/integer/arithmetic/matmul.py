"""Products of integer matrices, exact."""

import functools

import torch
from torch import Tensor


@functools.cache
def has_exact_int8_product() -> bool:
    """Whether PyTorch's int8 product is exact here: without VNNI some libraries add pairs of products in 16 bits."""
    low, high = torch.full((32, 64), -128, dtype=torch.int8), torch.full((32, 64), 127, dtype=torch.int8)
    pairs = ((low, low), (low, high), (high, low), (high, high))
    try:
        return all(torch.equal(torch._int_mm(a, b.t()), wide_product(a, b)) for a, b in pairs)
    except RuntimeError:
        return False


def product(a: Tensor, b: Tensor) -> Tensor:
    """int32 ``Tensor[M, N]``: rows of ``a`` times rows of ``b``, ``Tensor[M, K]`` and ``Tensor[N, K]`` of integers.

    Sums must stay below 2 ** 31.
    """
    if a.device.type != "cpu":  # PyTorch has no int32 product there, and int8 ones of some sizes only
        return (a.double() @ b.double().t()).int()
    narrow = a.dtype is torch.int8 and b.dtype is torch.int8
    if narrow and a.numel() and b.numel() and has_exact_int8_product():
        return torch._int_mm(a, b.t())
    return wide_product(a, b)


def wide_product(a: Tensor, b: Tensor) -> Tensor:
    """As :func:`product`, in int32 arithmetic; both matrices lie along their sums, which is what makes it fast."""
    return a.int().contiguous() @ b.int().contiguous().t()
