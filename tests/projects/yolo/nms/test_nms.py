"""Suppression in both implementations against torchvision, the golden, and arithmetic by hand."""

import math

import pytest
import torch
from detectron2.projects.yolo.nms import native, nms, nms_padded

from tests.projects.yolo.facts import golden, golden_entry
from tests.projects.yolo.nms.samples import (
    SIZE,
    expected_of_image,
    random_boxes,
    random_labels,
    random_scores,
    rows_of_image,
)

ALL = {"score_threshold": -1.0, "max_detections": 1 << 14, "max_candidates": 1 << 20}


@pytest.fixture(params=["native", "eager"], autouse=True)
def implementation(request, monkeypatch):
    """The kernels of either kind behind the operator."""
    if request.param == "native":
        if not native.prepare("cpu"):
            pytest.skip(native.status()["NMS on CPU"])
        return request.param
    from detectron2.projects.yolo.nms import eager

    monkeypatch.setattr(torch.ops.detectron2_yolo, "nms_padded", eager.nms_padded)
    return request.param


def assert_same(rows, expected):
    assert len(rows[0]) == len(expected[0])
    for given, wanted in zip(rows, expected, strict=True):
        torch.testing.assert_close(given, wanted, atol=0, rtol=0, equal_nan=True)


def check_labelled(boxes, scores, labels, iou_threshold, **settings):
    settings = {**ALL, "max_detections": boxes.shape[1], **settings}
    padded = nms_padded(boxes, scores, labels, iou_threshold=iou_threshold, **settings)
    for image in range(len(boxes)):
        valid = scores[image] > settings["score_threshold"]
        anchors = valid.nonzero()[:, 0]
        expected = expected_of_image(
            boxes[image, anchors],
            scores[image, anchors],
            labels[image, anchors],
            anchors,
            iou_threshold,
            settings.get("class_agnostic", False),
        )
        assert_same(rows_of_image(padded, image), expected)
    return padded


@pytest.mark.parametrize("iou_threshold", [0.0, 0.45, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("classes", [1, 5, 1000])
def test_keeps_what_torchvision_keeps(iou_threshold, classes):
    boxes, scores = random_boxes(3, 300), random_scores(3, 300)
    padded = check_labelled(boxes, scores, random_labels(3, 300, classes=classes), iou_threshold)
    if classes == 1 and iou_threshold < 0.5:
        assert 0 < padded.counts.max() < 250  # something was suppressed


def test_tied_scores_come_by_index():
    boxes, scores = random_boxes(2, 400), random_scores(2, 400, levels=4)
    padded = check_labelled(boxes, scores, random_labels(2, 400, classes=3), 0.5)
    anchors, scores = rows_of_image(padded, 0)[3], rows_of_image(padded, 0)[1]
    ties = scores[1:] == scores[:-1]
    assert ties.any() and (anchors[1:] > anchors[:-1])[ties].all()
    zeros = nms_padded(boxes[:1, :2], torch.tensor([[-0.0, 0.0]]), torch.tensor([[0, 1]]), iou_threshold=0.5, **ALL)
    assert zeros.anchors[0, :2].tolist() == [0, 1]


def test_the_candidates_of_tied_scores_are_the_first_anchors_in_any_layout():
    boxes, scores = random_boxes(1, 100), torch.full((1, 3, 100), 0.5).transpose(1, 2)
    settings = {"iou_threshold": 1.0, "score_threshold": 0.0, "max_candidates": 10, "multi_label": True}
    for laid_out in (scores, scores.contiguous()):
        padded = nms_padded(boxes, laid_out, **settings)
        assert rows_of_image(padded, 0)[3].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
        assert rows_of_image(padded, 0)[2].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_of_duplicates_the_first_stays():
    boxes = random_boxes(1, 50).repeat(1, 4, 1)
    padded = check_labelled(boxes, torch.full((1, 200), 0.5), torch.zeros(1, 200, dtype=torch.long), 0.5)
    assert (rows_of_image(padded, 0)[3] < 50).all()


def test_boxes_without_area_overlap_nothing():
    boxes, scores = random_boxes(2, 200), random_scores(2, 200)
    boxes[:, ::3, 2:] = boxes[:, ::3, :2]
    boxes[:, 1::6, 2] = boxes[:, 1::6, 0] - 5  # corners the wrong way round
    boxes[0, 5], boxes[0, 7, 0], boxes[1, 9, 2] = math.nan, math.nan, math.inf
    check_labelled(boxes, scores, torch.zeros(2, 200, dtype=torch.long), 0.5)
    check_labelled(boxes.repeat(1, 2, 1), scores.repeat(1, 2), torch.zeros(2, 400, dtype=torch.long), 0.0)


def test_nan_scores_are_no_candidates():
    boxes, scores = random_boxes(2, 100), random_scores(2, 100, 3)
    scores[0, ::2], scores[1, 3, 1] = math.nan, math.nan
    for multi_label in (False, True):
        padded = nms_padded(boxes, scores, iou_threshold=1.0, multi_label=multi_label, **ALL)
        factor = 3 if multi_label else 1
        assert padded.counts.tolist() == [50 * factor, 100 * factor - multi_label]
        assert (rows_of_image(padded, 0)[3] % 2 == 1).all()
        assert not padded.scores.isnan().any()


def test_the_thresholds_are_strict():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 5, 5]]])  # IoU 1/2, 1/2, 1/4
    scores, labels = torch.tensor([[0.9, 0.5, 0.25]]), torch.zeros(1, 3, dtype=torch.long)

    def kept(iou, score):
        padded = nms_padded(boxes, scores, labels, iou_threshold=iou, score_threshold=score, max_detections=3)
        return padded.anchors[0, : padded.counts[0]].tolist()

    assert kept(0.5, 0.0) == [0, 1, 2]
    assert kept(0.5 - 1e-9, 0.0) == [0, 2]  # nearer to 0.5 than a float32 can tell
    assert kept(0.2, 0.0) == [0]
    assert kept(1.0, 0.25) == [0, 1]
    assert kept(1.0, 0.5) == [0]


