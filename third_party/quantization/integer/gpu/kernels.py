"""Convolutions of codes on NVIDIA GPUs: int8 products, int32 sums, requantization before anything is written.

Images lie with their channels last. Sums are whole numbers, so their order does not matter, and the results are those
of :class:`..arithmetic.IntegerArithmetic` bit for bit.

The kernels have run under Triton's interpreter and been compiled for sm_90; no GPU has been at hand yet.
"""

import triton
import triton.language as tl

# Numbers of which the compiler should not make a kernel of their own for 1 and for multiples of 16.
_PLAIN = ["top", "left", "stride_h", "stride_w", "dilation_h", "dilation_w", "low", "high", "first"]


@triton.jit
def _requantize(  # type: ignore[no-untyped-def]  # Triton compiles annotations too
    total, channel, known, c_at, d_at, b_at, table_at, low, high, first,
    HALF: tl.constexpr, TABLE: tl.constexpr, TABLE_SHIFT: tl.constexpr,
):  # fmt: skip
    """Codes ``round((c * total + b) / 2 ** d)``, halves to even, limited and looked up; int64 products."""
    c = tl.load(c_at + channel, mask=known, other=0).to(tl.int64)[None, :]
    d = tl.load(d_at + channel, mask=known, other=0).to(tl.int64)[None, :]
    b = tl.load(b_at + channel, mask=known, other=0)[None, :]
    value = total.to(tl.int64) * c + b
    # what is added carries into the quotient from above one half on, at one half where that makes it even
    add = ((tl.full([1, 1], 1, tl.int64) << d) >> 1) - 1 + ((value >> d) & 1)
    level = tl.where(d > 0, (value + add) >> d, value)
    code = tl.minimum(tl.maximum(level, low), high)
    if HALF:
        code = 2 * code + 1
    if TABLE:
        code = tl.load(table_at + ((code - first) >> TABLE_SHIFT))
    return code


