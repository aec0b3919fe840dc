"""The meta architecture: losses, detections, and what it does with images of any size and number of objects."""

import pytest
import torch
from detectron2.projects.yolo import YOLO, add_yolo_config
from detectron2.projects.yolo.families import FAMILIES
from detectron2.projects.yolo.losses.targets import Targets
from detectron2.projects.yolo.postprocessing import Postprocessing
from detectron2.projects.yolo.traceable import TraceableYOLO
from torch import Tensor

from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from third_party.quantization import QuantAdd, QuantConcat, QuantConv2d
from third_party.quantization.transform import quantizers

# The smallest size of each family.
SMALLEST = {
    "yolov3": "tiny",
    "yolov5": "n",
    "yolov7": "tiny",
    "yolov8": "n",
    "yolov9": "t",
    "yolov10": "n",
    "yolo11": "n",
    "yolo12": "n",
    "yolo26": "n",
    "gelan": "t",
    "yolox": "nano",
    "darknet_yolov3": "tiny",
}
# One family for each kind of head; what does not depend on the network is tried with the quickest.
HEADS = ("yolov8", "yolov5", "yolox", "yolov10")


def config(family: str = "yolov8", num_classes: int = 3) -> CfgNode:
    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DEVICE = "YOLO", "cpu"
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD, cfg.INPUT.FORMAT = [0.0] * 3, [255.0] * 3, "RGB"
    cfg.MODEL.YOLO.FAMILY, cfg.MODEL.YOLO.SIZE, cfg.MODEL.YOLO.NUM_CLASSES = family, SMALLEST[family], num_classes
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.INPUT.YOLO.SIZE = 2, 30, [64, 64]
    return cfg


def model_of(cfg: CfgNode) -> YOLO:
    torch.manual_seed(0)
    return build_model(cfg)


