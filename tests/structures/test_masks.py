import numpy as np
import pytest
import torch

from detectron2.structures import BitMasks, Boxes, PolygonMasks, ROIMasks, polygons_to_bitmask
from detectron2.structures.masks import polygon_area, rasterize_polygons_within_box
from tests.facts import golden, golden_json

HEIGHT, WIDTH = 80, 100


@pytest.fixture
def facts():
    return {name: torch.from_numpy(array) for name, array in golden("masks").items()}


@pytest.fixture
def polygons():
    instances = golden_json("masks_polygons")
    return PolygonMasks([[np.array(polygon) for polygon in instance] for instance in instances])


def agree(actual, expected, share=0.001):
    assert actual.dtype == torch.bool and actual.shape == expected.shape
    assert (actual != expected).float().mean() <= share


def test_polygon_measures(facts, polygons):
    torch.testing.assert_close(polygons.get_bounding_boxes().tensor, facts["poly_boxes"])
    torch.testing.assert_close(polygons.area(), facts["poly_area"], rtol=0, atol=1e-4)
    assert torch.equal(polygons.nonempty(), facts["poly_nonempty"])


@pytest.mark.parametrize("size", [14, 28])
def test_polygon_crop(facts, polygons, size):
    assert torch.equal(polygons.crop_and_resize(facts["crop_boxes"], size), facts[f"poly_crop{size}"])


def test_crop_of_one_instance_is_that_of_all(facts, polygons):
    together = polygons.crop_and_resize(facts["crop_boxes"], 28)
    for instance, box, expected in zip(polygons, facts["crop_boxes"].numpy(), together, strict=True):
        assert torch.equal(rasterize_polygons_within_box(instance, box, 28), expected)


def test_instances_without_polygons(facts):
    square = np.array([10.0, 10, 30, 10, 30, 30, 10, 30])
    masks = PolygonMasks([[], [square], [], [square, square + 3], []])
    assert masks.nonempty().tolist() == [False, True, False, True, False]
    boxes = masks.get_bounding_boxes().tensor
    assert boxes.tolist() == [[0] * 4, [10, 10, 30, 30], [0] * 4, [10, 10, 33, 33], [0] * 4]
    crops = masks.crop_and_resize(torch.tensor([[10.0, 10, 30, 30]] * 5), 7)
    assert crops.flatten(1).sum(1).tolist() == [0, 49, 0, 49, 0]
    assert masks.area().tolist() == [0, 400, 0, 800, 0]
    assert BitMasks.from_polygon_masks(masks, 40, 40).nonempty().tolist() == masks.nonempty().tolist()


def test_polygon_crop_in_boxes_without_extent():
    masks = PolygonMasks([[np.array([0.0, 0, 10, 0, 10, 10])]])
    assert masks.crop_and_resize(torch.tensor([[5.0, 5, 5, 5]]), 7).shape == (1, 7, 7)


def test_bit_masks(facts, polygons):
    bits = BitMasks.from_polygon_masks(polygons, HEIGHT, WIDTH)
    assert torch.equal(bits.tensor, facts["bitmask_80x100"])
    assert torch.equal(BitMasks.from_polygon_masks(polygons.polygons, HEIGHT, WIDTH).tensor, bits.tensor)
    torch.testing.assert_close(bits.get_bounding_boxes().tensor, facts["bit_boxes"])
    assert torch.equal(bits.nonempty(), facts["bit_nonempty"])
    for size in (14, 28):
        agree(bits.crop_and_resize(facts["crop_boxes"], size), facts[f"bit_crop{size}"])


def test_bit_mask_boxes_at_the_borders(facts):
    masks = torch.zeros(2, 12, 15, dtype=torch.bool)
    masks[1, 3:5, 6:9] = True
    assert torch.equal(BitMasks(masks).get_bounding_boxes().tensor, facts["bit_zero_boxes"])
    full = BitMasks(torch.ones(1, 12, 15)).get_bounding_boxes()
    assert full.tensor.tolist() == [[0, 0, 15, 12]]
    for shape in ((2, 0, 5), (2, 5, 0)):
        flat = BitMasks(torch.zeros(shape))
        assert flat.get_bounding_boxes().tensor.tolist() == [[0] * 4] * 2 and not flat.nonempty().any()


