"""Images of whole pixels pass as they are."""

import pytest
import torch

from third_party.quantization.quantizers import build_quantizer
from third_party.quantization.spec import ImageSpec, Role

PIXELS = torch.arange(256).view(1, 1, 16, 16).expand(2, 3, 16, 16)


def test_all_pixels_and_padding_pass_exactly() -> None:
    mean = (104.0, 117.0, 124.0)
    quantizer = build_quantizer(ImageSpec(mean=mean, std=(1.0,) * 3, granularity="channel"), Role.ACTIVATION, 3, 1)
    x = torch.nn.functional.pad(PIXELS - torch.tensor(mean).view(1, 3, 1, 1), (0, 2))
    assert torch.equal(quantizer.eval()(x), x)
    codes = quantizer.integers(x)
    assert torch.equal(codes[..., :16], PIXELS.int())
    assert codes[0, :, 0, -1].tolist() == [104, 117, 124]
    assert "same MODEL.PIXEL_MEAN" in (quantizer.grid().refusal or "")


@pytest.mark.parametrize("std", [1.0, 64.0, 57.0])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_equal_means_are_carried_by_one_scale(std: float, granularity: str) -> None:
    spec = ImageSpec(mean=(128.0,) * 3, std=(std,) * 3, granularity=granularity)
    quantizer = build_quantizer(spec, Role.ACTIVATION, 3, 1)
    x = (PIXELS - 128.0) / std
    assert torch.equal(quantizer.integers(x), PIXELS.int())
    grid = quantizer.grid()
    assert grid.refusal is None and grid.axis is None and grid.code_range == (0, 255)
    torch.testing.assert_close(quantizer(x), x, rtol=2e-7, atol=0)
    assert std == 57.0 or torch.equal(quantizer(x), x)


def test_it_needs_no_data_and_keeps_its_range() -> None:
    quantizer = build_quantizer(ImageSpec(mean=(128.0,), std=(1.0,)), Role.ACTIVATION)
    before = quantizer.grid().levels()
    quantizer.reset_range()
    quantizer.observe(torch.full((1, 1, 2, 2), 1e4))
    quantizer(torch.full((1, 1, 2, 2), 1e4))
    assert torch.equal(quantizer.grid().levels(), before) and quantizer.initialized
    assert not list(quantizer.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "empty"),
        ({"mean": (103.53, 104.0), "std": (1.0, 1.0)}, r"103\.53.*MODEL.PIXEL_MEAN"),
        ({"mean": (104.0, 104.0), "std": (1.0, 2.0)}, "MODEL.PIXEL_STD to one number"),
        ({"mean": (300.0,), "std": (1.0,)}, "0 to 255"),
        ({"mean": (104.0, 117.0), "std": (1.0, 1.0)}, "granularity channel"),
        ({"mean": (104.0, 117.0), "std": (1.0, 1.0), "granularity": "channel"}, "2 means for images of 3 channels"),
        ({"mean": (104.0,), "std": (1.0,), "granularity": 3}, "tensor or channel"),
        ({"mean": (104.0,), "std": (1.0,), "symmetric": True}, "fixed levels"),
    ],
)
def test_what_has_no_exact_grid_is_refused_with_a_remedy(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_quantizer(ImageSpec(**settings), Role.ACTIVATION, 3, 1)