@pytest.mark.parametrize("layout", ["rows", "planes", "sliced rows", "neither"])
@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("max_candidates", [40, 7000])
def test_dense_scores(layout, class_agnostic, max_candidates):
    images, anchors, classes = 2, 251, 21
    boxes, scores = random_boxes(images, anchors), random_scores(images, anchors, classes, levels=300)
    laid_out = {
        "rows": lambda x: x,
        "planes": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
        "sliced rows": lambda x: torch.cat([x, x], 2)[:, :, :classes],
        "neither": lambda x: x.unsqueeze(3).repeat(1, 1, 1, 2)[..., 0],
    }[layout](scores)
    settings = {"max_detections": 4000, "class_agnostic": class_agnostic, "max_candidates": max_candidates}
    best, label = scores.max(2)
    for multi_label in (False, True):
        padded = nms_padded(
            boxes, laid_out, iou_threshold=0.5, score_threshold=0.3, multi_label=multi_label, **settings
        )
        for image in range(images):
            if multi_label:
                at, k = (scores[image] > 0.3).nonzero().unbind(1)
                candidates = boxes[image, at], scores[image, at, k], k, at
            else:
                at = (best[image] > 0.3).nonzero()[:, 0]
                candidates = boxes[image, at], best[image, at], label[image, at], at
            expected = expected_of_image(*candidates, 0.5, class_agnostic, max_candidates)
            assert_same(rows_of_image(padded, image), expected)


def test_max_detections_keeps_the_best_and_pads():
    boxes, scores, labels = random_boxes(2, 200), random_scores(2, 200), random_labels(2, 200, classes=4)
    scores[1, 5:] = 0
    settings = {"iou_threshold": 0.6, "score_threshold": 0.0}
    whole = nms_padded(boxes, scores, labels, max_detections=200, **settings)
    padded = nms_padded(boxes, scores, labels, max_detections=10, **settings)
    assert padded.counts.tolist() == [10, int(whole.counts[1])] and whole.counts[1] <= 5
    for given, wanted in zip(rows_of_image(padded, 0), rows_of_image(whole, 0), strict=True):
        assert torch.equal(given, wanted[:10])
    end = int(padded.counts[1])
    assert (padded.labels[1, end:] == -1).all() and (padded.anchors[1, end:] == -1).all()
    assert not padded.boxes[1, end:].any() and not padded.scores[1, end:].any()


def test_labels_are_any_whole_numbers():
    boxes, scores, labels = random_boxes(1, 300), random_scores(1, 300), random_labels(1, 300, classes=7)
    far = torch.tensor([-(2**62), -1, 0, 3, 2**20, 2**40, 2**62])
    settings = {"iou_threshold": 0.4, **ALL}
    near, other = nms_padded(boxes, scores, labels, **settings), nms_padded(boxes, scores, far[labels], **settings)
    assert torch.equal(near.anchors, other.anchors)
    assert torch.equal(other.labels[0, : other.counts[0]], far[near.labels[0, : near.counts[0]]])