def test_bit_mask_crop_reads_what_roi_align_reads():
    """Cropping before resampling must not change what the samples see, at the image's borders in particular."""
    from torchvision.ops import roi_align

    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(40, 30, 41, generator=generator) > 0.5
    corners = torch.rand(40, 2, 2, generator=generator) * 60 - 10
    boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
    rois = torch.cat([torch.arange(40.0)[:, None], boxes], dim=1)
    expected = roi_align(masks[:, None].float(), rois, 9, 1.0, 0, True)[:, 0] >= 0.5
    agree(BitMasks(masks).crop_and_resize(boxes, 9), expected)


def test_roi_masks(facts):
    bits = ROIMasks(facts["roi_in"]).to_bitmasks(facts["crop_boxes"], HEIGHT, WIDTH, 0.5)
    agree(bits.tensor, facts["roi_to_bit"])
    assert torch.equal(
        ROIMasks(facts["roi_in"]).to_bitmasks(Boxes(facts["crop_boxes"]), HEIGHT, WIDTH).tensor, bits.tensor
    )


def test_roi_masks_over_the_whole_image():
    halves = torch.zeros(1, 8, 8)
    halves[:, :, 4:] = 1
    bits = BitMasks.from_roi_masks(ROIMasks(halves), 16, 40)
    assert bits.get_bounding_boxes().tensor.tolist() == [[20, 0, 40, 16]]


def test_rasterised_square():
    square = np.array([2.0, 3, 7, 3, 7, 9, 2, 9])
    mask = polygons_to_bitmask([square], 12, 10)
    assert mask.dtype == bool and mask.sum() == 30 and mask[3:9, 2:7].all()
    assert not polygons_to_bitmask([], 12, 10).any()
    assert polygon_area(square[0::2], square[1::2]) == 30


@pytest.mark.parametrize("empty", [PolygonMasks([]), BitMasks(torch.zeros(0, 5, 6))], ids=["polygons", "bits"])
def test_no_masks(empty):
    assert len(empty) == 0 and list(empty) == []
    assert empty.nonempty().shape == (0,) and empty.nonempty().dtype == torch.bool
    assert empty.get_bounding_boxes().tensor.shape == (0, 4)
    assert empty.crop_and_resize(torch.zeros(0, 4), 7).shape == (0, 7, 7)
    assert len(type(empty).cat([empty, empty])) == 0
    assert ROIMasks(torch.zeros(0, 4, 4)).to_bitmasks(torch.zeros(0, 4), 5, 6).tensor.shape == (0, 5, 6)
    assert BitMasks.from_polygon_masks([], 5, 6).tensor.shape == (0, 5, 6)


MASK = np.array([True, False, True, False, False, True])
INDICES = [1, slice(2, 5), torch.from_numpy(MASK), MASK, torch.tensor([4, 0]), [4, 0], torch.zeros(0).long()]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(polygons, index):
    bits = BitMasks.from_polygon_masks(polygons, HEIGHT, WIDTH)
    chosen = BitMasks.from_polygon_masks(polygons[index], HEIGHT, WIDTH)
    assert torch.equal(chosen.tensor, bits[index].tensor)
    assert torch.equal(chosen.tensor, BitMasks.cat([bits[index], bits[:0]]).tensor)
    assert len(PolygonMasks.cat([polygons[index], polygons[index]])) == 2 * len(chosen)
    assert len(ROIMasks(torch.rand(6, 4, 4))[index]) == len(chosen)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: PolygonMasks(np.zeros((2, 6))), "list of instances, got ndarray"),
        (lambda: PolygonMasks([[np.zeros(6)], np.zeros(6)]), "instance 1 .* list of polygons"),
        (lambda: PolygonMasks([[np.zeros(7)]]), r"instance 0 has shape \(7,\)"),
        (lambda: PolygonMasks([[np.zeros(4)]]), "at least 3 corners"),
        (lambda: PolygonMasks([[np.zeros(6)]])[torch.tensor([0.0])], "float32"),
        (lambda: PolygonMasks([[np.zeros(6)]]).crop_and_resize(torch.zeros(2, 4), 7), "2 boxes for 1 masks"),
        (lambda: BitMasks(torch.zeros(3, 4)), r"got \(3, 4\)"),
        (lambda: BitMasks(torch.zeros(1, 3, 4))[0, 0], "no masks"),
        (lambda: BitMasks(torch.zeros(1, 3, 4)).crop_and_resize(torch.zeros(2, 4), 7), "2 boxes for 1 masks"),
        (lambda: ROIMasks(torch.zeros(3, 4)), r"got \(3, 4\)"),
    ],
)
def test_wrong_use_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
