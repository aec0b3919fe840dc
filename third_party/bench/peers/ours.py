"""The float file that all start from, and the files of this framework."""

import copy
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from third_party.deploy import DetectorParts, detector_parts, traced_form
from third_party.post_training import DetectionBatches, calibrate_detector
from third_party.post_training.exported_files import write_onnx
from third_party.quantization.ptq.recipe import PTQRecipe
from third_party.quantization.transform import convert

from .candidate import Candidate

# What suits an engine: ONNX Runtime has integer kernels of activation functions, OpenVINO fuses them in float.
NONLINEAR = {"onnxruntime": True, "openvino": False}


def write_file(model: nn.Module, form: str, path: Path, target: str) -> DetectorParts:
    """Export a model, float or converted, in one of its forms; returns its parts."""
    parts = detector_parts(model)
    write_onnx(traced_form(parts, form), parts, form, path, target)
    return parts


def quantized_copy(model: nn.Module, recipe: PTQRecipe, batches: Iterable[Any]) -> nn.Module:
    """A float detector's converted copy, in evaluation mode."""
    quantized = copy.deepcopy(model)
    calibrate_detector(quantized, recipe, batches)
    convert(quantized)
    return quantized.eval()


def our_files(
    model: nn.Module, batches: DetectionBatches, form: str, observers: Sequence[str], folder: Path
) -> Iterator[Candidate]:
    """Files with ranges by each of some observers, all else as the default recipe has it, for each engine."""
    for engine, nonlinear in NONLINEAR.items():
        for observer in observers:
            recipe = PTQRecipe.from_mapping({"ACTIVATIONS": {"OBSERVER": observer, "NONLINEAR": nonlinear}})
            start = time.process_time()
            quantized = quantized_copy(model, recipe, batches)
            seconds = time.process_time() - start
            path = folder / f"ours_{observer}_{engine}.onnx"
            write_file(quantized, form, path, engine)
            logging.getLogger(__name__).info("%s", path.name)
            yield Candidate("ours", observer, engine, path, seconds=seconds)
