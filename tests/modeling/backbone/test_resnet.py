"""ResNet's stages, blocks, freezing and config."""

import pytest
import torch

from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY, BasicStem, BottleneckBlock, ResNet, build_backbone
from detectron2.modeling.backbone.resnet import BasicBlock, DeformBottleneckBlock, build_resnet_backbone, make_stage
from tests.modeling.fact_configs import cfg_with

R18 = {"MODEL.RESNETS.DEPTH": 18, "MODEL.RESNETS.RES2_OUT_CHANNELS": 64, "MODEL.BACKBONE.FREEZE_AT": 0}
ALL_STAGES = ["res2", "res3", "res4", "res5"]


def _tiny(**arguments) -> ResNet:
    stages = [
        make_stage(BasicBlock, 1, in_channels=4 * 2**i, out_channels=8 * 2**i, stride_per_block=[2]) for i in range(3)
    ]
    return ResNet(BasicStem(3, 4), stages, **arguments)


@pytest.mark.parametrize("depth, stages", [(18, 8), (34, 16), (50, 16), (101, 33), (152, 50)])
def test_default_stages_have_the_published_number_of_blocks_and_strides(depth, stages):
    with torch.device("meta"):
        model = ResNet(BasicStem(), ResNet.make_default_stages(depth), out_features=ALL_STAGES)
        outputs = model(torch.zeros(1, 3, 64, 96))
    assert sum(len(stage) for stage in model.stages) == stages
    for name, shape in model.output_shape().items():
        assert outputs[name].shape == (1, shape.channels, 64 // shape.stride, 96 // shape.stride)


def test_default_stages_take_another_block_and_its_arguments():
    with torch.device("meta"):
        stages = ResNet.make_default_stages(50, DeformBottleneckBlock, norm="GN", deform_modulated=True)
    assert isinstance(stages[3][2], DeformBottleneckBlock) and stages[3][2].conv2_offset.out_channels == 27


def test_stages_behind_the_last_feature_are_left_out():
    model = _tiny(out_features=["stem", "res3"])
    assert model.stage_names == ("res2", "res3") and not hasattr(model, "res4")
    assert list(model(torch.zeros(1, 3, 32, 32))) == ["stem", "res3"]
    assert model.output_shape() == {"stem": ShapeSpec(channels=4, stride=4), "res3": ShapeSpec(channels=16, stride=16)}


def test_classifier_is_the_default_output_and_uses_all_stages():
    model = _tiny(num_classes=5)
    assert {k: v.shape for k, v in model(torch.zeros(2, 3, 32, 32)).items()} == {"linear": (2, 5)}
    assert model.linear.weight.detach().std() < 0.02


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"out_features": ["res9"]}, "res9.*stem.*res4"),
        ({"out_features": ["linear"]}, "linear"),
        ({"out_features": []}, "out_features"),
    ],
)
def test_unknown_features_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        _tiny(**arguments)


def test_images_without_batch_dimension_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 32, 32\)"):
        _tiny()(torch.zeros(3, 32, 32))


@pytest.mark.parametrize("block_class", [BasicBlock, BottleneckBlock, DeformBottleneckBlock])
def test_shortcut_has_a_convolution_only_where_channels_change(block_class):
    extra = {} if block_class is BasicBlock else {"bottleneck_channels": 4}
    assert block_class(8, 8, **extra).shortcut is None
    assert block_class(8, 16, **extra, stride=2)(torch.randn(1, 8, 7, 9)).shape == (1, 16, 4, 5)
    with pytest.raises(ValueError, match="stride 2 from 8 to 8 channels"):
        block_class(8, 8, **extra, stride=2)


