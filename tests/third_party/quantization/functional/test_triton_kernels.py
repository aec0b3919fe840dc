"""GPU kernels without a GPU: in Triton's interpreter against their plain twin, and compiled to PTX."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import torch
from tests.third_party.quantization.functional.test_fake_quantize import LAYOUTS, LEVELS, close, sample
from third_party.quantization.functional import eager, triton_kernels

def equal(found, expected):
    return torch.equal(found.nan_to_num(7e7), expected.nan_to_num(7e7)) and found.stride() == expected.stride()

for number, layout in enumerate(LAYOUTS):
    levels, clip_only = ("1 bit", "4 bits", "interval 4 bits")[number % 3], number % 2 == 0
    arguments = sample(levels, layout, clip_only)
    x = arguments[0]
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    found, expected = triton_kernels.backward(grad, *arguments), eager.backward(grad, *arguments)
    assert equal(found[0], expected[0]), layout
    for i in (1, 2):
        close(found[i], expected[i], float(grad.abs().sum()) * 17)
    if x.numel() > 10 and x.is_contiguous():
        x.view(-1)[5:8] = torch.tensor([float("nan"), float("inf"), -float("inf")])
    assert equal(triton_kernels.forward(*arguments), eager.forward(*arguments)), layout
print("done")
"""


# The interpreter takes more than the compiler does, and says nothing of how a GPU divides.
COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from third_party.quantization.functional import triton_kernels

for kernel in (triton_kernels._quantize, triton_kernels._differentiate):
    constants = {"BLOCK": 1024, "CLIP_ONLY": False}
    types = {"groups": "i32", "inner": "i32", "low": "fp32", "high": "fp32", "half": "fp32"}
    names = kernel.arg_names
    signature = {n: "constexpr" if n in constants else types.get(n, "*fp32") for n in names}
    values = {(names.index(n),): v for n, v in constants.items() if n in names}
    ptx = compile(ASTSource(kernel, signature, values), target=GPUTarget("cuda", 90, 32)).asm["ptx"]
    assert "div.rn.f32" in ptx and "div.full" not in ptx and "fma" not in ptx
print("done")
"""

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


@pytest.mark.parametrize("program, interpret", [(PROGRAM, "1"), (COMPILE, "0")], ids=["interpreted", "compiled"])
def test_kernels(program, interpret, tmp_path):
    root = Path(__file__).resolve().parents[4]
    settings = {"TRITON_INTERPRET": interpret, "PYTHONPATH": str(root), "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and done.stdout.strip() == "done", done.stderr[-3000:]
