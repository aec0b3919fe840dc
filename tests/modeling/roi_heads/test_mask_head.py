import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.mask_head import (
    BaseMaskRCNNHead,
    MaskRCNNConvUpsampleHead,
    mask_rcnn_inference,
    mask_rcnn_loss,
)
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage

SIDE = 8


def _square_masks(squares: list[tuple[int, int, int, int]], size: int = 32) -> BitMasks:
    masks = torch.zeros(len(squares), size, size, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, squares, strict=True):
        mask[y0:y1, x0:x1] = True
    return BitMasks(masks)


def _instances() -> list[Instances]:
    """Two regions in the first image, none in the second, one in the third; each mask is the left half of its box."""
    boxes = [torch.tensor([[0.0, 0, 16, 16], [8, 8, 24, 24]]), torch.zeros(0, 4), torch.tensor([[0.0, 0, 32, 32]])]
    masks = [_square_masks([(0, 0, 8, 16), (8, 8, 16, 24)]), _square_masks([]), _square_masks([(0, 0, 16, 32)])]
    classes = [[2, 0], [], [1]]
    return [
        Instances((32, 32), proposal_boxes=Boxes(b), gt_masks=m, gt_classes=torch.tensor(c, dtype=torch.int64))
        for b, m, c in zip(boxes, masks, classes, strict=True)
    ]


def _left_half() -> torch.Tensor:
    return torch.arange(SIDE).expand(SIDE, SIDE) < SIDE // 2


@pytest.mark.parametrize("num_classes", [1, 3])
def test_loss_uses_the_mask_of_the_true_class(num_classes):
    logits = torch.randn(3, num_classes, SIDE, SIDE, generator=torch.Generator().manual_seed(0), requires_grad=True)
    classes = [0, 0, 0] if num_classes == 1 else [2, 0, 1]
    loss = mask_rcnn_loss(logits, _instances())
    target = _left_half().float().expand(3, -1, -1)
    assert_close(loss, F.binary_cross_entropy_with_logits(logits[range(3), classes], target))
    loss.backward()
    used = (logits.grad != 0).flatten(2).any(dim=2)
    assert used.sum().item() == 3
    assert used[range(3), classes].all()


def test_loss_without_regions_is_zero_with_a_gradient():
    empty = _instances()[1]
    logits = torch.zeros(0, 3, SIDE, SIDE, requires_grad=True)
    loss = mask_rcnn_loss(logits, [empty, empty])
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.shape == logits.shape


def test_statistics_and_pictures():
    target = torch.where(_left_half(), 5.0, -5.0)
    logits = torch.stack([target, target, -target]).unsqueeze(1)
    with EventStorage() as storage:
        mask_rcnn_loss(logits, _instances(), vis_period=1)
        latest = {name: value for name, (value, _) in storage.latest().items()}
        pictures = [tensor.shape for _, tensor, _ in storage._vis_data]
    assert latest == pytest.approx(
        {"mask_rcnn/accuracy": 2 / 3, "mask_rcnn/false_positive": 1 / 3, "mask_rcnn/false_negative": 1 / 3}
    )
    assert pictures == [(3, SIDE, 2 * SIDE)] * 3


@pytest.mark.parametrize("num_classes", [1, 3])
def test_inference_picks_the_predicted_class(num_classes):
    logits = torch.randn(3, num_classes, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    classes = [torch.tensor([1, 2]), torch.zeros(0, dtype=torch.int64), torch.tensor([0])]
    images = [Instances((32, 32), pred_classes=c) for c in classes]
    mask_rcnn_inference(logits, images)
    assert [image.pred_masks.shape for image in images] == [(2, 1, SIDE, SIDE), (0, 1, SIDE, SIDE), (1, 1, SIDE, SIDE)]
    expected = logits[1, 2 if num_classes == 3 else 0].sigmoid()
    assert_close(images[0].pred_masks[1, 0], expected)


def test_square_masks_only():
    with pytest.raises(ValueError, match="square"):
        mask_rcnn_loss(torch.zeros(3, 1, SIDE, SIDE + 1), _instances())


@pytest.mark.parametrize(("conv_dims", "norm"), [([4], ""), ([4, 4, 6], ""), ([32, 32, 6], "GN")])
def test_head(conv_dims, norm):
    head = MaskRCNNConvUpsampleHead(ShapeSpec(channels=5), num_classes=3, conv_dims=conv_dims, conv_norm=norm)
    names = [f"mask_fcn{i + 1}" for i in range(len(conv_dims) - 1)] + ["deconv", "deconv_relu", "predictor"]
    assert [name for name, _ in head.named_children()] == names
    x = torch.randn(3, 5, SIDE // 2, SIDE // 2)
    loss = head(x, _instances())["loss_mask"]
    loss.backward()
    assert all(p.grad is not None for p in head.parameters())
    instances = [Instances((32, 32), pred_classes=torch.tensor([0, 1, 2]))]
    assert head.eval()(x, instances)[0].pred_masks.shape == (3, 1, SIDE, SIDE)
    assert head(x[:0], [instances[0][:0]])[0].pred_masks.shape == (0, 1, SIDE, SIDE)


def test_a_subclass_gives_the_layers():
    class Constant(BaseMaskRCNNHead):
        def layers(self, x):
            return x.mean(dim=1, keepdim=True)

    x = torch.zeros(3, 2, SIDE, SIDE, requires_grad=True)
    assert Constant(loss_weight=2.0)(x, _instances())["loss_mask"].item() == pytest.approx(2 * 0.693147)
    with pytest.raises(NotImplementedError, match="BaseMaskRCNNHead"):
        BaseMaskRCNNHead()(x, [])


def test_head_needs_channels():
    with pytest.raises(ValueError, match="conv_dims"):
        MaskRCNNConvUpsampleHead(ShapeSpec(channels=5), num_classes=3, conv_dims=[])