def sample(height: int, width: int, boxes: list[list[float]], classes: list[int] | None = None, seed: int = 0) -> dict:
    """Noise with brighter boxes."""
    image = torch.randint(0, 120, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    for x0, y0, x1, y1 in boxes:
        image[:, int(y0) : int(y1), int(x0) : int(x1)] += 100
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
    instances.gt_classes = torch.tensor([0] * len(boxes) if classes is None else classes, dtype=torch.int64)
    return {"image": image, "instances": instances, "height": 2 * height, "width": 2 * width}


def batch() -> list[dict]:
    """Two images of different sizes, neither a multiple of a stride; the second has no object."""
    return [sample(60, 90, [[5.0, 6.0, 40.0, 50.0], [50.0, 10.0, 80.0, 30.0]], [2, 0]), sample(70, 64, [], seed=1)]


def test_all_families_are_tested() -> None:
    assert set(SMALLEST) == set(FAMILIES)


@pytest.mark.parametrize("family", SMALLEST)
def test_a_step_and_detections(family: str) -> None:
    model = model_of(config(family))
    losses = model(batch())
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not missing
    model.eval()
    model.postprocessing = Postprocessing(score_threshold=0.0, max_detections=7)
    with torch.no_grad():
        results = model(batch())
    for result, size in zip(results, [(120, 180), (140, 128)], strict=True):
        found = result["instances"]
        assert found.image_size == size
        assert 0 < len(found) <= 7
        x1, y1 = found.pred_boxes.tensor[:, 2:].amax(0)
        assert found.pred_boxes.tensor.min() >= 0
        assert x1 <= size[1]
        assert y1 <= size[0]
        assert found.pred_classes.max() < 3
        assert (found.scores.diff() <= 0).all()


@pytest.mark.parametrize("family", HEADS)
def test_images_without_objects_only_push_scores_down(family: str) -> None:
    model = model_of(config(family, num_classes=1))
    losses = model([sample(64, 64, [])])
    assert all(float(loss.detach()) == 0 for name, loss in losses.items() if "box" in name or "iou" in name)
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_losses_are_means_over_images_or_sums_over_those_of_a_step() -> None:
    cfg = config("yolox")
    cfg.SOLVER.ACCUMULATION_STEPS = 3
    summed = model_of(cfg)
    cfg.MODEL.YOLO.LOSS.SUM_OVER_IMAGES = False
    model = model_of(cfg)
    image = batch()[0]
    for module in model.network.modules():
        module.training = False  # statistics of batch norm depend on the batch
    one, two = model([image]), model([image, image])
    summed.network.eval()
    three = summed([image])
    for name, loss in one.items():
        torch.testing.assert_close(two[name], loss, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(three[name], 6 * loss)


def overfit(model: YOLO, inputs: list[dict], steps: int) -> list[float]:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    history = []
    with EventStorage() as storage:
        for _ in range(steps):
            loss = sum(model(inputs).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            storage.step()
            history.append(float(loss.detach()))
        assert storage.history("num_pos_anchors").latest() > 0
    return history


@pytest.mark.parametrize("family", HEADS)
def test_one_image_is_learned(family: str) -> None:
    cfg = config(family, num_classes=1)
    history = overfit(model_of(cfg), [sample(64, 64, [[8.0, 8.0, 40.0, 44.0]])] * 2, 30)
    assert sum(history[-3:]) < 0.8 * sum(history[:3]), history


@pytest.mark.parametrize("family", ["yolov8", "yolox"])
def test_a_quantized_model_trains(family: str) -> None:
    cfg = config(family)
    node = cfg.MODEL.QUANTIZATION
    node.ENABLED = True
    model = model_of(cfg)
    kinds = {type(module).__name__ for module in model.modules()}
    assert {"QuantConv2d", "QuantConcat", "QuantAdd"} <= kinds
    assert not {"Conv2d", "Concat", "Add"} & kinds
    assert {QuantConv2d, QuantConcat, QuantAdd} <= {type(module) for module in model.modules()}
    history = overfit(model, [sample(64, 64, [[8.0, 8.0, 40.0, 44.0]])] * 2, 12)
    assert sum(history[-3:]) < sum(history[:3]), history
    assert all(quantizer.initialized for _, quantizer in quantizers(model))
    model.eval()
    with torch.no_grad():
        assert len(model(batch())) == 2


def test_padding_and_normalisation() -> None:
    cfg = config()
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = [10.0, 20.0, 30.0], [2.0, 2.0, 4.0]
    model = model_of(cfg)
    images = model.preprocess_image(batch())
    assert images.tensor.shape == (2, 3, 96, 96)
    assert images.image_sizes == [(60, 90), (70, 64)]
    mean, std = torch.tensor([10.0, 20.0, 30.0]), torch.tensor([2.0, 2.0, 4.0])
    expected = (batch()[0]["image"].float() - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(images.tensor[0, :, :60, :90], expected)
    padding = ((114.0 - mean) / std)[:, None, None]
    torch.testing.assert_close(images.tensor[1, :, 70:], padding.expand(3, 26, 96))
    torch.testing.assert_close(images.tensor[1, :, :, 64:], padding.expand(3, 96, 32))


def test_detections_follow_the_scale_of_the_output() -> None:
    model = model_of(config()).eval()
    model.postprocessing = Postprocessing(score_threshold=0.0, max_detections=5)
    image = {"image": batch()[0]["image"]}
    with torch.no_grad():
        plain = model([image])[0]["instances"]
        doubled = model([{**image, "height": 120, "width": 180}])[0]["instances"]
    torch.testing.assert_close(2 * plain.pred_boxes.tensor, doubled.pred_boxes.tensor)
    torch.testing.assert_close(plain.scores, doubled.scores)


def predictions() -> tuple[Tensor, Tensor]:
    """Two boxes that overlap by 0.8, and one far away, with scores of two classes."""
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [20.0, 20.0, 30.0, 30.0]]])
    return boxes, torch.tensor([[[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [(0, 0), (1, 1), (2, 1), (2, 0)]),
        ({"multi_label": False}, [(0, 0), (1, 1), (2, 1)]),
        ({"multi_label": False, "class_agnostic": True}, [(0, 0), (2, 1)]),
        ({"multi_label": False, "score_threshold": 0.75}, [(0, 0), (1, 1)]),
        ({"max_detections": 2}, [(0, 0), (1, 1)]),
        ({"iou_threshold": 1.0}, [(0, 0), (1, 1), (2, 1), (2, 0), (1, 0), (0, 1)]),
    ],
)
def test_postprocessing(settings: dict, expected: list[tuple[int, int]]) -> None:
    boxes, scores = predictions()
    found = Postprocessing(**{"iou_threshold": 0.5, **settings})(boxes, scores, [(40, 40)])[0]
    rows = [int((boxes[0] == box).all(1).nonzero()) for box in found.pred_boxes.tensor]
    pairs = list(zip(rows, found.pred_classes.tolist(), strict=True))
    assert pairs == expected
    torch.testing.assert_close(found.scores, torch.stack([scores[0][pair] for pair in pairs]))


def test_predictions_that_are_not_finite_are_refused() -> None:
    boxes, scores = predictions()
    with pytest.raises(FloatingPointError, match="scores"):
        Postprocessing()(boxes, scores * torch.tensor(float("nan")), [(40, 40)])
    with pytest.raises(FloatingPointError, match="boxes"):
        Postprocessing()(boxes * torch.tensor(float("inf")), scores, [(40, 40)])


def test_mistakes_are_named() -> None:
    cfg = config()
    cfg.MODEL.YOLO.FAMILY = "yolov88"
    with pytest.raises(KeyError, match="'yolov88'; did you mean 'yolov8'"):
        build_model(cfg)
    cfg = config()
    cfg.MODEL.YOLO.SIZE = "nn"
    with pytest.raises(KeyError, match="size of yolov8: 'nn'; did you mean 'n'"):
        build_model(cfg)
    cfg = config()
    cfg.MODEL.YOLO.NMS_THRESH_TEST = 1.5
    with pytest.raises(ValueError, match="iou_threshold is 1.5"):
        build_model(cfg)
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "YOLO"
    with pytest.raises(KeyError, match="add_yolo_config"):
        build_model(cfg)
    model = model_of(config())
    with pytest.raises(ValueError, match="empty list"):
        model([])
    with pytest.raises(ValueError, match=r"\(3, H, W\)"):
        model([{"image": torch.zeros(1, 64, 64)}])
    with pytest.raises(ValueError, match="instances"):
        model([{"image": torch.zeros(3, 64, 64)}])


def test_l1_joins_in_the_last_iterations() -> None:
    cfg = config("yolox")
    cfg.MODEL.YOLO.LOSS.YOLOX.L1_ITERS = 10
    model = model_of(cfg)
    assert "loss_l1" not in model(batch())
    for iteration, there in ((19, False), (20, True)):
        with EventStorage(iteration):
            assert ("loss_l1" in model(batch())) is there


def test_weights_of_branches_move() -> None:
    cfg = config("yolo26")
    cfg.MODEL.YOLO.LOSS.BRANCHES.MAIN_WEIGHT = [0.2, 0.9]
    cfg.MODEL.YOLO.LOSS.BRANCHES.AUXILIARY_WEIGHT = [0.8, 0.1]
    criterion = model_of(cfg).criterion
    targets = no_objects()
    for iteration, main in ((0, 0.2), (29, 0.9), (40, 0.9)):
        with EventStorage(iteration):
            losses = criterion([torch.zeros(1, 7, 2, 2)] * 6, targets)
        assert criterion.weights["main"] == pytest.approx(main)
        assert criterion.weights["main"] + criterion.weights["auxiliary"] == pytest.approx(1.0)
        assert float(losses["loss_cls_main"]) == pytest.approx(float(losses["loss_cls_auxiliary"]) * main / (1 - main))


def no_objects() -> Targets:
    return Targets.from_instances([sample(64, 64, [])["instances"]])


def test_pictures_of_training() -> None:
    cfg = config()
    cfg.VIS_PERIOD = 2
    model = model_of(cfg)
    with EventStorage(0) as storage:
        model(batch())
        assert len(storage._vis_data) == 1
    with EventStorage(1) as storage:
        model(batch())
        assert not storage._vis_data


def test_any_size_is_padded_when_traced() -> None:
    model = model_of(config()).eval()
    pixels = batch()[0]["image"].float()
    with torch.no_grad():
        boxes, scores = TraceableYOLO(model)(pixels[None])
        images = model.preprocess_image([{"image": pixels}])
        expected = model.predict_dense(images.tensor)
    assert boxes.shape == (1, (8 * 12 + 4 * 6 + 2 * 3), 4)
    torch.testing.assert_close((boxes, scores), expected)


def test_inference_exports_with_free_batch_height_and_width() -> None:
    model = TraceableYOLO(model_of(config())).eval()
    height, width = (32 * torch.export.Dim(name, min=2, max=40) for name in ("rows", "columns"))
    with torch.no_grad():
        program = torch.export.export(
            model,
            (torch.rand(2, 3, 64, 96) * 255,),
            dynamic_shapes=({0: torch.export.Dim("batch"), 2: height, 3: width},),
        ).module()
        for images in (1, 3):
            other = torch.rand(images, 3, 128, 64) * 255
            for got, expected in zip(program(other), model(other), strict=True):
                torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
