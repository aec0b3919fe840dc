"""Anchors against golden numbers, from configs, and under tracing."""

import pytest
import torch

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling.anchor_generator import (
    ANCHOR_GENERATOR_REGISTRY,
    BufferList,
    DefaultAnchorGenerator,
    build_anchor_generator,
)
from tests.facts import golden

PYRAMID = [4, 8, 16, 32, 64]
RETINA_SIZES = [[x, x * 2 ** (1 / 3), x * 2 ** (2 / 3)] for x in (32, 64, 128, 256, 512)]
RATIOS = [[0.5, 1.0, 2.0]]


def features(sizes):
    return [torch.zeros(1, 3, *size) for size in sizes]


@pytest.mark.parametrize(
    "cell_key, anchor_key, arguments, sizes",
    [
        (
            "fpn_cell_{}",
            "fpn_anchors_{}",
            {"sizes": [[32], [64], [128], [256], [512]], "strides": PYRAMID, "offset": 0.0},
            [(6, 8), (3, 4), (2, 2), (1, 1), (1, 1)],
        ),
        (
            "retina_cell_{}",
            "retina_off0.5_anchors_{}",
            {"sizes": RETINA_SIZES, "strides": [8, 16, 32, 64, 128], "offset": 0.5},
            [(3, 4), (2, 2), (1, 1), (1, 1), (1, 1)],
        ),
        (
            "c4_cell",
            "c4_anchors_2x3",
            {"sizes": [[32, 64, 128, 256, 512]], "strides": [16]},
            [(2, 3)],
        ),
    ],
)
def test_golden(cell_key, anchor_key, arguments, sizes):
    generator = DefaultAnchorGenerator(aspect_ratios=RATIOS, **arguments)
    numbers = golden("anchors")
    anchors = generator(features(sizes))
    for level, (cell, boxes) in enumerate(zip(generator.cell_anchors, anchors, strict=True)):
        torch.testing.assert_close(cell, torch.from_numpy(numbers[cell_key.format(level)]), rtol=0, atol=1e-4)
        torch.testing.assert_close(boxes.tensor, torch.from_numpy(numbers[anchor_key.format(level)]), rtol=0, atol=1e-4)
    assert generator.num_anchors == generator.num_cell_anchors == [len(cell) for cell in generator.cell_anchors]


def test_values_are_shared_by_levels_where_one_list_is_given():
    generator = DefaultAnchorGenerator(sizes=[32, 64], aspect_ratios=[1.0], strides=[4, 8, 16])
    assert generator.num_anchors == [2, 2, 2]
    assert generator.box_dim == 4


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"offset": 1.0}, "OFFSET"),
        ({"sizes": [[32], [64]]}, "sizes .* 2 lists for 3"),
        ({"aspect_ratios": []}, "aspect_ratios"),
        ({"sizes": 32}, "sizes"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, message):
    settings = {"sizes": [[32]], "aspect_ratios": RATIOS, "strides": [4, 8, 16], **arguments}
    with pytest.raises(ValueError, match=message):
        DefaultAnchorGenerator(**settings)


def test_cell_anchors_move_with_the_module_but_are_not_saved():
    generator = DefaultAnchorGenerator(sizes=[[32]], aspect_ratios=RATIOS, strides=[4])
    assert generator.state_dict() == {}
    assert [name for name, _ in generator.named_buffers()] == ["cell_anchors.0"]
    assert isinstance(generator.cell_anchors, BufferList) and len(generator.cell_anchors) == 1


def test_built_from_config_for_every_registered_generator():
    assert "DefaultAnchorGenerator" in ANCHOR_GENERATOR_REGISTRY
    cfg = get_cfg()
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64]]
    generator = build_anchor_generator(cfg, [ShapeSpec(channels=8, stride=4), ShapeSpec(channels=8, stride=8)])
    assert generator.strides == [4, 8] and generator.offset == 0.0 and generator.num_anchors == [3, 3]


def test_empty_feature_map_has_no_anchors():
    generator = DefaultAnchorGenerator(sizes=[[32]], aspect_ratios=RATIOS, strides=[4])
    assert len(generator(features([(0, 5)]))[0]) == 0


class _AsTensors(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = DefaultAnchorGenerator(sizes=[[32], [64]], aspect_ratios=RATIOS, strides=[4, 8])

    def forward(self, fine, coarse):
        return [boxes.tensor for boxes in self.generator([fine, coarse])]


def test_exports_with_sizes_left_open():
    sizes = {"fine": {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}, "coarse": {2: torch.export.Dim.AUTO}}
    module = _AsTensors()
    program = torch.export.export(module, tuple(features([(6, 8), (3, 4)])), dynamic_shapes=sizes)
    inputs = features([(10, 14), (5, 4)])
    for actual, expected in zip(program.module()(*inputs), module(*inputs), strict=True):
        assert torch.equal(actual, expected)
