"""The wheel: pure Python, configs packed in, no sources of the native part; built without network."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools.command.bdist_wheel", reason="needs setuptools 70.1 or newer")
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("detectron2", "third_party")
PARTS = (*PACKAGES, "projects", "configs", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy(ROOT / part, source / part)
    command = [sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir", str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return next(target.glob("*.whl"))


def test_wheel_is_pure_python(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if "csrc" in name or name.endswith((".so", ".cpp", ".cu", ".h"))]
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)


def test_wheel_holds_every_module_and_config(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    yolo = ROOT / "projects" / "YOLO" / "yolo"
    modules |= {f"detectron2/projects/yolo/{path.relative_to(yolo)}" for path in yolo.rglob("*.py")}
    configs = {
        f"detectron2/model_zoo/configs/{path.relative_to(ROOT / 'configs')}"
        for path in (ROOT / "configs").rglob("*.yaml")
    }
    assert configs
    assert modules | configs | {"third_party/quantization/py.typed"} <= names
