import random
import subprocess
import sys

import numpy as np
import pytest
import torch

import detectron2
from detectron2.utils import env


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_seed_all_rng_repeats_all_three_generators():
    env.seed_all_rng(2**40 + 3)
    first = draw()
    env.seed_all_rng(2**40 + 3)
    assert draw() == first
    env.seed_all_rng()
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_resolve_device():
    assert env.resolve_device("cpu") == "cpu"
    assert env.resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:63", "gpu", "cuda:x", ""])
def test_resolve_device_names_a_missing_device_and_the_way_out(name):
    with pytest.raises(ValueError, match=f"MODEL.DEVICE '{name}'.*'auto'"):
        env.resolve_device(name)


def test_environment_module_runs_once_on_import(tmp_path):
    module = tmp_path / "site_setup.py"
    module.write_text("def setup_environment():\n    print('custom set-up')\n")
    run = subprocess.run(
        [sys.executable, "-c", "import detectron2; detectron2.setup_environment()"],
        env={
            "DETECTRON2_ENV_MODULE": str(module),
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "custom set-up\n"


def test_custom_environment_without_the_function_is_refused(tmp_path):
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(ValueError, match="empty.py.*setup_environment"):
        env.setup_custom_environment(str(tmp_path / "empty.py"))


def test_import_file(tmp_path):
    (tmp_path / "part.py").write_text("x = 3")
    assert env._import_file("d2_test_part", str(tmp_path / "part.py")).x == 3
    assert "d2_test_part" not in sys.modules
    module = env._import_file("d2_test_part", str(tmp_path / "part.py"), make_importable=True)
    assert sys.modules.pop("d2_test_part") is module


def test_fixup_module_metadata_relabels_only_the_package():
    class Part:
        def run(self): ...

    Part.__module__ = Part.run.__module__ = "pkg.deep.part"
    namespace = {"Part": Part, "OrderedDict": __import__("collections").OrderedDict, "_hidden": Part}
    env.fixup_module_metadata("pkg", namespace)
    assert (Part.__module__, Part.run.__module__) == ("pkg", "pkg")
    assert namespace["OrderedDict"].__module__ == "collections"


def test_version():
    assert detectron2.__version__ == "0.7.0"
    assert env.TORCH_VERSION >= (2, 11)
