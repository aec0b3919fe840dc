"""The report on the environment."""

import subprocess
import sys

import torch

from detectron2.utils import collect_env


def test_command():
    command = [sys.executable, "-m", "detectron2.utils.collect_env"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    for part in (torch.__version__, "torchvision", "native: ROIAlign on CPU", "COCO evaluation", "GPU available"):
        assert part in done.stdout


def test_says_what_falls_back_and_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "hotcoco", None)
    monkeypatch.setenv("DETECTRON2_ENV_MODULE", "my.module")
    monkeypatch.setattr("detectron2.layers._native.status", lambda: {"operator": "fallback: no compiler"})
    report = collect_env.collect_env_info()
    assert "pycocotools: hotcoco cannot be imported" in report
    assert "fallback: no compiler" in report and "my.module" in report


def test_a_broken_part_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "detectron2.layers._native", None)
    monkeypatch.delattr("detectron2.layers._native", raising=False)
    assert "cannot be asked" in collect_env.collect_env_info()


def test_packages_beside_it_are_asked(monkeypatch):
    class Entry:
        def __init__(self, name, status):
            self.name, self.load = name, lambda: status

    def broken():
        raise RuntimeError("no such symbol")

    asked = []
    entries = [Entry("good", lambda: {"rotation": "native"}), Entry("bad", broken)]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **group: asked.append(group) or entries)
    rows = dict(collect_env._guest_rows())
    assert rows == {"native: rotation": "native", "native: bad": "cannot be asked: no such symbol"}
    assert asked == [{"group": "detectron2.native"}]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **group: entries)
    assert "native: rotation" in collect_env.collect_env_info()


def test_compute_compatibility(tmp_path):
    assert "cannot find cuobjdump" in collect_env.detect_compute_compatibility(str(tmp_path), "lib.so")
    program = tmp_path / "bin" / "cuobjdump"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho ELF file 1: a.sm_90.cubin\necho ELF file 2: a.sm_80.cubin\n")
    program.chmod(0o755)
    assert collect_env.detect_compute_compatibility(str(tmp_path), "lib.so") == "8.0, 9.0"
    program.write_text("#!/bin/sh\n")
    assert "no GPU code" in collect_env.detect_compute_compatibility(str(tmp_path), "lib.so")
