"""Detection losses and their gradients against those of the published implementations."""

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.assigners import AnchorMatcher, OTAAssigner, TaskAlignedAssigner, one_to_one_assigner
from detectron2.projects.yolo.losses import Targets
from detectron2.projects.yolo.losses.detection import (
    AnchorDetectionLoss,
    BranchesLoss,
    EndToEndDetectionLoss,
    V8DetectionLoss,
    YOLOXLoss,
)
from torch import Tensor, nn

from tests.projects.yolo.facts import errors, golden, golden_entry
from tests.projects.yolo.losses.cases import STRIDES, targets_of_rows

RELATIVE = 1e-4
BATCH = 2
CLASSIC = "v8_detection_loss_classic"
CURRENT = "v8_detection_loss_ultralytics"
ENLARGED = TaskAlignedAssigner(min_side=16)


def levels_of(file: str, name: str) -> list[Tensor]:
    return [torch.from_numpy(golden(file)[f"{name}{level}"]).clone().requires_grad_() for level in range(3)]


def check(
    loss: nn.Module, levels: list[Tensor], targets: Targets, items: np.ndarray, gradients: list[np.ndarray]
) -> None:
    """Items are means over images, gradients those of the sum."""
    losses = loss(levels, targets)
    np.testing.assert_allclose([value.item() / BATCH for value in losses.values()], items, rtol=RELATIVE)
    sum(losses.values()).backward()
    for level, gradient in zip(levels, gradients, strict=True):
        check_gradient(level, gradient)


def check_gradient(level: Tensor, published: np.ndarray) -> None:
    assert level.grad is not None
    limit = RELATIVE * (np.abs(published) + np.nanmax(np.abs(published)))
    assert (np.abs(errors(level.grad.numpy(), published)) <= limit[~np.isnan(published)]).all()


@pytest.mark.parametrize(
    "file, case, assigner, reg_max",
    [
        (CLASSIC, "regmax16", TaskAlignedAssigner(), 16),
        (CURRENT, "regmax16", ENLARGED, 16),
        (CURRENT, "regmax1", ENLARGED, 1),
    ],
)
def test_v8(file: str, case: str, assigner: TaskAlignedAssigner, reg_max: int) -> None:
    arrays = golden(file)
    gradients = [arrays[f"{case}_grad_feat{level}"] for level in range(3)]
    loss = V8DetectionLoss(4, STRIDES, reg_max, assigner=assigner)
    items = arrays[f"{case}_items_box_cls_dfl"]
    check(loss, levels_of(file, f"{case}_feat"), targets_of_rows(arrays["targets"]), items, gradients)


def end_to_end_levels(file: str) -> dict[str, list[Tensor]]:
    return {
        "one_to_many": levels_of(file, "e2e_one2many_feat"),
        "one_to_one": levels_of(file, "e2e_one2one_feat"),
    }


def test_v10() -> None:
    arrays = golden(CLASSIC)
    losses = {"one_to_many": V8DetectionLoss(4), "one_to_one": V8DetectionLoss(4, assigner=one_to_one_assigner())}
    loss = BranchesLoss(losses, {"one_to_many": 1, "one_to_one": 1})
    terms = [value.item() for value in loss(end_to_end_levels(CLASSIC), targets_of_rows(arrays["targets"])).values()]
    np.testing.assert_allclose(np.array(terms) / BATCH, arrays["e2e_items_o2m_then_o2o"], rtol=RELATIVE)
    np.testing.assert_allclose(sum(terms), arrays["e2e_total"].item(), rtol=RELATIVE)


def current_end_to_end(epochs: int) -> EndToEndDetectionLoss:
    one = V8DetectionLoss(4, assigner=one_to_one_assigner(7, min_side=16))
    return EndToEndDetectionLoss(V8DetectionLoss(4, assigner=ENLARGED), one, epochs)


@pytest.mark.parametrize("flat", [False, True])
def test_end_to_end(flat: bool) -> None:
    arrays = golden(CURRENT)
    levels = end_to_end_levels(CURRENT)
    predictions = levels["one_to_one"] + levels["one_to_many"] if flat else levels
    losses = current_end_to_end(100)(predictions, targets_of_rows(arrays["targets"]))
    for branch, item, weight in (("one_to_one", "one2one", 0.2), ("one_to_many", "one2many", 0.8)):
        ours = [losses[f"loss_{term}_{branch}"].item() for term in ("box", "cls", "dfl")]
        np.testing.assert_allclose(ours, weight * BATCH * arrays[f"e2e_items_{item}"], rtol=RELATIVE)
    total = [sum(v.item() for k, v in losses.items() if term in k) for term in ("box", "cls", "dfl")]
    np.testing.assert_allclose(total, arrays["e2e_total_per_term"], rtol=RELATIVE)


