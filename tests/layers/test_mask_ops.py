import pytest
import torch
import torch.nn.functional as F

from detectron2.layers import mask_ops, paste_masks_in_image
from detectron2.structures import Boxes
from tests.facts import golden


@pytest.fixture
def facts():
    return {name: torch.from_numpy(array) for name, array in golden("paste_masks").items()}


def by_grid_sample(masks, boxes, height, width):
    """The definition, a sampling grid over the whole image."""
    grids = []
    for x0, y0, x1, y1 in boxes.tolist():
        x = (torch.arange(width) + 0.5 - x0) / (x1 - x0) * 2 - 1
        y = (torch.arange(height) + 0.5 - y0) / (y1 - y0) * 2 - 1
        grids.append(torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=2))
    return F.grid_sample(masks[:, None], torch.stack(grids), align_corners=False)[:, 0]


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_golden(facts, threshold):
    pasted = paste_masks_in_image(facts["masks"], facts["boxes"], (60, 80), threshold)
    expected = facts[f"out_60x80_thr{threshold}"]
    assert pasted.dtype == torch.bool and (pasted != expected).float().mean() <= 0.001
    assert torch.equal(pasted, paste_masks_in_image(facts["masks"], Boxes(facts["boxes"]), (60, 80), threshold))


def test_soft_masks(facts):
    pasted = paste_masks_in_image(facts["masks"], facts["boxes"], (60, 80), -1)
    assert pasted.dtype == torch.uint8
    assert (pasted.int() - facts["out_60x80_soft"].int()).abs().max() <= 1


def test_padding_and_scaling(facts):
    padded, scale = mask_ops.pad_masks(facts["masks"], 1)
    assert torch.equal(padded, facts["padded"]) and scale == pytest.approx(float(facts["pad_scale"]))
    torch.testing.assert_close(mask_ops.scale_boxes(facts["boxes"], scale), facts["scaled_boxes"])


@pytest.mark.parametrize("skip_empty", [True, False])
def test_regions_agree_with_the_definition(skip_empty):
    generator = torch.Generator().manual_seed(3)
    masks = torch.rand(20, 14, 14, generator=generator)
    corners = torch.rand(20, 2, 2, generator=generator) * 80 - 20
    boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
    soft, region = mask_ops._do_paste_mask(masks[:, None], boxes, 37, 45, skip_empty=skip_empty)
    canvas = torch.zeros(20, 37, 45)
    canvas[(slice(None), *region)] = soft
    torch.testing.assert_close(canvas, by_grid_sample(masks, boxes, 37, 45), rtol=1e-4, atol=1e-4)


def test_parts_cover_all_masks_within_the_memory_limit():
    assert list(mask_ops._parts(3, 100, True)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    pixels = mask_ops.GPU_MEM_LIMIT // mask_ops.BYTES_PER_FLOAT // 4
    assert list(mask_ops._parts(10, pixels, False)) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert list(mask_ops._parts(2, 100 * pixels, False)) == [slice(0, 1), slice(1, 2)]


def test_boxes_outside_and_without_extent():
    masks = torch.ones(4, 7, 7)
    boxes = torch.tensor([[-30.0, 2, -20, 8], [50, 50, 60, 60], [3, 3, 3, 3], [-5, -5, 100, 100]])
    pasted = paste_masks_in_image(masks, boxes, (20, 30))
    assert pasted.flatten(1).sum(1).tolist() == [0, 0, 0, 600]


def test_half_precision_masks(facts):
    with torch.autocast("cpu", torch.bfloat16):
        half = paste_masks_in_image(facts["masks"].bfloat16(), facts["boxes"], (60, 80))
    full = paste_masks_in_image(facts["masks"].bfloat16().float(), facts["boxes"], (60, 80))
    assert torch.equal(half, full)


def test_none(facts):
    empty = paste_masks_in_image(torch.zeros(0, 28, 28), torch.zeros(0, 4), (60, 80))
    assert empty.shape == facts["empty"].shape and empty.dtype == facts["empty"].dtype


def test_tensor_shape(facts):
    shape = (torch.tensor(60), torch.tensor(80))
    pasted = mask_ops._paste_masks_tensor_shape(facts["masks"], facts["boxes"], shape, 0.5)
    assert torch.equal(pasted, paste_masks_in_image(facts["masks"], facts["boxes"], (60, 80)))


def test_whole_pixel_form():
    mask = torch.zeros(4, 4)
    mask[:, 2:] = 1
    pasted = mask_ops.paste_mask_in_image_old(mask, torch.tensor([2, 1, 9, 4]), 8, 8, 0.5)
    assert pasted.shape == (8, 8) and pasted.dtype == torch.uint8
    assert pasted.nonzero().amin(0).tolist() == [1, 6] and pasted.sum() == 8
    soft = mask_ops.paste_mask_in_image_old(mask, torch.tensor([2, 1, 9, 4]), 8, 8, -1)
    assert soft.max() == 255
    outside = mask_ops.paste_mask_in_image_old(mask, torch.tensor([20, 1, 29, 4]), 8, 8, 0.5)
    assert not outside.any()


@pytest.mark.parametrize(
    "masks, boxes, message",
    [
        (torch.zeros(2, 7, 8), torch.zeros(2, 4), "square"),
        (torch.zeros(2, 1, 7, 7), torch.zeros(2, 4), r"\(N, M, M\)"),
        (torch.zeros(2, 7, 7), torch.zeros(3, 4), "2 masks for 3 boxes"),
    ],
)
def test_wrong_use_is_named(masks, boxes, message):
    with pytest.raises(ValueError, match=message):
        paste_masks_in_image(masks, boxes, (9, 9))
