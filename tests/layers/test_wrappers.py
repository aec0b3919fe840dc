import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from detectron2.layers import (
    ASPP,
    Add,
    CNNBlockBase,
    Conv2d,
    DepthwiseSeparableConv2d,
    FrozenBatchNorm2d,
    ShapeSpec,
    UpsampleTo,
    cat,
    cross_entropy,
    empty_input_loss_func_wrapper,
    get_norm,
    move_device_like,
    nonzero_tuple,
    shapes_to_tensor,
)
from detectron2.layers.wrappers import (
    TORCH_VERSION,
    _NewEmptyTensorOp,
    check_if_dynamo_compiling,
    disable_torch_compiler,
)
from tests.facts import fact, golden


def test_import_is_cheap():
    code = "import sys, detectron2.layers, detectron2.structures; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in modules
    assert not {"torchvision", "pycocotools", "matplotlib", "cv2", "fvcore.nn"} & set(modules)


def test_shape_spec():
    assert ShapeSpec(channels=3, stride=4) == ShapeSpec(3, None, None, 4)
    assert repr(ShapeSpec()) == "ShapeSpec(channels=None, height=None, width=None, stride=None)"


def test_conv_with_norm_and_activation():
    conv = Conv2d(3, 4, 3, padding=1, bias=False, norm=nn.BatchNorm2d(4), activation=F.relu)
    assert list(conv.state_dict()) == [
        "weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    ]  # fmt: skip
    x = torch.rand(2, 3, 5, 6)
    expected = F.relu(nn.BatchNorm2d(4)(F.conv2d(x, conv.weight, padding=1)))
    torch.testing.assert_close(conv(x), expected)
    plain = Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    torch.testing.assert_close(plain(x), F.conv2d(F.pad(x, [1] * 4, "reflect"), plain.weight, plain.bias))
    assert plain.norm is None and plain.activation is None


@pytest.mark.parametrize("norm", ["", "BN", "SyncBN", "FrozenBN", "GN", "LN", "naiveSyncBN"])
@pytest.mark.parametrize("training", [True, False])
def test_empty_batch(norm, training):
    conv = Conv2d(3, 32, 3, stride=2, padding=1, norm=get_norm(norm, 32), activation=F.relu).train(training)
    x = torch.zeros(0, 3, 9, 8, requires_grad=True)
    out = conv(x)
    assert out.shape == (0, 32, 5, 4)
    out.sum().backward()
    assert x.grad.shape == x.shape and conv.weight.grad.eq(0).all()


@pytest.mark.parametrize("norm", ["", "BN", "FrozenBN", "GN", "LN"])
def test_compile(norm):
    torch._dynamo.reset()

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = Conv2d(3, 32, 3, stride=2, padding=1, norm=get_norm(norm, 32), activation=nn.ReLU())
            self.add, self.upsample = Add(), UpsampleTo()

        def forward(self, x):
            y = self.conv(x)
            return self.add(self.upsample(y, x).mean(1, keepdim=True), x)

    block, x = Block().eval(), torch.rand(1, 3, 9, 11)
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), block(x))
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), block(x))


def test_elementwise():
    a, b = torch.rand(1, 2, 3, 4), torch.rand(1, 2, 3, 4)
    assert torch.equal(Add()(a, b), a + b)
    first = a.clone()
    assert Add(inplace=True)(first, b) is first and torch.equal(first, a + b)
    for size in ((6, 8), (5, 7)):
        reference = torch.zeros(1, 9, *size)
        assert torch.equal(UpsampleTo()(a, reference), F.interpolate(a, size=size, mode="nearest"))
        smooth = UpsampleTo(mode="bilinear")(a, reference)
        assert torch.equal(smooth, F.interpolate(a, size=size, mode="bilinear"))
    assert not Add().state_dict() and not UpsampleTo().state_dict()


def test_cross_entropy():
    logits = torch.randn(0, 5, requires_grad=True)
    loss = cross_entropy(logits, torch.zeros(0, dtype=torch.int64))
    assert loss == golden("losses")["ce_empty_mean"]
    loss.backward()
    assert logits.grad.shape == (0, 5)
    logits, target = torch.randn(4, 5), torch.tensor([0, 4, 2, -100])
    for options in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"weight": torch.rand(5)}):
        assert torch.equal(cross_entropy(logits, target, **options), F.cross_entropy(logits, target, **options))
    assert cross_entropy(logits[:0], target[:0], reduction="sum") == 0
    assert empty_input_loss_func_wrapper(F.mse_loss)(logits[:0], logits[:0]) == 0


