"""Integers in as many bits as they need."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .code_grid import storage_type


@dataclass(frozen=True, eq=False)
class PackedCodes:
    """A tensor of whole numbers ``offset + stride * index`` whose indices take ``bits`` bits each, one after another.

    The lowest bits of a byte come first: with 4 bits two indices a byte, with 2 bits four, with 3 bits eight in three.

    Attributes:
        data: the bits, uint8 ``Tensor[ceil(n * bits / 8)]``.
        bits: of an index, 1 to 16.
        shape: of the tensor of n numbers.
        offset, stride: from indices to numbers.
    """

    data: Tensor
    bits: int
    shape: tuple[int, ...]
    offset: int
    stride: int

    @classmethod
    def pack(cls, codes: Tensor) -> "PackedCodes":
        """Pack integers of any type, with as few bits as their range and the step between them allow.

        Raises:
            ValueError: their range takes more than 16 bits.
        """
        numbers = codes.detach().cpu().numpy().astype(np.int64).ravel()
        offset = int(numbers.min()) if numbers.size else 0
        indices = numbers - offset
        stride = max(1, int(np.gcd.reduce(indices))) if numbers.size else 1
        bits = max(1, int(indices.max(initial=0) // stride).bit_length())
        if bits > 16:
            raise ValueError(f"weights from {offset} to {int(numbers.max())} take {bits} bits, more than 16")
        planes = (indices[:, None] // stride >> np.arange(bits)) & 1
        data = np.packbits(planes.astype(np.uint8).ravel(), bitorder="little")
        return cls(torch.from_numpy(data), bits, tuple(codes.shape), offset, stride)

    def unpack(self) -> Tensor:
        """The numbers, in the narrowest type that holds them, where ``data`` is."""
        count = int(np.prod(self.shape, dtype=np.int64))
        planes = np.unpackbits(self.data.cpu().numpy(), count=count * self.bits, bitorder="little")
        indices = planes.reshape(count, self.bits).astype(np.int64) @ (1 << np.arange(self.bits, dtype=np.int64))
        dtype = storage_type(self.offset, self.offset + self.stride * (2**self.bits - 1))
        if indices.size:
            numbers = indices * self.stride + self.offset
            dtype = storage_type(int(numbers.min()), int(numbers.max()))
        unpacked = torch.from_numpy(indices * self.stride + self.offset).to(dtype).view(self.shape)
        return unpacked.to(self.data.device)
