"""Pixels are bytes: what reads the image has their range, whatever a calibration set is like."""

import pytest
import torch

from tests.projects.yolo.test_meta_arch import config, model_of
from tests.third_party.deploy.detectors import BUILDERS, detector, pictures
from third_party.pixel_range import images_of
from third_party.post_training.calibration import calibrate_detector
from third_party.quantization.ptq.recipe import PTQRecipe

CHEAP = {"STEPS": {"MIGRATE": False, "BIAS_CORRECTION": False}}
# How the layers that read the image are called. YOLOX takes pixels as they are, apart in 2 x 2 patches.
READERS = {name: {"backbone.stem.0"} for name in BUILDERS} | {
    "yolox": {"network.layers.0.concat", "network.layers.0.conv"},
    "yolov8": {"network.layers.0"},
}


def model(name):
    if name in BUILDERS:
        return detector(name)
    cfg = config(name)
    if name == "yolox":
        cfg.MODEL.PIXEL_STD = [1.0] * 3
    return model_of(cfg).eval()


def darkened(batch, factor=0.3):
    return [sample | {"image": (sample["image"] * factor).to(torch.uint8)} for sample in batch]


def known_range(quantizable):
    mean, std = quantizable.pixel_mean.flatten(), quantizable.pixel_std.flatten()
    return float(((0 - mean) / std).min()), float(((255 - mean) / std).max())


@pytest.mark.parametrize("name", READERS)
def test_dark_pictures_do_not_narrow_it(name):
    quantized = model(name)
    result = calibrate_detector(quantized, PTQRecipe.from_mapping(CHEAP), [darkened(pictures())])
    rows = [row for row in result.ranges if row["observer"] == "known"]
    assert {layer for row in rows for layer in (row["name"], *row["shared_with"])} == READERS[name]
    bottom, top = known_range(quantized)
    for row in rows:
        step = (top - bottom) / 255
        assert (row["bottom"], row["top"]) == pytest.approx((bottom, top), abs=step)
        # Zero is a level: the ends may be off by a part of a step, but no level is wasted.
        assert row["top"] - row["bottom"] == pytest.approx(top - bottom, rel=1e-5)


def test_bright_pictures_are_detected_as_after_calibration_on_bright_ones():
    """Only what reads the image is quantized, since dark pictures tell too little of all that follows."""
    recipe = PTQRecipe.from_mapping(CHEAP | {"LAYERS": [{"NAME": "re:(?!backbone.stem.0$).*", "KEEP_FLOAT": True}]})
    expected, errors = scores(model("retinanet")), {}
    for name, batch in (("bright", pictures()), ("dark", darkened(pictures()))):
        quantized = model("retinanet")
        calibrate_detector(quantized, recipe, [batch])
        errors[name] = float((scores(quantized) - expected).abs().mean())
    assert 0 < errors["dark"] == errors["bright"]


@torch.no_grad()
def scores(quantized):
    images = quantized.preprocess_image(pictures()).tensor
    return torch.cat([level.flatten() for kind in quantized.predict_dense(images)[1] for level in kind])


def test_images_that_may_be_on_another_scale_are_left_to_the_data():
    bright = torch.full((3, 4, 4), 200, dtype=torch.uint8)
    samples = [bright, bright.float(), bright * 0, bright / 255, bright.float() - 201, bright.float() * 2]
    found = images_of([{"image": image} for image in samples])
    assert [any(image is other for other in found) for image in samples] == [True, True, True, False, False, False]
