"""From converted models to files that engines run.

    program = trace(model, (images,), ({**image_sizes(32)},))
    findings = lint(program, target="openvino")
    to_onnx(program, "model.onnx", input_names=["images"], output_names=["boxes"], target="openvino")
    parity(program, "model.onnx", find_runner("openvino"), batches)

ONNX, onnxscript and the engines are imported when they are used.
"""

from .findings import Finding
from .landmarks import landmark, landmark_names
from .lint import errors, lint
from .lowering import TARGETS, register_translation, to_onnx
from .nodes import tensor_names
from .parity import compare, parity
from .parity_report import Difference, ParityError, ParityReport, Tolerance
from .passes import PASSES, normalise
from .programs import compile_package, load_program, save_program
from .runners import RUNNERS, Runner, Session, find_runner, installed
from .simulate import simulate
from .trace import image_sizes, trace