@triton.jit
def _place(pixel, out_height, out_width, stride_h, stride_w, top, left):  # type: ignore[no-untyped-def]
    """Image of an output pixel, and row and column of the window's first pixel."""
    column = pixel % out_width
    row = (pixel // out_width) % out_height
    image = (pixel // out_width) // out_height
    return image.to(tl.int64), row * stride_h - top, column * stride_w - left


@triton.jit(do_not_specialize=_PLAIN)
def dense(  # type: ignore[no-untyped-def]
    x_at, weight_at, zero_at, correction_at, y_at, c_at, d_at, b_at, table_at,
    pixels, height, width, out_height, out_width, channels, outputs, group_channels, group_outputs,
    top, left, stride_h, stride_w, dilation_h, dilation_w, low, high, first,
    KERNEL_W: tl.constexpr, POSITIONS: tl.constexpr, MOVED: tl.constexpr, FLAT: tl.constexpr, FUSED: tl.constexpr,
    HALF: tl.constexpr, TABLE: tl.constexpr, TABLE_SHIFT: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A block of output pixels and channels of one group as a product of matrices whose left one is never written.

    ``x_at`` int8 (N, H, W, C), of uint8 codes the same bytes with MOVED; ``weight_at`` int8 (O, kh, kw, C / groups);
    ``zero_at`` int8 (C), what padding holds; ``correction_at`` int32 (O), its sums of products.
    FLAT: a block of the sum's terms goes on into the next kernel position, for few channels.
    """
    pixel = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    blocks = tl.cdiv(group_outputs, BLOCK_N)
    group = tl.program_id(1) // blocks
    own = (tl.program_id(1) % blocks) * BLOCK_N + tl.arange(0, BLOCK_N)
    channel, known = group * group_outputs + own, own < group_outputs
    image, top_row, left_column = _place(pixel, out_height, out_width, stride_h, stride_w, top, left)
    start = ((image * height + top_row) * width + left_column) * channels + group * group_channels
    terms = POSITIONS * group_channels
    chunks = tl.cdiv(group_channels, BLOCK_K)
    steps = tl.cdiv(terms, BLOCK_K) if FLAT else POSITIONS * chunks
    total = tl.zeros([BLOCK_M, BLOCK_N], dtype=tl.int32)
    for step in range(steps):
        if FLAT:
            term = step * BLOCK_K + tl.arange(0, BLOCK_K)
            position, depth = term // group_channels, term % group_channels
            is_term = term < terms
            down, right = (position // KERNEL_W * dilation_h)[None, :], (position % KERNEL_W * dilation_w)[None, :]
        else:
            position = step // chunks
            depth = (step % chunks) * BLOCK_K + tl.arange(0, BLOCK_K)
            term = position * group_channels + depth
            is_term = depth < group_channels
            down, right = position // KERNEL_W * dilation_h, position % KERNEL_W * dilation_w
        row, column = top_row[:, None] + down, left_column[:, None] + right
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (pixel < pixels)[:, None]
        offset = start[:, None] + (down * width + right) * channels + depth[None, :]
        x = tl.load(x_at + offset, mask=inside & is_term[None, :], other=0)
        if MOVED:
            x = x ^ -128
        zero = tl.load(zero_at + group * group_channels + depth, mask=is_term, other=0)
        x = tl.where(inside, x, zero[None, :])
        # where there is no term the weight is 0, whatever x is
        weights_at = weight_at + channel.to(tl.int64)[None, :] * terms + term[:, None]
        weight = tl.load(weights_at, mask=known[None, :] & is_term[:, None], other=0)
        total = tl.dot(x, weight, total, out_dtype=tl.int32)
    result = total - tl.load(correction_at + channel, mask=known, other=0)[None, :]
    if FUSED:
        result = _requantize(
            result, channel, known, c_at, d_at, b_at, table_at, low, high, first, HALF, TABLE, TABLE_SHIFT
        )
    place = y_at + pixel.to(tl.int64)[:, None] * outputs + channel[None, :]
    tl.store(place, result.to(y_at.dtype.element_ty), mask=(pixel < pixels)[:, None] & known[None, :])


@triton.jit(do_not_specialize=_PLAIN)
def depthwise(  # type: ignore[no-untyped-def]
    x_at, weight_at, zero_at, y_at, c_at, d_at, b_at, table_at,
    pixels, height, width, out_height, out_width, channels, outputs,
    top, left, stride_h, stride_w, dilation_h, dilation_w, low, high, first,
    KERNEL_W: tl.constexpr, POSITIONS: tl.constexpr, FUSED: tl.constexpr,
    HALF: tl.constexpr, TABLE: tl.constexpr, TABLE_SHIFT: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """As :func:`dense` for groups of one channel: ``weight_at`` (kh, kw, O) of any integers, ``zero_at`` int32."""
    pixel = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    channel = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    known = channel < outputs
    source = channel // (outputs // channels)
    image, top_row, left_column = _place(pixel, out_height, out_width, stride_h, stride_w, top, left)
    start = ((image * height + top_row) * width + left_column) * channels
    zero = tl.load(zero_at + source, mask=known, other=0)[None, :]
    total = tl.zeros([BLOCK_M, BLOCK_N], dtype=tl.int32)
    for position in range(POSITIONS):
        down, right = position // KERNEL_W * dilation_h, position % KERNEL_W * dilation_w
        row, column = top_row + down, left_column + right
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (pixel < pixels)
        mask = inside[:, None] & known[None, :]
        offset = (start + (down * width + right) * channels)[:, None] + source[None, :]
        x = tl.load(x_at + offset, mask=mask, other=0).to(tl.int32)
        weight = tl.load(weight_at + position * outputs + channel, mask=known, other=0).to(tl.int32)
        total += tl.where(mask, x - zero, 0) * weight[None, :]
    result = total
    if FUSED:
        result = _requantize(
            result, channel, known, c_at, d_at, b_at, table_at, low, high, first, HALF, TABLE, TABLE_SHIFT
        )
    place = y_at + pixel.to(tl.int64)[:, None] * outputs + channel[None, :]
    tl.store(place, result.to(y_at.dtype.element_ty), mask=(pixel < pixels)[:, None] & known[None, :])
