"""The anchor-based loss against a re-derivation with loops, and its gains."""

import math

import numpy as np
import pytest
import torch
from detectron2.projects.yolo.assigners import AnchorMatcher, OTAAssigner
from detectron2.projects.yolo.losses.detection import AnchorDetectionLoss, LeadGuidedLoss, scaled_gains
from detectron2.projects.yolo.losses.iou import complete_iou

from tests.projects.yolo.losses.cases import ANCHORS, SHAPES, STRIDES, random_levels, some_targets

CLASSES = 4
OUTPUTS = 5 + CLASSES
MATCHER = AnchorMatcher(ANCHORS, STRIDES)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def entropy(logit: float, target: float, weight: float = 1) -> float:
    return -(weight * target * math.log(sigmoid(logit)) + (1 - target) * math.log(1 - sigmoid(logit)))


def test_terms_by_loops() -> None:
    levels, targets = random_levels(3 * OUTPUTS, seed=5), some_targets()
    loss = AnchorDetectionLoss(
        CLASSES,
        MATCHER,
        box_gain=1,
        obj_gain=1,
        cls_gain=1,
        smoothing=0.2,
        cls_positive_weight=2,
        obj_positive_weight=3,
        balance=(5, 3, 2),
        batch_scaled=False,
    )
    ours = {name: value.item() for name, value in loss(levels, targets).items()}
    expected = dict.fromkeys(ours, 0.0)
    _, labels, boxes = targets.flat()
    doubles = 0
    for index, pairs in enumerate(MATCHER(targets, SHAPES)):
        maps = levels[index].detach().double().numpy().reshape(2, 3, OUTPUTS, *SHAPES[index])
        present = np.zeros((2, 3, *SHAPES[index]))
        overlap, classes = [], []
        for image, anchor, row, column, target in zip(
            *(getattr(pairs, name).tolist() for name in ("image", "anchor", "row", "column", "target")), strict=True
        ):
            output = maps[image, anchor, :, row, column].tolist()
            x, y = (column + 2 * sigmoid(output[0]) - 0.5), (row + 2 * sigmoid(output[1]) - 0.5)
            w, h = (
                (2 * sigmoid(t)) ** 2 * side / STRIDES[index]
                for t, side in zip(output[2:4], ANCHORS[index][anchor], strict=True)
            )
            box = torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dtype=torch.float64)
            overlap.append(complete_iou(box, boxes[target].double() / STRIDES[index]).item())
            doubles += present[image, anchor, row, column] > 0
            present[image, anchor, row, column] = max(overlap[-1], 0)
            wanted = [0.9 if k == labels[target] else 0.1 for k in range(CLASSES)]
            classes += [entropy(c, t, 2) for c, t in zip(output[5:], wanted, strict=True)]
        expected["loss_box"] += 1 - np.mean(overlap)
        expected["loss_cls"] += np.mean(classes)
        logits = maps[:, :, 4]
        terms = [entropy(a, b, 3) for a, b in zip(logits.flatten(), present.flatten(), strict=True)]
        expected["loss_obj"] += (5, 3, 2)[index] * np.mean(terms)
    assert doubles > 0, "the case must hold a prediction with several objects"
    assert ours == pytest.approx(expected, rel=1e-4)


def test_auxiliary_labels_follow_the_lead() -> None:
    wide = AnchorMatcher(ANCHORS, STRIDES, reach=1.0)
    fine = AnchorDetectionLoss(CLASSES, MATCHER, ota=OTAAssigner())
    coarse = AnchorDetectionLoss(CLASSES, wide, ota=OTAAssigner(topk=20))
    main, aux, targets = random_levels(3 * OUTPUTS, 7), random_levels(3 * OUTPUTS, 8), some_targets()
    losses = LeadGuidedLoss(fine, coarse)(main + aux, targets)
    alone, guided = fine(main, targets), coarse(aux, targets, guide=main)
    unguided = coarse(aux, targets)
    for name in ("loss_box", "loss_obj", "loss_cls"):
        assert losses[f"{name}_main"].item() == pytest.approx(alone[name].item())
        assert losses[f"{name}_aux"].item() == pytest.approx(0.25 * guided[name].item())
        assert guided[name].item() != pytest.approx(unguided[name].item(), rel=1e-3)


def test_gains_of_another_model() -> None:
    assert scaled_gains(0.05, 1.0, 0.5, levels=3, num_classes=80, image_size=640) == pytest.approx(
        {"box_gain": 0.05, "obj_gain": 1.0, "cls_gain": 0.5}
    )
    assert scaled_gains(0.05, 1.0, 0.5, levels=4, num_classes=20, image_size=1280) == pytest.approx(
        {"box_gain": 0.0375, "obj_gain": 3.0, "cls_gain": 0.09375}
    )


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="balance has 2 values for 3 levels"):
        AnchorDetectionLoss(CLASSES, MATCHER, balance=(1, 2))
    with pytest.raises(ValueError, match="'iouu'"):
        AnchorDetectionLoss(CLASSES, MATCHER, overlap="iouu")
