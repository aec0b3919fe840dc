"""The float file that all start from, and the files of this framework."""

import copy
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import nn

from third_party.deploy import DetectorParts, detector_parts
from third_party.post_training import DetectionBatches, calibrate_detector
from third_party.quantization.export import to_onnx, trace
from third_party.quantization.ptq.recipe import PTQRecipe
from third_party.quantization.transform import convert

from .candidate import Candidate

# What suits an engine: ONNX Runtime has integer kernels of activation functions, OpenVINO fuses them in float.
NONLINEAR = {"onnxruntime": True, "openvino": False}


def write_file(model: nn.Module, form: str, path: Path, target: str) -> DetectorParts:
    """Export a model, float or converted, in one of its forms; returns its parts."""
    parts = detector_parts(model)
    program = trace(parts.form(form), parts.example(form), parts.dynamic_shapes(form))
    names = parts.output_names(form)
    assert names is not None
    to_onnx(program, path, input_names=parts.input_names, output_names=names, target=target)
    return parts


def our_files(
    model: nn.Module, batches: DetectionBatches, form: str, observers: Sequence[str], folder: Path
) -> Iterator[Candidate]:
    """Files with ranges by each of some observers, all else as the default recipe has it, for each engine."""
    for engine, nonlinear in NONLINEAR.items():
        for observer in observers:
            recipe = PTQRecipe.from_mapping({"ACTIVATIONS": {"OBSERVER": observer, "NONLINEAR": nonlinear}})
            start = time.process_time()
            quantized = copy.deepcopy(model)
            calibrate_detector(quantized, recipe, batches)
            convert(quantized)
            seconds = time.process_time() - start
            path = folder / f"ours_{observer}_{engine}.onnx"
            write_file(quantized.eval(), form, path, engine)
            logging.getLogger(__name__).info("%s", path.name)
            yield Candidate("ours", observer, engine, path, seconds=seconds)
