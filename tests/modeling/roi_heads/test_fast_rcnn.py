import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers, _log_classification_stats, fast_rcnn_inference
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from tests.facts import golden

IMAGE_SIZES = [(160, 200), (150, 190)]
K = 4


def _layers(**kwargs) -> FastRCNNOutputLayers:
    torch.manual_seed(0)
    transform = Box2BoxTransform(weights=(10.0, 10.0, 5.0, 5.0))
    return FastRCNNOutputLayers(ShapeSpec(channels=8), box2box_transform=transform, num_classes=K, **kwargs)


def _proposals(classes: list[list[int]]) -> list[Instances]:
    """Labelled proposals for each image; class K is background."""
    generator = torch.Generator().manual_seed(1)
    images = []
    for size, labels in zip(IMAGE_SIZES, classes, strict=False):
        corners = torch.rand(len(labels), 2, generator=generator) * 80
        sides = torch.rand(len(labels), 2, generator=generator) * 60 + 10
        boxes = torch.cat([corners, corners + sides], dim=1)
        gt_classes = torch.tensor(labels, dtype=torch.int64)
        images.append(Instances(size, proposal_boxes=Boxes(boxes), gt_boxes=Boxes(boxes + 3), gt_classes=gt_classes))
    return images


LABELS = [[0, 3, 4, 4], [2, 4]]
FEATURES = torch.randn(6, 8, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("setting", ["0.05_0.5_100", "0.3_0.3_10", "0_0.6_-1"])
def test_inference_matches_golden(setting):
    data = {key: torch.from_numpy(value) for key, value in golden("fast_rcnn_inference").items()}
    score, nms, topk = setting.split("_")
    boxes, scores = [data["boxes0"], data["boxes1"]], [data["scores0"], data["scores1"]]
    results, kept = fast_rcnn_inference(boxes, scores, IMAGE_SIZES, float(score), float(nms), int(topk))
    for i, (result, rows) in enumerate(zip(results, kept, strict=True)):
        assert_close(result.pred_boxes.tensor, data[f"ob_{setting}_img{i}"], rtol=0, atol=1e-5)
        assert_close(result.scores, data[f"os_{setting}_img{i}"], rtol=0, atol=1e-5)
        assert_close(result.pred_classes, data[f"oc_{setting}_img{i}"])
        assert_close(rows, data[f"ok_{setting}_img{i}"])
        assert result.image_size == IMAGE_SIZES[i]


def test_inference_with_one_box_for_all_classes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 70, 70]])
    scores = torch.tensor([[0.6, 0.5, 0.0], [0.1, 0.9, 0.0]])
    (result,), (rows,) = fast_rcnn_inference([boxes], [scores], [(100, 100)], 0.3, 0.5, 10)
    assert rows.tolist() == [1, 0, 0]
    assert result.pred_classes.tolist() == [1, 0, 1]
    assert_close(result.pred_boxes.tensor, boxes[[1, 0, 0]])


def test_rows_that_are_not_finite_give_no_detections():
    boxes, scores = torch.tensor([[0.0, 0, 10, 10]] * 3), torch.tensor([[0.9, 0.1]] * 3)
    boxes[0, 2], scores[1, 1] = float("inf"), float("nan")
    (result,), (rows,) = fast_rcnn_inference([boxes], [scores], [(100, 100)], 0.3, 0.5, 10)
    assert rows.tolist() == [2]
    assert len(result) == 1


def test_softmax_and_smooth_l1_losses_by_hand():
    layers, proposals = _layers(smooth_l1_beta=0.5, loss_weight={"loss_box_reg": 2.0}), _proposals(LABELS)
    logits, deltas = layers(FEATURES)
    losses = layers.losses((logits, deltas), proposals)
    classes = torch.tensor([0, 3, 4, 4, 2, 4])
    assert_close(losses["loss_cls"], F.cross_entropy(logits, classes))
    boxes = torch.cat([p.proposal_boxes.tensor for p in proposals])
    rows = [0, 1, 4]
    targets = layers.box2box_transform.get_deltas(boxes[rows], boxes[rows] + 3)
    chosen = torch.stack([deltas[row, 4 * classes[row] : 4 * classes[row] + 4] for row in rows])
    expected = F.smooth_l1_loss(chosen, targets, beta=0.5, reduction="sum") / len(classes)
    assert_close(losses["loss_box_reg"], 2 * expected)


@pytest.mark.parametrize("loss_type", ["smooth_l1", "giou", "diou", "ciou"])
@pytest.mark.parametrize("cls_agnostic", [False, True])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_every_loss_vanishes_at_the_target_and_has_gradients(loss_type, cls_agnostic, sigmoid):
    layers = _layers(box_reg_loss_type=loss_type, cls_agnostic_bbox_reg=cls_agnostic, use_sigmoid_ce=sigmoid)
    proposals = _proposals(LABELS)
    losses = layers.losses(layers(FEATURES), proposals)
    assert set(losses) == {"loss_cls", "loss_box_reg"}
    sum(losses.values()).backward()
    assert layers.cls_score.weight.grad.abs().sum() > 0
    assert layers.bbox_pred.weight.grad.abs().sum() > 0

    classes = torch.tensor([0, 3, 4, 4, 2, 4])
    boxes = torch.cat([p.proposal_boxes.tensor for p in proposals])
    perfect = layers.box2box_transform.get_deltas(boxes, boxes + 3)
    perfect = perfect if cls_agnostic else perfect.repeat(1, K)
    sign = F.one_hot(classes, K + 1).float() * 2 - 1
    losses = layers.losses((50 * sign, perfect), proposals)
    assert losses["loss_cls"].item() == pytest.approx(0, abs=1e-6)
    assert losses["loss_box_reg"].item() == pytest.approx(0, abs=1e-5)


