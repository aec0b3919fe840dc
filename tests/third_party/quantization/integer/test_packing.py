"""Codes in as many bits as they need."""

import numpy as np
import pytest
import torch

from third_party.quantization.integer.packing import PackedCodes

CASES = {
    "one bit": ([-1, 1], 1, 2),
    "ternary": ([-1, 0, 1], 2, 1),
    "two bits of an interval": ([-3, -1, 1, 3], 2, 2),
    "three bits": (range(-4, 4), 3, 1),
    "four bits, narrow": (range(-7, 8), 4, 1),
    "eight bits": (range(-128, 128), 8, 1),
    "sixteen bits": ([-(2**15), 2**15 - 1, 0, 1], 16, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_codes_come_back_and_take_their_bits(name):
    numbers, bits, stride = CASES[name]
    numbers = torch.tensor(list(numbers))
    generator = torch.Generator().manual_seed(0)
    codes = numbers[torch.randint(len(numbers), (5, 3, 20), generator=generator)].contiguous()
    codes.view(-1)[: len(numbers)] = numbers[: codes.numel()]
    packed = PackedCodes.pack(codes)
    assert (packed.bits, packed.stride) == (bits, stride)
    assert packed.data.dtype is torch.uint8 and packed.data.numel() == -(-codes.numel() * bits // 8)
    assert torch.equal(packed.unpack().long(), codes.long())


def test_bits_lie_lowest_first():
    four = PackedCodes.pack(torch.tensor([0, 15, 1, 2], dtype=torch.int8))
    assert four.data.tolist() == [0xF0, 0x21]
    two = PackedCodes.pack(torch.tensor([0, 1, 2, 3], dtype=torch.int8))
    assert two.data.tolist() == [0b11100100]
    three = PackedCodes.pack(torch.arange(8))
    assert int.from_bytes(bytes(three.data.tolist()), "little") == sum(k << 3 * k for k in range(8))


def test_the_narrowest_type_comes_back():
    for numbers, dtype in (([-128, 127], torch.int8), ([0, 255], torch.uint8), ([-1, 255], torch.int16)):
        assert PackedCodes.pack(torch.tensor(numbers)).unpack().dtype is dtype


def test_equal_and_no_numbers():
    assert PackedCodes.pack(torch.full((3,), 5)).unpack().tolist() == [5, 5, 5]
    empty = PackedCodes.pack(torch.zeros(0, 3, dtype=torch.int8))
    assert empty.unpack().shape == (0, 3) and empty.data.numel() == 0


def test_wider_numbers_are_refused():
    with pytest.raises(ValueError, match="0 to 65536 take 17 bits"):
        PackedCodes.pack(torch.tensor(np.array([0, 65535, 65536])))