def test_small_functions():
    x = torch.rand(2, 3)
    assert cat([x]) is x and torch.equal(cat([x, x], 1), torch.cat([x, x], 1))
    assert [index.tolist() for index in nonzero_tuple(x > -1)] == [[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]]
    assert [index.tolist() for index in nonzero_tuple(torch.tensor(True))] == [[0]]
    assert move_device_like(x, torch.zeros(1, device="meta")).device.type == "meta"
    assert shapes_to_tensor([3, 4]).tolist() == [3, 4] and shapes_to_tensor([]).shape == (0,)
    assert shapes_to_tensor([torch.tensor(3), 4]).tolist() == [3, 4]
    assert len(TORCH_VERSION) == 2 and TORCH_VERSION >= (2, 11)
    assert not check_if_dynamo_compiling()


def test_compiler_is_kept_out():
    seen = []
    outside = disable_torch_compiler(lambda x: seen.append(check_if_dynamo_compiling()) or x + 1)
    compiled = torch.compile(lambda x: outside(x * 2) * (3 if check_if_dynamo_compiling() else 1), backend="eager")
    assert compiled(torch.ones(1)).item() in (3, 9) and seen == [False]


def test_empty_tensor_of_another_shape():
    x = torch.zeros(0, 3, requires_grad=True)
    out = _NewEmptyTensorOp.apply(x, (0, 7))
    assert out.shape == (0, 7)
    out.sum().backward()
    assert x.grad.shape == (0, 3)


def test_freeze():
    class Block(CNNBlockBase):
        def __init__(self):
            super().__init__(3, 4, stride=2)
            self.conv = Conv2d(3, 4, 1, norm=nn.BatchNorm2d(4))

    block = Block()
    assert (block.in_channels, block.out_channels, block.stride) == (3, 4, 2)
    assert block.freeze() is block and type(block.conv.norm) is FrozenBatchNorm2d
    assert not any(p.requires_grad for p in block.parameters())


def test_depthwise_separable():
    conv = DepthwiseSeparableConv2d(4, 6, norm1="BN", activation1=F.relu)
    assert "depthwise.norm.weight" in conv.state_dict() and "pointwise.bias" in conv.state_dict()
    assert "depthwise.bias" not in conv.state_dict() and conv.depthwise.weight.shape == (4, 1, 3, 3)
    assert conv(torch.rand(1, 4, 5, 7)).shape == (1, 6, 5, 7)


def test_aspp_parameters():
    entries = fact("state_dicts").get("project__deeplab_v3_R_103_os16_mg124_poly_90k_bs16", {"entries": []})["entries"]
    layer = ASPP(2048, 256, [6, 12, 18], norm="BN", activation=F.relu)
    if entries:
        prefix = "sem_seg_head.aspp."
        expected = {name.removeprefix(prefix): shape for name, shape, _ in entries if name.startswith(prefix)}
        assert {name: list(value.shape) for name, value in layer.state_dict().items()} == expected
    assert layer.convs[4][1].bias is not None and layer.project.in_channels == 1280


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("pool", [None, (4, 3)])
def test_aspp_forward(separable, pool):
    layer = ASPP(
        4, 6, [1, 2, 3], norm="BN", activation=nn.ReLU(), pool_kernel_size=pool, dropout=0.1,
        use_depthwise_separable_conv=separable,
    )  # fmt: skip
    assert layer(torch.rand(2, 4, 8, 6)).shape == (2, 6, 8, 6)
    assert layer.eval()(torch.rand(1, 4, 9, 7)).shape == (1, 6, 9, 7)
    if pool:
        with pytest.raises(ValueError, match=r"\(4, 3\) does not divide .*\(9, 7\)"):
            layer.train()(torch.rand(2, 4, 9, 7))
    with pytest.raises(ValueError, match="three dilations"):
        ASPP(4, 6, [1, 2], norm="BN", activation=nn.ReLU())
