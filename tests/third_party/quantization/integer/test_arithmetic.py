"""Both executors against convolutions of whole numbers in float64."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from third_party.quantization.functional.fixed_point import shift_right
from third_party.quantization.integer.arithmetic import ARITHMETICS, IntegerArithmetic, Window, matmul

WINDOWS = {
    "plain": Window(padding=(1, 1, 1, 1)),
    "strided, uneven padding": Window(stride=(2, 3), padding=(0, 2, 1, 0)),
    "dilated": Window(padding=(2, 2, 2, 2), dilation=(2, 1)),
    "groups": Window(padding=(1, 1, 1, 1), groups=2),
    "depthwise": Window(padding=(1, 1, 1, 1), groups=4),
}
TRANSPOSED = {
    "doubling": Window(stride=(2, 2), transposed=True),
    "cut": Window(stride=(2, 1), padding=(1, 1, 0, 0), transposed=True, output_padding=(1, 0)),
    "dilated": Window(stride=(3, 2), dilation=(2, 1), transposed=True),
    "groups": Window(stride=(2, 2), padding=(1, 1, 1, 1), transposed=True, groups=2),
    "cut beyond the kernel": Window(stride=(2, 2), padding=(3, 3, 3, 3), transposed=True),
}
CODES = {torch.uint8: (0, 256, 37), torch.int8: (-128, 128, -5), torch.int16: (-2000, 2000, 300)}


def _numbers(low, high, *shape, dtype):
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize("backend", ARITHMETICS)
@pytest.mark.parametrize("dtype", CODES, ids=str)
@pytest.mark.parametrize("name", WINDOWS)
def test_convolutions(backend, dtype, name):
    window, (low, high, zero) = WINDOWS[name], CODES[dtype]
    arithmetic = ARITHMETICS[backend]()
    codes = _numbers(low, high, 2, 4, 7, 8, dtype=dtype)
    weight = _numbers(-128, 128, 8, 4 // window.groups, 3, 3, dtype=torch.int8)
    top, bottom, left, right = window.padding
    x = F.pad(codes.double() - zero, (left, right, top, bottom))
    expected = F.conv2d(x, weight.double(), None, window.stride, 0, window.dilation, window.groups)
    out = arithmetic.convolve(arithmetic.take(codes, dtype), torch.tensor(zero), weight, window)
    assert torch.equal(out.double(), expected)


@pytest.mark.parametrize("backend", ARITHMETICS)
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolutions(backend, name):
    window, arithmetic = TRANSPOSED[name], ARITHMETICS[backend]()
    codes = _numbers(0, 256, 2, 4, 6, 5, dtype=torch.uint8)
    weight = _numbers(-128, 128, 4, 6 // window.groups, 3, 2, dtype=torch.int8)
    top, _, left, _ = window.padding
    expected = F.conv_transpose2d(
        codes.double() - 9,
        weight.double(),
        None,
        window.stride,
        (top, left),
        window.output_padding,
        window.groups,
        window.dilation,
    )
    out = arithmetic.convolve(arithmetic.take(codes, torch.uint8), torch.tensor(9), weight, window)
    assert torch.equal(out.double(), expected)


def test_zero_points_of_channels_are_padding():
    codes, zero = _numbers(0, 256, 1, 3, 5, 5, dtype=torch.uint8), torch.tensor([103, 116, 123], dtype=torch.int32)
    weight = _numbers(-128, 128, 4, 3, 3, 3, dtype=torch.int8)
    expected = F.conv2d(codes.double() - zero.view(3, 1, 1), weight.double(), padding=1)
    for backend in ARITHMETICS.values():
        out = backend().convolve(backend().take(codes, torch.uint8), zero, weight, Window(padding=(1, 1, 1, 1)))
        assert torch.equal(out.double(), expected)


@pytest.mark.parametrize("backend", ARITHMETICS)
def test_linear_layers(backend):
    arithmetic = ARITHMETICS[backend]()
    codes = _numbers(0, 256, 2, 3, 50, dtype=torch.uint8)
    weight = _numbers(-128, 128, 7, 50, dtype=torch.int8)
    out = arithmetic.multiply(arithmetic.take(codes, torch.uint8), torch.tensor(128), weight)
    assert torch.equal(out.double(), (codes.double() - 128) @ weight.double().t())


@pytest.mark.parametrize("backend", ARITHMETICS)
def test_no_images(backend):
    arithmetic = ARITHMETICS[backend]()
    codes = arithmetic.take(torch.zeros(0, 4, 7, 8, dtype=torch.uint8), torch.uint8)
    weight = torch.ones(8, 4, 3, 3, dtype=torch.int8)
    out = arithmetic.convolve(codes, torch.tensor(3), weight, Window(padding=(1, 1, 1, 1)))
    assert out.shape == (0, 8, 7, 8)
    rows = arithmetic.take(torch.zeros(0, 5, dtype=torch.uint8), torch.uint8)
    assert arithmetic.multiply(rows, torch.tensor(3), torch.ones(2, 5, dtype=torch.int8)).shape == (0, 2)


def test_sums_are_shifted_half_to_even_without_overflow():
    terms = [torch.tensor([-128, 127, 1, 3], dtype=torch.int8), torch.tensor([255, 0, 0, 0], dtype=torch.uint8)]
    c = [torch.tensor(2**23), torch.tensor(2**22)]
    d, b = torch.tensor(24), torch.tensor(2**40)
    exact = [(a * 2**23 + e * 2**22) / 2**24 + 2**16 for a, e in zip(*(t.tolist() for t in terms), strict=True)]
    expected = [round(value) for value in exact]  # Python rounds halves to even, and these are exact in float64
    assert any(value % 1 == 0.5 for value in exact)
    for backend in ARITHMETICS.values():
        arithmetic = backend()
        taken = [arithmetic.take(term, term.dtype) for term in terms]
        assert arithmetic.combine(taken, c, d, b).long().tolist() == expected


def test_sums_of_every_shift():
    d = torch.arange(63)
    generator = torch.Generator().manual_seed(0)
    c, b = torch.randint(-(2**19), 2**19, (63,), generator=generator), torch.ldexp(torch.ones(63), d - 1).long()
    b = torch.where(d < 52, b, 2**51 - 1)  # one half, so that a sum of 0 and many others lie between two numbers
    codes = torch.arange(-64, 64, dtype=torch.int32)[:, None] * torch.tensor([1, 2**24 + 1])[:, None, None].int()
    codes = codes.expand(2, 128, 63)
    for multiplier in (c, torch.ones_like(c), torch.ldexp(torch.ones(63), (d - 1).clamp(0, 20)).long()):
        found = IntegerArithmetic().combine([codes], [multiplier], d, b)
        assert torch.equal(found, shift_right(codes.long() * multiplier + b, d))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_tables_of_images(layout):
    codes = _numbers(-128, 128, 2, 3, 4, 5, dtype=torch.int8).contiguous(memory_format=layout)
    table = _numbers(0, 256, 256, dtype=torch.uint8)
    out = IntegerArithmetic().look_up(codes[:, :, 1:], table, -128, 1)
    assert torch.equal(out, table[codes[:, :, 1:].long() + 128])


def test_lines_between_points():
    table = torch.tensor([-(2**23), 0, 40, -7, 2**23 - 1], dtype=torch.int32)
    first, shift = -32, 4
    codes = torch.arange(first, first + 4 * 2**shift, dtype=torch.int32).view(2, 1, 4, 8)
    place, rest = (codes.double() - first).div(16, rounding_mode="floor"), (codes.double() - first) % 16
    left, right = table.double()[place.long()], table.double()[place.long() + 1]
    expected = (left + (right - left) * rest / 16 + 0.5).floor()
    for arithmetic in (kind() for kind in ARITHMETICS.values()):
        given = arithmetic.interpolate(arithmetic.take(codes, torch.int32), table, first, shift)
        assert torch.equal(given.double(), expected)


def test_tables():
    table = torch.tensor([7, -7, 100], dtype=torch.int8)
    for backend in ARITHMETICS.values():
        arithmetic = backend()
        for codes, first, stride in (([0, 2, 1], 0, 1), ([-1, 3, 1], -1, 2)):
            taken = arithmetic.take(torch.tensor(codes, dtype=torch.int8), torch.int8)
            assert arithmetic.look_up(taken, table, first, stride).tolist() == [7, 100, -7]


def test_without_an_exact_int8_product_the_numbers_are_the_same(monkeypatch):
    codes, weight = _numbers(0, 256, 2, 4, 7, 8, dtype=torch.uint8), _numbers(-128, 128, 8, 4, 3, 3, dtype=torch.int8)
    window, results = Window(padding=(1, 1, 1, 1)), []
    for exact in (True, False):
        monkeypatch.setattr(matmul, "has_exact_int8_product", lambda exact=exact: exact)
        results.append(IntegerArithmetic().convolve(codes, torch.tensor(37), weight, window))
    assert torch.equal(*results) and results[0].dtype is torch.int32


def test_the_product_is_probed_where_sixteen_bits_would_not_do():
    rows = torch.full((2, 4), -128, dtype=torch.int8)
    assert torch.equal(matmul.wide_product(rows, rows), torch.full((2, 2), 4 * 128**2, dtype=torch.int32))
    assert isinstance(matmul.has_exact_int8_product(), bool)
    for a, b in itertools.product((-128, 127), repeat=2):
        out = matmul.product(torch.full((3, 6), a, dtype=torch.int8), torch.full((5, 6), b, dtype=torch.int8))
        assert torch.equal(out, torch.full((3, 5), 6 * a * b, dtype=torch.int32))
