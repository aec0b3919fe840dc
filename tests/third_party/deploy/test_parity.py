"""The gate judges what stands behind a choice of rows, from the rows that the engine chose."""

import numpy as np
import pytest
import torch

from third_party.convert_to_quantization import quantize_model
from third_party.deploy import detector_parts, pixel_batch, traced_form
from third_party.quantization.export import ParityError, find_runner, parity, to_onnx
from third_party.quantization.ptq.pipeline import post_training_quantize
from third_party.quantization.ptq.recipe import PTQRecipe

from .detectors import detector, pictures

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

RECIPE = {"ACTIVATIONS": {"OBSERVER": "minmax"}, "STEPS": {"MIGRATE": False, "BIAS_CORRECTION": False}}


class Exported:
    """A quantized detector, its program and its file."""

    def __init__(self, name, folder):
        model = detector(name)
        recipe = PTQRecipe.from_mapping(RECIPE)
        post_training_quantize(model, recipe, [pictures()], prepare_model=quantize_model)
        parts = detector_parts(model)
        self.program = traced_form(parts, "suppressed")
        self.path = folder / f"{name}.onnx"
        names = parts.output_names("suppressed")
        to_onnx(self.program, self.path, input_names=parts.input_names, output_names=names, target="onnxruntime")
        pixels, sizes = pixel_batch(parts, pictures())
        self.inputs = (pixels, sizes) if parts.takes_sizes else (pixels,)

    def with_smaller(self, constant, folder):
        """The file with a quarter of a constant: as a step, it makes most values clip."""
        model = onnx.load(self.path)
        (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == constant)
        values = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array((values * np.float32(0.25)).astype(np.float32), constant))
        onnx.save(model, folder / "broken.onnx")
        return folder / "broken.onnx"

    def check(self, path, engine="onnxruntime"):
        return parity(self.program, path, find_runner(engine), [self.inputs])


@pytest.fixture(scope="module")
def two_stage(tmp_path_factory):
    return Exported("mask_rcnn", tmp_path_factory.mktemp("parity"))


@pytest.fixture(scope="module")
def one_stage(tmp_path_factory):
    return Exported("retinanet", tmp_path_factory.mktemp("parity"))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@torch.no_grad()
def test_both_stages_are_judged(two_stage, engine):
    pytest.importorskip(engine)
    report = two_stage.check(two_stage.path, engine)
    assert not any(tensor.chosen for tensor in report.tensors)
    assert {"box", "mask"} <= {part for tensor in report.tensors for part in tensor.name.split(".")}
    judged = {mark.name for mark in report.landmarks if not mark.chosen}
    assert judged == {"regions.boxes", "regions.scores"}
    assert [output.name for output in report.outputs if not output.chosen] == [report.outputs[4].name]  # masks


@torch.no_grad()
def test_a_wrong_scale_behind_the_proposals_is_named(two_stage, tmp_path):
    report = two_stage.check(two_stage.path)
    for part in (".box.", ".mask."):
        name = next(tensor.name for tensor in report.tensors if part in tensor.name)
        with pytest.raises(ParityError, match=f"at {name}: ") as caught:
            two_stage.check(two_stage.with_smaller(f"{name}.scale", tmp_path))
        off = [tensor.name for tensor in caught.value.report.tensors if tensor.share_within(1) < 0.999]
        assert off == [name]


@torch.no_grad()
def test_wrong_weights_of_the_last_layer_are_named(two_stage, tmp_path):
    weights = [tensor.name for tensor in onnx.load(two_stage.path).graph.initializer if "cls_score" in tensor.name]
    (scale,) = (name for name in weights if name.endswith("weight.scale"))
    with pytest.raises(ParityError, match=r"at regions\.scores: "):
        two_stage.check(two_stage.with_smaller(scale, tmp_path))


@torch.no_grad()
def test_wrong_predictions_before_suppression_are_named(one_stage, tmp_path):
    report = one_stage.check(one_stage.path)
    assert all(output.chosen for output in report.outputs) and not any(mark.chosen for mark in report.landmarks)
    weights = [tensor.name for tensor in onnx.load(one_stage.path).graph.initializer if "bbox_pred" in tensor.name]
    scale = next(name for name in weights if name.endswith("weight.scale"))
    with pytest.raises(ParityError, match=r"at predictions\.deltas\.0: "):
        one_stage.check(one_stage.with_smaller(scale, tmp_path))
