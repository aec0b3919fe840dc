"""Types, codes and scales that go into a file."""

import numpy as np
import pytest

from third_party.quantization.export.lowering.carriers import CODE_RANGES, carrier_of
from third_party.quantization.export.lowering.targets import TARGETS
from third_party.quantization.export.lowering.weights import canonical, code_type
from third_party.quantization.export.nodes import TensorGrid


def grid(low: int, high: int, zero: int = 0, **extra) -> TensorGrid:
    return TensorGrid((0.1,), (zero,), low, high, **extra)


@pytest.mark.parametrize(
    "levels, target, expected",
    (
        (grid(0, 255, 7), "generic", ("UINT8", 0)),
        (grid(0, 15, 7), "generic", ("UINT4", 0)),
        (grid(0, 15, 7), "openvino", ("UINT8", 0)),
        (grid(-128, 127), "generic", ("INT8", 0)),
        (grid(-128, 127), "onnxruntime", ("UINT8", 128)),
        (grid(-8, 7), "generic", ("INT4", 0)),
        (grid(-8, 7), "onnxruntime", ("UINT8", 8)),
        (grid(0, 2**16 - 1, 9), "onnxruntime", ("UINT16", 0)),
        (grid(-(2**15), 2**15 - 1), "openvino", ("INT16", 0)),
        (grid(-(2**15), 2**15 - 1), "onnxruntime", ("UINT16", 2**15)),
        (grid(0, 127), "tensorrt", ("INT8", 0)),
        (grid(-128, 127), "tensorrt", ("INT8", 0)),
        (grid(0, 255, 128), "tensorrt", ("INT8", -128)),
    ),
)
def test_types_of_activations(levels, target, expected):
    carrier = carrier_of(levels, TARGETS[target])
    assert (carrier.data_type, carrier.shift) == expected
    low, high = CODE_RANGES[carrier.data_type]
    assert low <= carrier.low <= carrier.high <= high
    assert low <= levels.zero_point[0] + carrier.shift <= high
    assert carrier.clips_low == (carrier.low > low) and carrier.clips_high == (carrier.high < high)


@pytest.mark.parametrize("levels", (grid(0, 255), grid(0, 255, 10), grid(-(2**15), 2**15 - 1)))
def test_tensorrt_takes_eight_bits_with_zero_at_zero(levels):
    with pytest.raises(ValueError, match="symmetric: True"):
        carrier_of(levels, TARGETS["tensorrt"])


def test_too_wide():
    with pytest.raises(ValueError, match="do not fit into 16 bits"):
        carrier_of(grid(0, 2**17), TARGETS["generic"])


def test_grids_describe_themselves():
    assert grid(0, 255, 55).ends == pytest.approx((-5.5, 20.0))
    assert grid(-8, 7, half=True).ends == pytest.approx((-0.75, 0.75))
    assert "half levels" in grid(-8, 7, half=True).describe() and grid(-8, 7).bits == 4
    assert "2 groups" in TensorGrid((0.1, 0.2), (0, 0), 0, 15, 1).describe()


def test_negative_scales_turn_codes_around_where_that_is_possible():
    codes = np.array([[-128, 5], [127, -3], [-127, 9], [4, 4]])
    scale = np.array([-0.5, -0.25, 2.0, 0.0], np.float32)
    turned, positive = canonical(codes, scale, 0)
    np.testing.assert_array_equal(turned * positive[:, None], codes * scale[:, None])
    assert positive.tolist() == [-0.5, 0.25, 2.0, 1.0] and turned.min() >= -128 and turned.max() <= 127


@pytest.mark.parametrize("axis, groups", ((0, 2), (1, 3), (-1, 6)))
def test_groups_of_channels_get_a_scale_each(axis, groups):
    rng = np.random.default_rng(0)
    codes = rng.integers(-100, 100, (4, 6))
    scale = rng.normal(size=groups).astype(np.float32)
    turned, spread = canonical(codes, scale, axis)
    assert spread.shape == (codes.shape[axis],) and (spread > 0).all()
    expected = codes * np.expand_dims(np.repeat(scale, codes.shape[axis] // groups), 1 - axis % 2)
    np.testing.assert_allclose(turned * np.expand_dims(spread, 1 - axis % 2), expected)


def test_scales_of_two_dimensions():
    codes = np.arange(-4, 4).reshape(2, 4)
    scale = np.array([[1.0, -1.0, 2.0, -2.0]], np.float32)
    turned, positive = canonical(codes, scale, 0)
    np.testing.assert_array_equal(turned * positive, codes * scale)
    assert (positive > 0).all()


@pytest.mark.parametrize(
    "low, high, expected",
    ((-8, 7, "INT4"), (0, 15, "UINT4"), (-8, 8, "INT8"), (0, 255, "UINT8"), (-129, 0, "INT16"), (0, 0, "INT4")),
)
def test_the_narrowest_type_of_weights(low, high, expected):
    assert code_type(np.array([low, high]), "w") == expected
    with pytest.raises(ValueError, match="conv: integers"):
        code_type(np.array([0, 2**15]), "conv")
