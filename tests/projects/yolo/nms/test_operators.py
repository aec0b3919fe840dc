"""The operators in graphs, in many threads, on many boxes, within their memory."""

import pytest
import torch
from detectron2.projects.yolo.nms import eager, native, nms, nms_padded, workspace_bytes
from torchvision.ops import batched_nms

from tests.projects.yolo.nms.samples import random_boxes, random_labels, random_scores

OPS = torch.ops.detectron2_yolo
needs_native = pytest.mark.skipif(not native.prepare("cpu"), reason=native.status()["NMS on CPU"])
needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available() or bool(native.problem("cuda")), reason="needs a GPU and the native CUDA kernels"
)


def samples():
    boxes, scores, labels = random_boxes(2, 40), random_scores(2, 40, 3), random_labels(2, 40, classes=5)
    yield boxes, scores, None, 0.5, 0.2, 100, 12, False, False
    yield boxes, scores.transpose(1, 2).contiguous().transpose(1, 2), None, 0.5, 0.2, 30, 12, True, True
    yield boxes, scores[..., 0], labels, 0.5, 0.2, 30, 12, False, False
    yield boxes.half(), scores.bfloat16(), None, 0.5, 0.2, 30, 12, False, True
    yield boxes[:0], scores[:0], None, 0.5, 0.2, 30, 12, False, True


@pytest.mark.parametrize("number", range(5))
def test_opcheck(number):
    arguments = list(samples())[number]
    torch.library.opcheck(OPS.nms_padded, arguments)
    torch.library.opcheck(OPS.nms, arguments)


class Padded(torch.nn.Module):
    def forward(self, boxes, scores):
        found = nms_padded(boxes, scores, iou_threshold=0.5, score_threshold=0.2, max_detections=9)
        return found.boxes * 2, found.counts


class Packed(torch.nn.Module):
    def forward(self, boxes, scores):
        found = nms(boxes, scores, iou_threshold=0.5, score_threshold=0.2, max_detections=9)
        return found.boxes * 2, found.images + 1


@pytest.mark.parametrize("model", [Padded(), Packed()], ids=["padded", "packed"])
def test_compiled_and_exported_graphs_hold_the_operator(model):
    inputs = random_boxes(2, 50), random_scores(2, 50, 3)
    wanted = model(*inputs)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)(*inputs)
    images, anchors = torch.export.Dim("images"), torch.export.Dim("anchors")
    shapes = {name: {0: images, 1: anchors} for name in ("boxes", "scores")}
    program = torch.export.export(model, inputs, dynamic_shapes=shapes)
    assert "detectron2_yolo.nms" in str(program.graph)
    for results in (compiled, program.module()(*inputs)):
        assert all(torch.equal(a, b) for a, b in zip(results, wanted, strict=True))
    other = random_boxes(3, 70, seed=5), random_scores(3, 70, 3, seed=6)
    assert all(torch.equal(a, b) for a, b in zip(program.module()(*other), model(*other), strict=True))


def test_there_are_no_gradients():
    boxes, scores = random_boxes(1, 20).requires_grad_(), random_scores(1, 20, 2).requires_grad_()
    assert not nms_padded(boxes, scores, iou_threshold=0.5, score_threshold=0.2).boxes.requires_grad


@needs_native
@pytest.mark.parametrize("classes", [1, 20])
def test_a_hundred_thousand_boxes(classes):
    count = 100_000
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(count, 2, generator=generator) * 3000
    boxes = torch.cat([corners, corners + 5 + torch.rand(count, 2, generator=generator) * 120], 1)
    scores, labels = random_scores(count), random_labels(count, classes=classes)
    keep = batched_nms(boxes[:30000], scores[:30000], labels[:30000], 0.3)
    settings = {"iou_threshold": 0.3, "score_threshold": -1.0, "max_candidates": count, "max_detections": count}
    own = nms(boxes[None, :30000], scores[None, :30000], labels[None, :30000], **settings)
    assert torch.equal(own.anchors.sort().values, keep.sort().values)
    # of all of them: kept boxes do not overlap in their class, and each other box overlaps a better kept one
    own = nms(boxes[None], scores[None], labels[None], **settings)
    again = nms(own.boxes[None], own.scores[None], own.labels[None], **settings)
    assert torch.equal(again.anchors, torch.arange(len(own.anchors)))
    assert torch.equal(own.scores, own.scores.sort(descending=True).values)
    best = nms(boxes[None], scores[None], labels[None], **{**settings, "max_detections": 500})
    assert torch.equal(best.anchors, own.anchors[:500])