def test_sigmoid_loss_leaves_the_background_column_alone():
    layers = _layers(use_sigmoid_ce=True)
    logits = torch.randn(6, K + 1, generator=torch.Generator().manual_seed(3), requires_grad=True)
    classes = torch.tensor([0, 3, 4, 4, 2, 4])
    loss = layers.sigmoid_cross_entropy_loss(logits, classes)
    target = F.one_hot(classes, K + 1)[:, :K].float()
    assert_close(loss, F.binary_cross_entropy_with_logits(logits[:, :K], target, reduction="sum") / 6)
    loss.backward()
    assert (logits.grad[:, K] == 0).all()


def test_federated_loss_counts_sampled_classes_only():
    weights = torch.tensor([1.0, 0.0, 1.0, 1.0])
    layers = _layers(
        use_sigmoid_ce=True, use_fed_loss=True, get_fed_loss_cls_weights=lambda: weights, fed_loss_num_classes=3
    )
    assert "fed_loss_cls_weights" not in layers.state_dict()
    logits = torch.zeros(6, K + 1, requires_grad=True)
    layers.sigmoid_cross_entropy_loss(logits, torch.tensor([0, 4, 4, 4, 4, 4])).backward()
    counted = (logits.grad != 0).any(dim=0).tolist()
    # class 0 and background are present; one of classes 2 and 3 fills up, never class 1, whose weight is 0
    assert counted[0]
    assert not counted[1]
    assert counted[2] != counted[3]


@pytest.mark.parametrize(("present", "wanted", "expected"), [([0, 1, 2], 2, 3), ([4], 3, 3), ([0], 50, 4)])
def test_federated_sampling(present, wanted, expected):
    sampled = _layers().get_fed_loss_classes(torch.tensor(present), wanted, K, None)
    assert set(present) <= set(sampled.tolist())
    assert len(set(sampled.tolist())) == len(sampled) == expected


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("labels", [[[], []], [[4, 4], []]])
def test_losses_without_foreground_or_proposals(sigmoid, labels):
    layers = _layers(use_sigmoid_ce=sigmoid)
    proposals = _proposals(labels)
    for image in proposals:
        image.remove("gt_boxes")  # as sampling leaves images without objects
    count = sum(map(len, labels))
    losses = layers.losses(layers(FEATURES[:count]), proposals)
    assert losses["loss_box_reg"].item() == 0
    assert (losses["loss_cls"].item() == 0) == (count == 0)
    sum(losses.values()).backward()
    assert layers.bbox_pred.weight.grad is not None


def test_predicted_boxes_of_true_classes():
    layers, proposals = _layers(), _proposals(LABELS)
    predictions = layers(FEATURES)
    all_boxes = layers.predict_boxes(predictions, proposals)
    chosen = layers.predict_boxes_for_gt_classes(predictions, proposals)
    assert [len(boxes) for boxes in chosen] == [4, 2]
    assert_close(chosen[0][1], all_boxes[0][1, 12:16])
    assert_close(chosen[0][2], all_boxes[0][2, 12:16])  # background: the last class


@pytest.mark.parametrize("sigmoid", [False, True])
def test_probabilities_and_inference(sigmoid):
    layers, proposals = _layers(use_sigmoid_ce=sigmoid, test_topk_per_image=3), _proposals(LABELS)
    predictions = layers(FEATURES)
    probabilities = layers.predict_probs(predictions, proposals)
    assert [p.shape for p in probabilities] == [(4, K + 1), (2, K + 1)]
    if not sigmoid:
        assert_close(probabilities[0].sum(dim=1), torch.ones(4))
    detections, rows = layers.inference(predictions, proposals)
    assert [len(d) for d in detections] == [3, 3]
    assert max(rows[1].tolist()) < 2


def test_inference_without_proposals():
    layers = _layers()
    detections, _ = layers.inference(layers(FEATURES[:0]), _proposals([[], []]))
    assert [len(d) for d in detections] == [0, 0]
    assert detections[0].pred_boxes.tensor.shape == (0, 4)


def test_nan_predictions_are_an_error():
    layers, proposals = _layers(), _proposals(LABELS)
    logits, deltas = layers(FEATURES)
    with pytest.raises(FloatingPointError, match="NaN"):
        layers.inference((logits, deltas * float("nan")), proposals)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"box_reg_loss_type": "iou"}, "smooth_l1, giou, diou, ciou"),
        ({"use_fed_loss": True}, "USE_SIGMOID_CE"),
        ({"use_fed_loss": True, "use_sigmoid_ce": True}, "get_fed_loss_cls_weights"),
        (
            {"use_fed_loss": True, "use_sigmoid_ce": True, "get_fed_loss_cls_weights": lambda: torch.ones(7)},
            "7 federated class weights",
        ),
    ],
)
def test_settings_that_do_not_work(kwargs, message):
    with pytest.raises(ValueError, match=message):
        _layers(**kwargs)


def test_classification_statistics():
    logits = torch.eye(3)[[0, 2, 1, 2]]
    with EventStorage() as storage:
        _log_classification_stats(logits, torch.tensor([0, 1, 0, 2]), "head")
    latest = {name: value for name, (value, _) in storage.latest().items()}
    assert latest == pytest.approx(
        {"head/cls_accuracy": 2 / 4, "head/fg_cls_accuracy": 1 / 3, "head/false_negative": 1 / 3}
    )