@pytest.mark.parametrize("stride_in_1x1, strides", [(True, (2, 1)), (False, (1, 2))])
def test_bottleneck_strides_where_it_is_told(stride_in_1x1, strides):
    block = BottleneckBlock(8, 16, bottleneck_channels=4, stride=2, stride_in_1x1=stride_in_1x1)
    assert (block.conv1.stride[0], block.conv2.stride[0]) == strides


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("groups, dilation", [(1, 2), (2, 1)])
def test_deformable_block_starts_as_the_plain_one_and_learns_its_offsets(modulated, groups, dilation):
    torch.manual_seed(0)
    shape = {"in_channels": 4, "out_channels": 8, "bottleneck_channels": 4, "num_groups": groups, "dilation": dilation}
    block = DeformBottleneckBlock(**shape, deform_modulated=modulated, deform_num_groups=groups)
    plain = BottleneckBlock(**shape)
    plain.load_state_dict({name: value for name, value in block.state_dict().items() if "offset" not in name})
    x = torch.randn(2, 4, 6, 5, requires_grad=True)
    expected = plain(x)  # with batch norm, the modulation of one half that training starts from does not show
    torch.testing.assert_close(block(x), expected, rtol=1e-3, atol=1e-3)
    torch.nn.init.normal_(block.conv2_offset.weight, std=0.1)
    block(x).square().sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("freeze_at", [0, 1, 2, 3, 9])
def test_freeze_stops_training_of_the_first_stages(freeze_at):
    model = _tiny(freeze_at=freeze_at)
    parts = [model.stem, *model.stages]
    for index, part in enumerate(parts):
        frozen = index < freeze_at
        assert all(parameter.requires_grad != frozen for parameter in part.parameters())
        assert any(isinstance(module, FrozenBatchNorm2d) for module in part.modules()) == frozen


def test_make_stage_gives_each_block_its_own_value():
    blocks = ResNet.make_stage(
        BottleneckBlock, 3, in_channels=4, out_channels=8, bottleneck_channels=2, stride_per_block=[2, 1, 1],
        dilation_per_block=[1, 2, 3], norm="",
    )  # fmt: skip
    assert [block.stride for block in blocks] == [2, 1, 1]
    assert [block.conv2.dilation[0] for block in blocks] == [1, 2, 3]
    assert [block.in_channels for block in blocks] == [4, 8, 8]
    for wrong in ({"stride_per_block": [1]}, {"stride": 1, "stride_per_block": [1, 1, 1]}):
        with pytest.raises(ValueError, match="stride_per_block needs 3 values"):
            make_stage(BasicBlock, 3, in_channels=4, out_channels=4, **wrong)


def test_dilated_res5_keeps_the_stride_of_res4():
    with torch.device("meta"):
        model = build_backbone(cfg_with({"MODEL.RESNETS.RES5_DILATION": 2, "MODEL.RESNETS.OUT_FEATURES": ["res5"]}))
        output = model(torch.zeros(1, 3, 64, 64))["res5"]
    assert output.shape == (1, 2048, 4, 4) and model.output_shape()["res5"].stride == 16


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"MODEL.RESNETS.DEPTH": 19}, "DEPTH 19 .*18, 34, 50, 101, 152"),
        ({"MODEL.RESNETS.RES5_DILATION": 3}, "RES5_DILATION"),
        ({"MODEL.RESNETS.DEPTH": 18}, "RES2_OUT_CHANNELS must be 64 .or less"),
        ({**R18, "MODEL.RESNETS.RES5_DILATION": 2}, "RES5_DILATION must be 1 for depth 18"),
        ({**R18, "MODEL.RESNETS.NUM_GROUPS": 32}, "NUM_GROUPS must be 1"),
        ({**R18, "MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, False, False, True]}, "DEFORM_ON_PER_STAGE"),
        ({"MODEL.RESNETS.OUT_FEATURES": ["res6"]}, "res6"),
    ],
)
def test_settings_that_fit_no_network_name_their_key(changes, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build_resnet_backbone(cfg_with(changes), ShapeSpec(channels=3))


def test_build_backbone_takes_the_channels_of_the_images_from_the_config():
    model = build_backbone(cfg_with({**R18, "MODEL.PIXEL_MEAN": [0.5], "MODEL.PIXEL_STD": [1.0]}))
    assert model.stem.conv1.in_channels == 1


def test_build_backbone_refuses_what_is_no_backbone(monkeypatch):
    monkeypatch.setitem(BACKBONE_REGISTRY._obj_map, "not_one", lambda cfg, shape: torch.nn.Identity())
    with pytest.raises(TypeError, match="not_one returned a Identity"):
        build_backbone(cfg_with({"MODEL.BACKBONE.NAME": "not_one"}))
