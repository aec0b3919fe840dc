"""Whole tiny models against recorded features, detections, losses, logged scalars and gradients."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detectron2.utils.events import EventStorage
from tests.facts import golden_model_io, golden_model_meta
from tests.modeling.tiny_models import DENSE_MODELS, RCNN_MODELS, eval_inputs, tiny_model, training_inputs

MODELS = RCNN_MODELS + DENSE_MODELS


@pytest.mark.parametrize("name", MODELS)
def test_inference_matches_golden(name):
    model, io, inputs = tiny_model(name), golden_model_io(name), eval_inputs(name)
    with torch.no_grad():
        features = model.backbone(model.preprocess_image(inputs).tensor)
        outputs = [output["instances"] for output in model(inputs)]
    recorded = [key.removeprefix("feat_slice_") for key in io if key.startswith("feat_slice_")]
    assert recorded
    for level in recorded:
        corner = torch.from_numpy(io[f"feat_slice_{level}"])
        assert_close(features[level][:, : corner.shape[1], :8, :8], corner, rtol=1e-4, atol=1e-4)
        means = features[level].abs().mean(dim=(2, 3))
        assert_close(means, torch.from_numpy(io[f"feat_absmean_{level}"]), rtol=1e-4, atol=1e-4)
    for i, output in enumerate(outputs):
        assert_close(output.scores, torch.from_numpy(io[f"o{i}_scores"]), rtol=0, atol=1e-4)
        assert_close(output.pred_classes, torch.from_numpy(io[f"o{i}_classes"]))
        assert_close(output.pred_boxes.tensor, torch.from_numpy(io[f"o{i}_boxes"]), rtol=0, atol=1e-2)
        assert output.has("pred_masks") == (f"o{i}_masks_shape" in io)
        if output.has("pred_masks"):
            shape = tuple(io[f"o{i}_masks_shape"])
            masks = np.unpackbits(io[f"o{i}_masks_packbits"])[: np.prod(shape)].reshape(shape).astype(bool)
            assert tuple(output.pred_masks.shape) == shape
            assert (output.pred_masks.numpy() != masks).mean() < 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_training_step_matches_golden(name):
    model, golden = tiny_model(name).train(), golden_model_meta(name)
    torch.manual_seed(7)
    with EventStorage() as storage:
        losses = model(training_inputs(name))
    assert {key: loss.item() for key, loss in losses.items()} == pytest.approx(golden["losses"], rel=1e-4)
    logged = {key: value for key, (value, _) in storage.latest().items()}
    assert logged == pytest.approx(golden["scalars_logged"], rel=1e-5)

    sum(losses.values()).backward()
    norms = {key: p.grad.norm().item() for key, p in model.named_parameters() if p.requires_grad}
    recorded = {key: norm for key, (norm, _) in golden["grad_norm_and_first"].items()}
    assert norms == pytest.approx(recorded, rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_batch_does_not_change_an_image(name):
    """An image of the padded batch gives the same detections alone, up to the padding's reach into its borders."""
    model, (first, _) = tiny_model(name), eval_inputs(name)
    with torch.no_grad():
        together, alone = model(eval_inputs(name))[0]["instances"], model([first])[0]["instances"]
    assert_close(together.scores, alone.scores, rtol=1e-4, atol=1e-4)
    assert_close(together.pred_boxes.tensor, alone.pred_boxes.tensor, rtol=0, atol=1e-2)


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_autocast(name):
    """Losses near those of float32, finite gradients in float32, and as many detections as usual."""
    model, golden = tiny_model(name).train(), golden_model_meta(name)
    torch.manual_seed(7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model(training_inputs(name))
    total = sum(losses.values())
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(golden["total"], rel=0.15)
    total.backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(g.dtype == torch.float32 and g.isfinite().all() for g in gradients)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        detections = model.eval()(eval_inputs(name))[0]["instances"]
    assert len(detections) > 0
    assert detections.pred_boxes.tensor.isfinite().all()
