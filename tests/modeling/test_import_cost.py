"""What importing the models must not load."""

import subprocess
import sys

import pytest

# Each of them costs a good part of what torch itself does, and is needed by few calls.
EXPENSIVE = ["torchvision", "torch._dynamo", "torch._inductor", "sympy", "matplotlib", "pycocotools", "hotcoco",
             "tensorboard", "cv2", "PIL", "fvcore.nn", "scipy"]  # fmt: skip


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Modules that ``import detectron2.modeling`` adds to those of ``import torch``."""
    code = (
        "import sys, torch; before = set(sys.modules); import detectron2.modeling; "
        "print('\\n'.join(set(sys.modules) - before))"
    )
    command = [sys.executable, "-W", "error::FutureWarning", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize("name", EXPENSIVE)
def test_expensive_modules_are_imported_at_first_use(loaded, name):
    assert "detectron2.modeling.meta_arch.build" in loaded
    assert name not in loaded
