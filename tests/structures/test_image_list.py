import pytest
import torch

from detectron2.structures import ImageList
from tests.facts import golden


def images(*sizes, channels=3):
    return [torch.rand(channels, h, w, generator=torch.Generator().manual_seed(h * w)) for h, w in sizes]


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("imagelist_0", {}),
        ("imagelist_32", {"size_divisibility": 32}),
        ("imagelist_sq64", {"padding_constraints": {"square_size": 64}}),
        ("imagelist_sd16", {"padding_constraints": {"size_divisibility": 16}}),
    ],
)
def test_padded_shape(name, arguments):
    batch = ImageList.from_tensors(images((40, 50), (41, 33)), **arguments)
    assert tuple(batch.tensor.shape) == tuple(golden("vit_utils_imagelist")[f"{name}_shape"])


def test_content_and_padding():
    first, second = images((4, 6), (5, 3))
    batch = ImageList.from_tensors([first, second], 4, pad_value=7.0)
    assert batch.image_sizes == [(4, 6), (5, 3)] and len(batch) == 2
    assert torch.equal(batch[0], first) and torch.equal(batch[1], second)
    assert batch.tensor[0, :, 4:].eq(7).all() and batch.tensor[1, :, :, 3:].eq(7).all()
    assert batch.to(torch.float64).tensor.dtype == torch.float64 and batch.device == torch.device("cpu")


def test_batch_is_a_copy_of_a_single_image():
    (image,) = images((8, 8))
    batch = ImageList.from_tensors([image], 8)
    assert batch.tensor.shape == (1, 3, 8, 8) and batch.tensor.is_contiguous()


def test_label_maps_without_channels():
    batch = ImageList.from_tensors([torch.zeros(3, 4).long(), torch.zeros(5, 2).long()], 0, pad_value=255)
    assert batch.tensor.shape == (2, 5, 4) and batch.tensor.dtype == torch.int64
    assert batch.tensor[0, 3:].eq(255).all()


@pytest.mark.parametrize(
    "tensors, arguments, message",
    [
        ([], {}, "no images"),
        ([torch.zeros(3, 4, 4), torch.zeros(1, 4, 4)], {}, r"\(1, 4, 4\)"),
        ([torch.zeros(4)], {}, "height and width"),
        (images((9, 4)), {"padding_constraints": {"square_size": 8}}, "9 x 4 .* square_size 8"),
    ],
)
def test_wrong_use_is_named(tensors, arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageList.from_tensors(tensors, **arguments)


class Padder(torch.nn.Module):
    def forward(self, image):
        batch = ImageList.from_tensors([image], 32)
        (size,) = batch.image_sizes
        return batch.tensor * 2, size


def test_export_keeps_height_and_width_free():
    dims = {1: torch.export.Dim("height", min=160), 2: torch.export.Dim("width", min=160)}
    (example,) = images((200, 170))
    program = torch.export.export(Padder(), (example,), dynamic_shapes=(dims,))
    for size in ((160, 160), (333, 401), (256, 192)):
        (image,) = images(size)
        padded, shape = program.module()(image)
        assert torch.equal(padded, Padder()(image)[0]) and tuple(shape) == size
