"""The feature pyramid: sizes, fusion, names and tracing."""

import pytest
import torch

from detectron2.layers import Add, ShapeSpec, UpsampleTo
from detectron2.modeling.backbone import BACKBONE_REGISTRY, FPN, Backbone, build_backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7, _assert_strides_are_log2_contiguous
from tests.modeling.fact_configs import cfg_with

R18_FPN = {
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.RESNETS.NORM": "BN",
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.FPN.OUT_CHANNELS": 8,
}


class _Pyramid(Backbone):
    """Feature maps of strides 4, 8, ... from means over cells; as many channels as the image has."""

    def __init__(self, strides=(4, 8, 16, 32)):
        super().__init__()
        self._out_features = [f"res{stride.bit_length() - 1}" for stride in strides]
        self._out_feature_strides = dict(zip(self._out_features, strides, strict=True))
        self._out_feature_channels = dict.fromkeys(self._out_features, 3)

    def forward(self, x):
        pool = torch.nn.functional.avg_pool2d
        return {name: pool(x, stride, ceil_mode=True) for name, stride in self._out_feature_strides.items()}


def _fpn(**arguments) -> FPN:
    return FPN(_Pyramid(), ["res2", "res3", "res4", "res5"], 8, **arguments)


@pytest.mark.parametrize(
    "name", ["build_resnet_fpn_backbone", "build_retinanet_resnet_fpn_backbone", "build_fcos_resnet_fpn_backbone"]
)
def test_outputs_have_the_promised_shape(name):
    model = build_backbone(cfg_with({**R18_FPN, "MODEL.BACKBONE.NAME": name}))
    outputs = model(torch.zeros(2, 3, 128, 64))
    shapes = model.output_shape()
    last = 6 if name == "build_resnet_fpn_backbone" else 7
    assert list(outputs) == list(shapes) == [f"p{level}" for level in range(2, last + 1)]
    for key, shape in shapes.items():
        height, width = (max(1, side // shape.stride) for side in (128, 64))
        assert shape == ShapeSpec(channels=8, stride=2 ** int(key[1]))
        assert outputs[key].shape == (2, 8, height, width)
    assert model.size_divisibility == 32 and model.padding_constraints == {"square_size": 0}
    assert name in BACKBONE_REGISTRY


@pytest.mark.parametrize("height, width", [(97, 130), (33, 65), (32, 1)])
def test_sizes_need_not_divide(height, width):
    outputs = _fpn()(torch.randn(1, 3, height, width))
    for level, feature in enumerate(outputs.values(), start=2):
        assert feature.shape[-2:] == (-(-height // 2**level), -(-width // 2**level))


def test_average_is_half_the_sum():
    x = torch.randn(1, 3, 64, 64)
    models = {fuse: _fpn(fuse_type=fuse) for fuse in ("sum", "avg")}
    models["avg"].load_state_dict(models["sum"].state_dict())
    for model in models.values():
        for output in model.output_convs:  # shows what was merged
            torch.nn.init.dirac_(output.weight)
    summed, averaged = models["sum"](x), models["avg"](x)
    torch.testing.assert_close(summed["p5"], averaged["p5"])
    torch.testing.assert_close(summed["p4"], 2 * averaged["p4"])


def test_merges_are_modules_that_can_be_replaced_one_by_one():
    model = _fpn()
    assert [type(add) for add in model.adds] == [Add] * 3
    assert [type(upsample) for upsample in model.upsamples] == [UpsampleTo] * 3
    x = torch.randn(1, 3, 64, 64)
    before = model(x)

    class OnlyLateral(torch.nn.Module):
        def forward(self, a, b):
            return a

    model.adds[2] = OnlyLateral()  # the merge into p2
    after = model(x)
    assert not torch.equal(before["p2"], after["p2"])
    for name in ("p3", "p4", "p5"):
        assert torch.equal(before[name], after[name])


def test_norm_replaces_the_bias():
    names = {name for name, _ in _fpn(norm="BN").named_parameters()}
    assert "fpn_lateral5.norm.weight" in names and "fpn_lateral5.bias" not in names
    assert "fpn_lateral5.bias" in {name for name, _ in _fpn().named_parameters()}


def test_max_pool_starts_from_p5_and_square_padding_is_passed_on():
    model = _fpn(top_block=LastLevelMaxPool(), square_pad=1024)
    outputs = model(torch.randn(1, 3, 128, 192))
    assert torch.equal(outputs["p6"], outputs["p5"][..., ::2, ::2])
    assert model.padding_constraints == {"square_size": 1024}


def test_top_block_may_start_from_the_backbone():
    model = _fpn(top_block=LastLevelP6P7(3, 8))
    x = torch.randn(1, 3, 128, 128)
    torch.testing.assert_close(model(x)["p6"], model.top_block(model.bottom_up(x)["res5"])[0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"fuse_type": "max"}, "FUSE_TYPE.*max"),
        ({"in_features": []}, "IN_FEATURES"),
        ({"in_features": ["res2", "res4"]}, r"double.*\[4, 16\]"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FPN(_Pyramid(), **{"in_features": ["res2", "res3"], "out_channels": 4, **arguments})
    _assert_strides_are_log2_contiguous([8, 16, 32])


@pytest.mark.parametrize("training", [True, False])
def test_compiles_to_one_graph(training):
    torch.manual_seed(0)
    model = build_backbone(cfg_with({**R18_FPN, "MODEL.BACKBONE.NAME": "build_retinanet_resnet_fpn_backbone"}))
    model.train(training)
    x = torch.randn(2, 3, 64, 96)
    expected = model(x)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for name, output in compiled(x).items():
        torch.testing.assert_close(output, expected[name], rtol=1e-4, atol=1e-5)
    if training:
        sum(output.sum() for output in compiled(x).values()).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


def test_exports_with_height_and_width_left_open():
    model = build_backbone(cfg_with({**R18_FPN, "MODEL.BACKBONE.NAME": "build_retinanet_resnet_fpn_backbone"})).eval()
    sizes = {2: torch.export.Dim("height", min=160), 3: torch.export.Dim("width", min=160)}
    program = torch.export.export(model, (torch.randn(1, 3, 192, 256),), dynamic_shapes={"x": sizes})
    x = torch.randn(1, 3, 167, 213)
    for name, output in program.module()(x).items():
        torch.testing.assert_close(output, model(x)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "changes", [{"MODEL.FPN.NORM": "BN", "MODEL.FPN.USE_RELU": True}, {"MODEL.FPN.NORM": "BN-ReLU"}]
)
@pytest.mark.parametrize(
    "builder", ["build_resnet_fpn_backbone", "build_retinanet_resnet_fpn_backbone", "build_fcos_resnet_fpn_backbone"]
)
def test_use_relu_puts_norm_and_relu_behind_every_convolution(builder, changes):
    model = build_backbone(cfg_with({**R18_FPN, "MODEL.BACKBONE.NAME": builder, **changes})).train()
    features = model(torch.rand(2, 3, 64, 64))
    for name, feature in features.items():
        assert feature.min() == 0 and feature.max() > 0, name
    sum(feature.sum() for feature in features.values()).backward()
    names = set(model.state_dict())
    assert {"fpn_lateral2.norm.weight", "fpn_output5.norm.bias"} <= names
    assert ("top_block.p7.norm.weight" in names) == (model.top_block.num_levels == 2)
    assert not [name for name in names if name.endswith((".conv.bias", "fpn_lateral2.bias", "top_block.p6.bias"))]
