"""Runners, and what engines make of files."""

import numpy as np
import pytest
import torch

from third_party.quantization.export import RUNNERS, find_runner, installed, simulate
from third_party.quantization.export.runners import runner as runner_module
from third_party.quantization.export.runners.runner import Runner

from .models import everything_file, everything_traced, images


@pytest.mark.parametrize("engine", ("onnxruntime", "openvino"))
def test_runs_and_taps(engine):
    pytest.importorskip(engine)
    session = find_runner(engine).load(everything_file(engine), threads=1, taps=["head.input_quantizer"])
    assert session.input_names == ["images"]
    assert session.output_names == ["scores", "features", "head.input_quantizer"]
    x = images(1, 8, 20)
    outputs, taps = simulate(everything_traced(), (x,))
    given = session.run([x.numpy()])
    assert [value.shape for value in given] == [
        tuple(value.shape) for value in (*outputs, taps["head.input_quantizer"])
    ]
    plain = find_runner(engine).load(everything_file(engine), threads=1)
    assert plain.output_names == ["scores", "features"]
    np.testing.assert_allclose(plain.run([x.numpy()])[0], given[0], atol=1e-5)


@pytest.mark.parametrize("name", RUNNERS)
def test_each_says_what_is_missing(name, monkeypatch, tmp_path):
    monkeypatch.setattr(runner_module.importlib.util, "find_spec", lambda module: None)
    runner = RUNNERS[name]
    assert not runner.available() and installed() == []
    for load in (lambda: find_runner(name), lambda: runner.load(tmp_path / "a.onnx")):
        with pytest.raises(ImportError, match=f"pip install {runner.package}"):
            load()


def test_mistakes(tmp_path):
    with pytest.raises(ValueError, match="engine must be one of onnxruntime, openvino, tensorrt, got 'ort'"):
        find_runner("ort")
    pytest.importorskip("onnxruntime")
    with pytest.raises(FileNotFoundError, match="a.onnx"):
        find_runner("onnxruntime").load(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="has no tensors nothing"):
        find_runner("onnxruntime").load(everything_file("onnxruntime"), taps=["nothing"])


def test_tensorrt_has_no_device_here():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert not RUNNERS["tensorrt"].available() and isinstance(RUNNERS["tensorrt"], Runner)


@pytest.mark.parametrize("bits", ((7, 8), (4, 8)))
def test_onnx_runtime_fuses_convolutions_sums_and_activations(bits, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "o.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(everything_file("onnxruntime", *bits), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node]
    # Not the last two: one writes 16 bits, the other reads them; transposed convolutions have no integer kernel.
    assert kinds.count("QLinearConv") == 4 and kinds.count("ConvTranspose") == 1
    assert kinds.count("QLinearSigmoid") == kinds.count("QLinearMul") == 2
    assert {"QLinearAdd", "QLinearConcat"} <= set(kinds)


@pytest.mark.parametrize("bits", ((7, 8), (4, 8)))
def test_openvino_runs_convolutions_on_integers(bits):
    pytest.importorskip("openvino")
    session = find_runner("openvino").load(everything_file("openvino", *bits), threads=1)
    precisions = {}
    for operation in session.compiled.get_runtime_model().get_ordered_ops():
        info = operation.get_rt_info()
        if info["layerType"].astype(str) in ("Convolution", "Deconvolution"):
            name = info["originalLayersNames"].astype(str)
            precisions[name] = info["runtimePrecision"].astype(str)
    integer = [name for name, precision in precisions.items() if precision in ("u8", "i8")]
    others = [name for name in precisions if name not in integer]
    assert len(integer) == 5 and len(others) == 2, precisions
    # One reads 16 bits, the other gives an output in float.
    assert all(name.startswith(("head/Conv", "transposed/ConvTranspose")) for name in others)
