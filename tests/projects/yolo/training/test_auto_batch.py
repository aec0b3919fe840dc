"""The batch size for a memory budget."""

import pytest
import torch
from detectron2.projects.yolo.training.auto_batch import auto_batch_size, fit_batch_size


def test_line_through_measurements() -> None:
    peaks = [100 + 50 * n for n in (1, 2, 4)]
    assert fit_batch_size([1, 2, 4], peaks, 1099) == 19
    assert fit_batch_size([1, 2, 4], peaks, 1100) == 20


@pytest.mark.parametrize(
    "sizes, peaks, message",
    [([1], [5], "two or more"), ([2, 2], [5, 5], "two or more"), ([1, 2], [9, 9], "does not grow"),
     ([1, 2], [900, 1800], "one image needs 900 bytes, but only 500")],
)  # fmt: skip
def test_refusals(sizes: list[int], peaks: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_batch_size(sizes, peaks, 500)


def test_a_cpu_is_refused() -> None:
    with pytest.raises(ValueError, match="not on 'cpu': set SOLVER.IMS_PER_BATCH"):
        auto_batch_size(lambda n: None, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    each = total // 200

    def step(count: int) -> None:
        torch.empty(count * each, dtype=torch.uint8, device="cuda").fill_(1)

    found = auto_batch_size(step, "cuda", fraction=0.5)
    assert 95 <= found <= 100
    with pytest.raises(ValueError, match="fraction"):
        auto_batch_size(step, "cuda", fraction=0)
    with pytest.raises(ValueError, match="two or more"):
        auto_batch_size(lambda n: step(150 * n), "cuda")
