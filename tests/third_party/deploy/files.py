"""Files of the detectors in float32, each made once."""

import functools
import tempfile
from pathlib import Path

from torch import nn

from third_party.deploy import DetectorParts, detector_parts, traced_form
from third_party.quantization.export import to_onnx

from .detectors import detector


@functools.cache
def exported(name: str, form: str) -> tuple[nn.Module, DetectorParts, Path]:
    """A detector of ``detectors.BUILDERS``, its parts, and its file of a form."""
    model = detector(name)
    parts = detector_parts(model)
    program = traced_form(parts, form)
    path = Path(_folder().name) / f"{name}_{form}.onnx"
    to_onnx(program, path, input_names=parts.input_names, output_names=parts.output_names(form) or ())
    return model, parts, path


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()
