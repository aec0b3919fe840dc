"""Building networks from tables: interface, errors, gradients, and export with dynamic shapes."""

import pytest
import torch
from detectron2.projects.yolo.families import FAMILIES, Family, Scale, register_family
from detectron2.projects.yolo.families.names import rename_state_dict
from detectron2.projects.yolo.network import YOLONetwork, absolute_sources, ancestors, build_network
from torch import Tensor, nn

from detectron2.layers import Conv2d
from tests.projects.yolo.test_meta_arch import SMALLEST


@pytest.mark.parametrize("family", SMALLEST)
def test_interface(family: str) -> None:
    network = build_network(family, SMALLEST[family], 7, in_channels=4)
    anchors = network.anchors
    assert network.num_classes == 7
    assert network.head_kind in ("anchor_free_dfl", "yolox", "anchor_based", "end_to_end")
    assert (anchors is None) == (network.head_kind != "anchor_based")
    assert (network.reg_max is None) == (network.head_kind in ("anchor_based", "yolox"))
    per_cell = len(anchors[0]) * 12 if anchors else 12 if network.reg_max is None else 4 * network.reg_max + 7
    shapes = network.output_shapes(64, 96)
    assert shapes == [(per_cell, 64 // stride, 96 // stride) for stride in network.strides]


@pytest.mark.parametrize("family", SMALLEST)
def test_every_parameter_learns(family: str) -> None:
    torch.manual_seed(0)
    network = build_network(family, SMALLEST[family], 3).train()
    raw = network(torch.rand(2, 3, 64, 64))
    assert len(raw) == len(network.strides) * (2 if network.head.has_auxiliary else 1)
    sum(level.square().sum() for level in raw).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


# Each kind of head, and both kinds of attention; tracing a network takes seconds.
@pytest.mark.parametrize("family", ["yolov8", "yolo12", "yolo26", "yolov7", "yolox"])
def test_export_with_dynamic_shapes(family: str) -> None:
    torch.manual_seed(0)
    network = build_network(family, SMALLEST[family], 3).eval()
    batch = torch.export.Dim("batch", min=1, max=8)
    height, width = (32 * torch.export.Dim(name, min=2, max=16) for name in ("height", "width"))
    shapes = ({0: batch, 2: height, 3: width},)
    with torch.no_grad():
        program = torch.export.export(network, (torch.rand(2, 3, 64, 96),), dynamic_shapes=shapes).module()
        image = torch.rand(3, 3, 128, 64)
        for ours, theirs in zip(program(image), network(image), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["yolov8", "yolo12", "yolov7", "yolox"])
def test_images_of_a_batch_do_not_mix(family: str) -> None:
    torch.manual_seed(0)
    network = build_network(family, SMALLEST[family], 3).eval()
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        together = network(images)
        for index in range(3):
            for batch, single in zip(together, network(images[index : index + 1]), strict=True):
                torch.testing.assert_close(batch[index : index + 1], single, rtol=1e-4, atol=1e-5)


def test_unused_rows_run_only_in_training() -> None:
    network = build_network("yolov9", "t", 3)
    calls: list[int] = []
    for index in (21, 28):
        network.layers[index].register_forward_hook(lambda *_, index=index: calls.append(index))
    image = torch.rand(2, 3, 64, 64)
    network.train()(image)
    assert calls == [21, 28]
    network.eval()(image)
    assert calls == [21, 28, 21]


def test_layers_are_ones_that_quantization_finds() -> None:
    for family, size in SMALLEST.items():
        convolutions = [layer for layer in build_network(family, size, 3).modules() if isinstance(layer, nn.Conv2d)]
        assert {type(layer) for layer in convolutions} == {Conv2d}


def test_scale_rounds_channels_up_and_repeats_to_the_nearest() -> None:
    scale = Scale(depth=0.33, width=0.3, max_channels=100)
    assert [scale.channels(channels) for channels in (16, 80, 100, 1000)] == [8, 24, 32, 32]
    assert [scale.repeats(repeats) for repeats in (1, 2, 3, 6, 9)] == [1, 1, 1, 2, 3]
    with pytest.raises(ValueError, match="positive"):
        Scale(depth=0)


def test_rows_refer_to_each_other() -> None:
    assert absolute_sources(5, (-1, 2, -5)) == (4, 2, 0)
    assert absolute_sources(0, (-1,)) == (-1,)
    assert ancestors([(-1,), (0,), (0,), (1, 2), (2,)], [4]) == {0, 2, 4}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("yolov88", "n", 3), KeyError, "'yolov8'"),
        (("yolov8", "nn", 3), KeyError, "did you mean 'n'"),
        (("yolov8", "z", 3), KeyError, "there are: n, s, m, l, x"),
        (("yolov8", "n", 0), ValueError, "num_classes"),
        (("yolov8", "n", 3, 0), ValueError, "in_channels"),
    ],
)
def test_mistakes_are_named(arguments: tuple, error: type[Exception], message: str) -> None:
    with torch.device("meta"), pytest.raises(error, match=message):
        build_network(*arguments)


def test_image_size_must_fit_the_strides() -> None:
    with pytest.raises(ValueError, match="multiples of 32, not 100 and 64"):
        _tiny().output_shapes(100, 64)


def test_a_name_is_given_to_one_family_only() -> None:
    taken = FAMILIES["yolov8"]
    with pytest.raises(ValueError, match="registered already"):
        register_family(Family("yolov8", taken.scales, taken.layout, taken.names))


def test_published_state_dict_fits_exactly() -> None:
    network = _tiny()
    published = {theirs: network.state_dict()[ours] for ours, theirs in network.source_names().items()}
    constant = {"model.20.anchors": torch.zeros(2, 3, 2)}
    converted = network.convert_state_dict({**published, **constant})
    assert set(converted) == set(network.state_dict())

    missing = dict(published)
    missing.pop("model.0.conv.weight")
    with pytest.raises(ValueError, match=r"1 missing \(model.0.conv.weight\), 1 not expected \(extra\)"):
        network.convert_state_dict({**missing, "extra": torch.zeros(1)})


def test_renaming_keeps_the_tensors() -> None:
    tensor: Tensor = torch.rand(2)
    assert rename_state_dict({"ours": "theirs"}, {"theirs": tensor})["ours"] is tensor


def _tiny() -> YOLONetwork:
    with torch.device("meta"):
        return build_network("yolov3", "tiny", 3)