@needs_native
@pytest.mark.parametrize("number", range(5))
def test_native_is_the_eager_twin(number):
    arguments = list(samples())[number]
    for given, wanted in zip(OPS.nms_padded(*arguments), eager.nms_padded(*arguments), strict=True):
        assert torch.equal(given, wanted)


@needs_native
def test_threads_do_not_change_the_result():
    boxes, scores = random_boxes(7, 3000), random_scores(7, 3000, 4, levels=50)
    settings = {"iou_threshold": 0.6, "score_threshold": 0.1, "max_candidates": 900, "multi_label": True}
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 5, 2):
            torch.set_num_threads(count)
            results.append(nms_padded(boxes, scores, **settings))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


def allocated(arguments):
    """Bytes of each allocation of one call on the CPU."""
    with torch.profiler.profile(profile_memory=True) as profile:
        OPS.nms_padded(*arguments)
    events = profile.profiler.kineto_results.events()
    return [event.nbytes() for event in events if event.name() == "[memory]" and event.nbytes() > 0]


@needs_native
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("candidates, detections", [(5000, 100), (70, 100), (70, 7), (1, 1)])
def test_workspace(multi_label, candidates, detections):
    boxes, scores = random_boxes(3, 200), random_scores(3, 200, 6)
    arguments = (boxes, scores, None, 0.5, -1.0, candidates, detections, False, multi_label)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            wanted = workspace_bytes("cpu", 3, 200, 6, candidates, detections, multi_label, threads=count)
            outputs = 3 * detections * (16 + 4 + 8 + 8) + 3 * 8
            assert wanted in allocated(arguments)
            assert sum(allocated(arguments)) == wanted + outputs
    finally:
        torch.set_num_threads(threads)


def test_workspace_is_bounded_by_the_candidates():
    few = workspace_bytes("cpu", 4, 8400, 80, 1000, 300, multi_label=True)
    assert few == workspace_bytes("cpu", 4, 10**6, 1000, 1000, 300, multi_label=True) < 100_000
    assert workspace_bytes("cuda", 16, 8400, 80, 30000, 300, multi_label=True) == 16 * (8 * 32768 + 8224)
    assert workspace_bytes("cuda", 16, 0, 80, 30000, 300) == 0
    with pytest.raises(ValueError, match="device_type is 'xpu'"):
        workspace_bytes("xpu", 1, 1, 1, 1, 1)


@needs_cuda
@pytest.mark.parametrize("number", range(5))
def test_cuda_is_the_eager_twin(number):
    arguments = list(samples())[number]
    on_gpu = [value.cuda() if isinstance(value, torch.Tensor) else value for value in arguments]
    for given, wanted in zip(OPS.nms_padded(*on_gpu), eager.nms_padded(*arguments), strict=True):
        assert torch.equal(given.cpu(), wanted)


@needs_cuda
@pytest.mark.parametrize("candidates", [1, 500, 5000, 30000])
@pytest.mark.parametrize("multi_label", [False, True])
def test_cuda_selects_sorts_and_suppresses_as_the_cpu(candidates, multi_label):
    boxes, scores = random_boxes(3, 8400), random_scores(3, 8400, 20, levels=1000)
    settings = {"iou_threshold": 0.6, "score_threshold": 0.01, "max_candidates": candidates, "max_detections": 2000}
    given = nms_padded(boxes.cuda(), scores.cuda(), multi_label=multi_label, **settings)
    wanted = nms_padded(boxes, scores, multi_label=multi_label, **settings)
    assert all(torch.equal(a.cpu(), b) for a, b in zip(given, wanted, strict=True))


@needs_cuda
def test_cuda_graph_without_synchronisation():
    boxes, scores = random_boxes(2, 500).cuda(), random_scores(2, 500, 3).cuda()
    settings = {"iou_threshold": 0.5, "score_threshold": 0.2}
    wanted = nms_padded(boxes, scores, **settings)
    boxes_in, scores_in = torch.zeros_like(boxes), torch.zeros_like(scores)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = nms_padded(boxes_in, scores_in, **settings)
    boxes_in.copy_(boxes)
    scores_in.copy_(scores)
    torch.cuda.set_sync_debug_mode("error")
    try:
        graph.replay()
        nms_padded(boxes, scores, **settings)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
