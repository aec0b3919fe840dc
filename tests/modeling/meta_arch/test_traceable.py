"""Dense detectors under torch.compile and torch.export."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detectron2.layers import ShapeSpec
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.modeling.meta_arch.fcos import FCOSHead
from detectron2.modeling.meta_arch.retinanet import RetinaNetHead
from detectron2.modeling.meta_arch.traceable import TraceableDenseInference, pad_to_multiple
from tests.modeling.tiny_models import DENSE_MODELS, eval_inputs, tiny_model


class _Network(nn.Module):
    """Backbone, FPN and dense head alone."""

    def __init__(self, model: DenseDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model.predict_dense(images)[1]


def _with_norm(name: str, norm: str) -> DenseDetector:
    model = tiny_model(name)
    if norm:
        torch.manual_seed(0)
        shapes = [ShapeSpec(channels=32)] * 5
        if name.startswith("fcos"):
            model.head = FCOSHead(input_shape=shapes, num_classes=5, conv_dims=[32], norm=norm)
        else:
            model.head = RetinaNetHead(input_shape=shapes, num_classes=5, num_anchors=9, conv_dims=[32], norm=norm)
    return model


@pytest.mark.parametrize(
    ("name", "norm", "training"),
    [
        ("retinanet_tiny", "", True),
        ("retinanet_tiny", "BN", True),
        ("fcos_lazy_tiny", "", True),
        ("fcos_lazy_tiny", "GN", False),
    ],
)
def test_network_compiles_as_one_graph(name, norm, training):
    network = _Network(_with_norm(name, norm)).train(training)
    torch._dynamo.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    images = torch.randn(2, 3, 160, 192, generator=torch.Generator().manual_seed(0))
    for got, expected in zip(compiled(images), network(images), strict=True):
        assert_close(list(got), list(expected), rtol=1e-4, atol=1e-4)
    if training:
        sum(level.sum() for kind in compiled(images) for level in kind).backward()
        assert network.model.head.cls_score.weight.grad.isfinite().all()


@pytest.mark.parametrize("name", DENSE_MODELS)
def test_export_with_dynamic_height_and_width(name):
    module = TraceableDenseInference(tiny_model(name)).eval()
    height, width = torch.export.Dim("height", min=160, max=2048), torch.export.Dim("width", min=160, max=2048)
    with torch.no_grad():
        exported = torch.export.export(
            module, (torch.rand(1, 3, 191, 224) * 255,), dynamic_shapes=({2: height, 3: width},), strict=False
        ).module()
        for size in ((160, 160), (177, 301), (256, 195), (333, 160)):
            images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1)) * 255
            boxes, scores = exported(images)
            expected_boxes, expected_scores = module(images)
            assert_close(scores, expected_scores, rtol=1e-4, atol=1e-5)
            assert_close(boxes, expected_boxes, rtol=1e-4, atol=1e-3)
            assert boxes.shape[:2] == scores.shape[:2]


@pytest.mark.parametrize("name", DENSE_MODELS)
def test_decoded_anchors_contain_the_detections(name):
    model = tiny_model(name)
    inputs = [{"image": inputs["image"]} for inputs in eval_inputs(name)][:1]
    with torch.no_grad():
        detections = model.inference_single_image(*_single_image_arguments(model, inputs))
        boxes, scores = TraceableDenseInference(model)(inputs[0]["image"][None])
    for box, score, category in zip(
        detections.pred_boxes.tensor, detections.scores, detections.pred_classes, strict=True
    ):
        rows = (scores[0, :, category] - score).abs() < 1e-6
        assert (boxes[0][rows] - box).abs().amax(dim=1).min() < 1e-3


def _single_image_arguments(model, inputs):
    images = model.preprocess_image(inputs)
    features, predictions = model.predict_dense(images.tensor)
    scores, deltas = model.scores_and_deltas(predictions)
    first = [[level[0] for level in kind] for kind in (scores, deltas)]
    return model.anchor_generator(features), *first, images.image_sizes[0]


@pytest.mark.parametrize(("divisor", "shape"), [(32, (64, 96)), (0, (33, 96)), (1, (33, 96)), (3, (33, 96))])
def test_padding(divisor, shape):
    images = torch.ones(2, 3, 33, 96)
    padded = pad_to_multiple(images, divisor)
    assert padded.shape[2:] == shape
    assert_close(padded[:, :, :33, :96], images)
    assert padded.sum() == images.sum()
