"""GPU kernels of integer programs: in Triton's interpreter, compiled, and on a GPU where there is one."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from third_party.quantization.integer import gpu
from third_party.quantization.integer.placement import resolve

NEEDS_TRITON = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@NEEDS_TRITON
@pytest.mark.parametrize("module, interpret", [("cases", "1"), ("compiled", "0")], ids=["interpreted", "compiled"])
def test_kernels(module, interpret, tmp_path):
    root = Path(__file__).resolve().parents[5]
    environment = {name: value for name, value in os.environ.items() if name != "QUANTIZATION_NATIVE"}
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.{module}"],
        cwd=root,
        env=environment | {"TRITON_INTERPRET": interpret, "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0 and done.stdout.strip() == "done", done.stderr[-3000:]


@NEEDS_TRITON
@NEEDS_GPU
def test_on_a_gpu():
    from . import cases

    for name in cases.CASES:
        cases.check(name, "cuda")
    for backend in ("integer", "triton"):
        cases.check_model("cuda", backend)


@NEEDS_GPU
def test_plain_steps_on_a_gpu(monkeypatch):
    from . import cases

    monkeypatch.setattr(gpu, "problem", lambda: "switched off")
    cases.check_model("cuda", "integer")


def test_who_computes_where(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(gpu, "interpreted", lambda: False)
    for problem in ("", "triton is not installed"):
        monkeypatch.setattr(gpu, "problem", lambda problem=problem: problem)
        found = [(*resolve("integer", device), device) for device in (cpu, cuda)]
        assert [kernels for _, kernels, _ in found] == [False, not problem]
        assert all(arithmetic.device == device and arithmetic.name == "integer" for arithmetic, _, device in found)
        with pytest.raises(ValueError, match="backend 'triton'.*(installed|takes inputs on CUDA)"):
            resolve("triton", cpu)
    with pytest.raises(ValueError, match="'simulation' runs on the CPU"):
        resolve("simulation", cuda)
    with pytest.raises(ValueError, match="allowed are integer, simulation, triton"):
        resolve("float", cpu)