def test_end_to_end_schedule() -> None:
    loss = current_end_to_end(100)
    for epoch, (many, one) in enumerate(golden(CURRENT)["e2e_gain_schedule_epochs100_updates1to120"], start=1):
        loss.set_epoch(epoch)
        assert loss.weights == pytest.approx({"one_to_many": many, "one_to_one": one})


def test_v9_single() -> None:
    arrays = golden("yolov9_loss")
    gradients = [arrays[f"single_grad_main_feat{level}"] for level in range(3)]
    loss = V8DetectionLoss(4, assigner=TaskAlignedAssigner(settle_outside=True))
    levels = levels_of("yolov9_loss", "main_feat")
    check(loss, levels, targets_of_rows(arrays["targets"]), arrays["single_items"], gradients)


def test_v9_dual() -> None:
    arrays = golden("yolov9_loss")
    branch = V8DetectionLoss(4, assigner=TaskAlignedAssigner(settle_outside=True))
    loss = BranchesLoss({"main": branch, "aux": branch}, {"main": 1, "aux": 0.25})
    levels = {name: levels_of("yolov9_loss", f"{name}_feat") for name in ("main", "aux")}
    losses = loss(levels, targets_of_rows(arrays["targets"]))
    items = [sum(v.item() for k, v in losses.items() if term in k) / BATCH for term in ("box", "cls", "dfl")]
    np.testing.assert_allclose(items, arrays["dual_items"], rtol=RELATIVE)
    sum(losses.values()).backward()
    sums = [sum(float(level.grad.double().abs().sum()) for level in levels[name]) for name in ("aux", "main")]
    np.testing.assert_allclose(sums, arrays["dual_grad_abs_sum_aux_main"], rtol=RELATIVE)


def yolox_targets() -> Targets:
    rows = torch.from_numpy(golden("yolox_simota_loss")["labels"])
    half = rows[..., 3:] / 2
    boxes = torch.cat((rows[..., 1:3] - half, rows[..., 1:3] + half), dim=2)
    return Targets(rows[..., 0].long(), boxes, rows[..., 3] > 0)


@pytest.mark.parametrize("case", ["nol1", "l1"])
def test_yolox(case: str) -> None:
    arrays = golden("yolox_simota_loss")
    levels = levels_of("yolox_simota_loss", "raw")
    losses = YOLOXLoss(4, use_l1=case == "l1")(levels, yolox_targets())
    total, *items, _ = arrays[f"{case}_loss_total_iou5_obj_cls_l1_fgratio"]
    np.testing.assert_allclose([value.item() for value in losses.values()], items[: len(losses)], rtol=RELATIVE)
    ours = sum(losses.values())
    assert ours.item() == pytest.approx(total, rel=RELATIVE)
    ours.backward()
    for index, level in enumerate(levels):
        check_gradient(level, arrays[f"{case}_grad_raw{index}"])


def by_channel(level: np.ndarray) -> np.ndarray:
    """(N, anchors, y, x, outputs) -> (N, anchors * outputs, y, x)."""
    return level.transpose(0, 1, 4, 2, 3).reshape(len(level), -1, *level.shape[2:4])


@pytest.mark.parametrize(
    "file, ota",
    [
        ("yolov5_loss_build_targets", None),
        ("yolov7_loss_build_targets", None),
        ("yolov7_loss_ota", OTAAssigner(scale_by_height=True)),
    ],
)
def test_anchor_based(file: str, ota: OTAAssigner | None) -> None:
    arrays, settings = golden(file), golden_entry(file)["hyp"]
    matcher = AnchorMatcher(arrays["anchors_px"].tolist(), STRIDES, settings["anchor_t"])
    gains: dict[str, float] = {f"{name}_gain": settings[name] for name in ("box", "obj", "cls")}
    loss = AnchorDetectionLoss(4, matcher, ota=ota, **gains)
    levels = [torch.from_numpy(by_channel(arrays[f"pred{level}"])).requires_grad_() for level in range(3)]
    items = next(value for name, value in arrays.items() if name.startswith("loss_items"))[:3]
    gradients = [by_channel(arrays[f"grad_pred{level}"]) for level in range(3)]
    check(loss, levels, targets_of_rows(arrays["targets"]), items, gradients)