@pytest.mark.parametrize("shape", [(0, 10, 3), (2, 0, 3), (2, 10, 0), (0, 0, 0)])
def test_nothing_to_do(shape):
    images, anchors, classes = shape
    boxes, scores = torch.zeros(images, anchors, 4), torch.zeros(images, anchors, classes)
    for multi_label in (False, True):
        settings = {"iou_threshold": 0.5, "score_threshold": 0.0, "max_detections": 6, "multi_label": multi_label}
        padded = nms_padded(boxes, scores, **settings)
        assert padded.boxes.shape == (images, 6, 4) and padded.counts.tolist() == [0] * images
        packed = nms(boxes, scores, **settings)
        assert packed.boxes.shape == (0, 4) and packed.counts.tolist() == [0] * images
        assert len(packed.split()) == images
    full = nms(random_boxes(2, 5), torch.full((2, 5, 1), 0.25), iou_threshold=0.5, score_threshold=0.25)
    assert full.counts.tolist() == [0, 0]


def test_packed_rows_are_the_padded_ones():
    boxes, scores = random_boxes(3, 120), random_scores(3, 120, 4)
    scores[1] = 0
    settings = {"iou_threshold": 0.5, "score_threshold": 0.6, "max_detections": 50}
    padded, packed = nms_padded(boxes, scores, **settings), nms(boxes, scores, **settings)
    assert torch.equal(padded.counts, packed.counts) and packed.counts[1] == 0
    for image, own in enumerate(packed.split()):
        assert_same(tuple(own[:4]), rows_of_image(padded, image))
        assert (own.images == image).all() and own.counts.tolist() == [len(own.boxes)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    boxes, scores = random_boxes(2, 200).to(dtype), random_scores(2, 200, 6).to(dtype)
    settings = {"iou_threshold": 0.45, "score_threshold": 0.3, "multi_label": True}
    half, full = nms_padded(boxes, scores, **settings), nms_padded(boxes.float(), scores.float(), **settings)
    assert half.boxes.dtype == half.scores.dtype == dtype
    assert_same(half, (full.boxes.to(dtype), full.scores.to(dtype), *full[2:]))


def golden_candidates(prediction):
    corners = torch.cat([prediction[:, :2] - prediction[:, 2:4] / 2, prediction[:, :2] + prediction[:, 2:4] / 2], dim=1)
    return corners.transpose(1, 2), prediction[:, 4:].transpose(1, 2)


@pytest.mark.parametrize("name", ["default", "val", "agnostic", "classes_1_3", "maxdet10", "multilabel_maxnms100"])
def test_golden(name):
    arrays = golden("nms_ultralytics")
    settings = golden_entry("nms_ultralytics")["settings"][name]
    boxes, scores = golden_candidates(torch.from_numpy(arrays["prediction"]))
    labels = None
    if name == "classes_1_3":
        scores, labels = scores.max(2)
        scores = torch.where(torch.isin(labels, torch.tensor([1, 3])), scores, 0)
    detections = nms(
        boxes,
        scores,
        labels,
        iou_threshold=settings["iou_thres"],
        score_threshold=settings["conf_thres"],
        max_candidates=settings["max_nms"],
        max_detections=settings["max_det"],
        class_agnostic=settings["agnostic"],
        multi_label=settings["multi_label"],
    )
    for image, own in enumerate(detections.split()):
        rows = torch.cat([own.boxes, own.scores[:, None], own.labels[:, None].float()], dim=1)
        torch.testing.assert_close(rows, torch.from_numpy(arrays[f"{name}_img{image}"]), atol=1e-4, rtol=0)


def test_mistakes_are_named():
    boxes, scores, labels = torch.zeros(1, 2, 4), torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.long)
    good = {"iou_threshold": 0.5, "score_threshold": 0.1}
    for arguments, changes, words in (
        ((boxes[0], scores), {}, r"boxes are of shape \(2, 4\)"),
        ((boxes, scores[:, :1]), {}, r"scores are of shape \(1, 1, 3\)"),
        ((boxes, scores, labels), {}, "as there are labels"),
        ((boxes, scores[..., 0], labels.int()), {}, "labels are torch.int32"),
        ((boxes.double(), scores), {}, "boxes are torch.float64"),
        ((boxes, scores.long()), {}, "scores are torch.int64"),
        ((boxes, scores), {"iou_threshold": 1.5}, "iou_threshold is 1.5"),
        ((boxes, scores), {"iou_threshold": math.nan}, "iou_threshold is nan"),
        ((boxes, scores), {"score_threshold": math.nan}, "score_threshold is NaN"),
        ((boxes, scores), {"max_candidates": 0}, "max_candidates is 0"),
        ((boxes, scores), {"max_detections": -1}, "max_detections is -1"),
        ((boxes.to("meta"), scores), {}, "different devices: cpu, meta"),
    ):
        for function in (nms, nms_padded):
            with pytest.raises(ValueError, match=words):
                function(*arguments, **{**good, **changes})


def test_the_sample_is_crowded():
    boxes = random_boxes(1, 300)
    assert (boxes[..., 2:] > boxes[..., :2]).all() and boxes.max() < 2 * SIZE
