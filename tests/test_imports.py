"""Importing the package is silent."""

import subprocess
import sys


def test_no_module_warns_when_imported():
    code = (
        "import importlib, pkgutil, detectron2\n"
        "names = [m.name for m in pkgutil.walk_packages(detectron2.__path__, 'detectron2.')]\n"
        "print(len([importlib.import_module(name) for name in names if '._native_' not in name]))"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "" and int(result.stdout) > 150
