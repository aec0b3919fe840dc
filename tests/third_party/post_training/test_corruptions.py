"""Images made worse."""

import numpy as np
import pytest
import torch

from third_party.post_training.corruptions import CORRUPTIONS, CorruptedBatches, blur, brightness, jpeg, noise
from third_party.post_training.data import DetectionBatches, find_dataset, read_records

IMAGE = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 20, 24))).to(torch.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_changes_values_and_keeps_shape_and_bounds(name):
    before = IMAGE.clone()
    made = CORRUPTIONS[name](IMAGE, np.random.default_rng(0))
    assert made.shape == IMAGE.shape and made.dtype == torch.float32 and 0 <= made.min() and made.max() <= 255
    assert (made - IMAGE).abs().mean() > 3 and torch.equal(IMAGE, before)


def test_what_they_do():
    rng = np.random.default_rng(0)
    assert torch.allclose(brightness(IMAGE, rng, 0.5), IMAGE / 2)
    dot = torch.zeros(1, 21, 21)
    dot[0, 10, 10] = 255
    blurred = blur(dot, rng, 1.5)
    assert blurred.sum() == pytest.approx(255, rel=1e-4)
    # Second moment of a Gaussian: its variance.
    offsets = torch.arange(21.0) - 10
    assert (blurred[0].sum(0) * offsets**2).sum() / 255 == pytest.approx(1.5**2, rel=0.02)
    flat = torch.full((3, 64, 64), 128.0)
    assert (noise(flat, rng, 10.0) - flat).std() == pytest.approx(10, rel=0.03)
    assert (jpeg(IMAGE, rng, 90) - IMAGE).abs().mean() < (jpeg(IMAGE, rng, 10) - IMAGE).abs().mean()


def test_batches(trained):
    name = find_dataset(trained.cfg, ["ptq_shapes_val"], "--eval")
    plain = DetectionBatches(trained.cfg, name, read_records(name))
    made = CorruptedBatches(plain, "brightness")
    for before, after in zip(plain, made, strict=True):
        assert torch.allclose(after[0]["image"], before[0]["image"] * 0.4)
        assert after[0]["image_id"] == before[0]["image_id"]
    (joined,) = made.in_batches_of(3)
    assert torch.equal(joined[0]["image"], next(iter(made))[0]["image"]) and len(made.subset(plain.records[:2])) == 2
    with pytest.raises(ValueError, match="corruption must be one of brightness, blur, noise, jpeg; got 'fog'"):
        CorruptedBatches(plain, "fog")
