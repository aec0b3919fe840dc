"""ROIAlign against the goldens, in both implementations, and the native operator against torchvision."""

import itertools
import os
import subprocess
import sys

import pytest
import torch
from torchvision.ops import roi_align as torchvision_roi_align

from detectron2.layers import _native
from detectron2.layers.roi_align import ROIAlign, roi_align
from tests.facts import golden

needs_native = pytest.mark.skipif(not _native.has_cpu(), reason=_native.status()["ROIAlign on CPU"])
SETTINGS = list(itertools.product((0, 1), (0, 2), ("7x7", "3x5")))


@pytest.fixture(params=["native", "torchvision"])
def implementation(request, monkeypatch):
    if request.param == "torchvision":
        monkeypatch.setattr(_native, "has_cpu", lambda: False)
    elif not _native.has_cpu():
        pytest.skip(_native.status()["ROIAlign on CPU"])
    return request.param


def arrays():
    return {name: torch.from_numpy(array) for name, array in golden("roi_align").items()}


def random_boxes(count, images, extent, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corners = (torch.rand(count, 2, 2, generator=generator) * 1.4 - 0.2) * extent
    low, high = corners.min(1).values, corners.max(1).values
    index = torch.randint(images, (count, 1), generator=generator).float()
    return torch.cat([index, low, high], dim=1)


@pytest.mark.parametrize("aligned, ratio, size", SETTINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_golden(implementation, aligned, ratio, size, dtype, layout):
    g, key = arrays(), f"aligned{aligned}_sr{ratio}_{size}"
    features = g["input"].to(dtype).to(memory_format=layout).clone().requires_grad_()
    pooler = ROIAlign(tuple(int(n) for n in size.split("x")), 0.25, ratio, aligned=bool(aligned))
    output = pooler(features, g["rois"].to(dtype))
    output.backward(g[f"gradout_{key}"].to(dtype))
    torch.testing.assert_close(output.float(), g[f"out_{key}"], atol=1e-5, rtol=0)
    torch.testing.assert_close(features.grad.float(), g[f"gradin_{key}"], atol=1e-4, rtol=0)


def test_no_boxes(implementation):
    features = torch.rand(2, 5, 6, 7, requires_grad=True)
    output = ROIAlign(7, 0.5, 0)(features, torch.zeros(0, 5))
    assert output.shape == (0, 5, 7, 7)
    output.sum().backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_list_of_boxes_and_half_precision(implementation):
    g = arrays()
    boxes = [g["rois"][g["rois"][:, 0] == i, 1:] for i in range(2)]
    joined = torch.cat([torch.cat([torch.full((len(b), 1), float(i)), b], 1) for i, b in enumerate(boxes)])
    features = g["input"].bfloat16()
    expected = torchvision_roi_align(features.float(), joined, (3, 5), 0.25, 0, True)
    output = roi_align(features, boxes, (3, 5), 0.25, 0, True)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=1e-2, rtol=1e-2)


def test_wrong_shape_of_boxes():
    with pytest.raises(ValueError, match=r"\(K, 5\), got \(3, 4\)"):
        ROIAlign(7, 1.0, 0)(torch.rand(1, 1, 4, 4), torch.rand(3, 4))


def test_repr():
    text = "ROIAlign(output_size=(7, 7), spatial_scale=0.25, sampling_ratio=0, aligned=True)"
    assert repr(ROIAlign((7, 7), 0.25, 0)) == text


@needs_native
@pytest.mark.parametrize("channels", [1, 16, 19, 64])
@pytest.mark.parametrize("count", [3, 200], ids=["windows", "whole image"])
@pytest.mark.parametrize("ratio, aligned", list(itertools.product((0, 3), (True, False))))
def test_equals_torchvision(channels, count, ratio, aligned):
    torch.manual_seed(0)
    features = torch.randn(2, channels, 37, 51)
    boxes = random_boxes(count, 2, torch.tensor([102.0, 74.0]))
    results = []
    for function in (roi_align, torchvision_roi_align):
        x = features.clone().requires_grad_()
        output = function(x, boxes, (7, 5), 0.5, ratio, aligned)
        (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
        results.append((output.detach(), x.grad))
    torch.testing.assert_close(results[0][0], results[1][0], atol=3e-6, rtol=0)
    torch.testing.assert_close(results[0][1], results[1][1], atol=3e-6, rtol=1e-4)


@needs_native
def test_same_bits_with_any_number_of_threads():
    torch.manual_seed(0)
    features, boxes = torch.randn(2, 48, 40, 40), random_boxes(300, 2, torch.tensor([160.0, 160.0]))
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            x = features.clone().requires_grad_()
            output = roi_align(x, boxes, (7, 7), 0.25, 0, True)
            output.square().sum().backward()
            results.append((output.detach(), x.grad))
    finally:
        torch.set_num_threads(threads)
    for output, grad in results[1:]:
        assert torch.equal(output, results[0][0]) and torch.equal(grad, results[0][1])


@needs_native
def test_gradients_of_first_and_second_order():
    rois = arrays()["rois"].double()
    features = torch.randn(2, 3, 6, 8, dtype=torch.double, requires_grad=True)

    def pool(x):
        return roi_align(x, rois, (3, 2), 0.0625, 0, True)

    assert torch.autograd.gradcheck(pool, (features,))
    assert torch.autograd.gradgradcheck(pool, (features,))


@needs_native
@pytest.mark.parametrize("ratio, aligned", list(itertools.product((0, 2), (True, False))))
def test_opcheck(ratio, aligned):
    rois = arrays()["rois"]
    features = torch.randn(2, 19, 24, 32, requires_grad=True)
    grad = torch.randn(len(rois), 19, 3, 2, requires_grad=True)
    ops = torch.ops.detectron2
    torch.library.opcheck(ops.roi_align_forward, (features, rois, 0.25, 3, 2, ratio, aligned))
    torch.library.opcheck(ops.roi_align_backward, (grad, rois, 0.25, 3, 2, 2, 19, 24, 32, ratio, aligned))


def test_compiles_and_exports(implementation):
    pooler, features, rois = ROIAlign((3, 5), 0.25, 0), arrays()["input"], arrays()["rois"]
    expected = pooler(features, rois)
    compiled = torch.compile(pooler, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(features, rois), expected)
    boxes = torch.export.Dim("boxes")
    exported = torch.export.export(pooler, (features, rois), dynamic_shapes=({}, {0: boxes})).module()
    torch.testing.assert_close(exported(features, rois[:4]), expected[:4])


@needs_native
def test_boxes_that_are_not_finite_give_nan_and_huge_ones_end():
    features = torch.rand(1, 2, 8, 8, requires_grad=True)
    boxes = torch.tensor(
        [[0, 0, 0, 8, 8], [0, float("nan"), 0, 4, 4], [0, 0, 0, float("inf"), 4], [0, -1e30, -1e30, 1e30, 1e30]]
    )
    output = roi_align(features, boxes, 2, 1.0, 0, True)
    assert output[0].isfinite().all() and output[3].isfinite().all()
    assert output[1].isnan().all() and output[2].isnan().all()
    output[0].sum().backward()
    assert features.grad.isfinite().all()


@needs_native
@pytest.mark.parametrize("image", [2, -1, float("nan")])
def test_box_of_an_image_that_is_not_there(image):
    with pytest.raises(RuntimeError, match="box 1 names image .* of a batch of 2"):
        roi_align(torch.rand(2, 1, 4, 4), torch.tensor([[0, 0, 0, 2, 2], [image, 0, 0, 2, 2]]), 2)


def test_switched_off_it_says_why():
    code = "from detectron2.layers import _native; print(_native.has_cpu(), _native.status()['ROIAlign on CPU'])"
    environment = {**os.environ, "DETECTRON2_NATIVE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False fallback: switched off by DETECTRON2_NATIVE=0"
