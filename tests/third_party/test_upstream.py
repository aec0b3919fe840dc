"""Without a quantization config the patched framework computes, bit for bit, what the un-quantized base computes."""

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.third_party.tiny import ROOT

CODE = """
import hashlib, sys
import torch
import detectron2
from detectron2.engine import SimpleTrainer
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer
from tests.engine.toy import detection_sample
from tests.modeling.tiny_models import tiny_config

torch.set_num_threads(1)
print(detectron2.__file__, file=sys.stderr)
for name in ("retinanet_tiny", "mask_rcnn_fpn_tiny", "mask_rcnn_c4_tiny"):
    cfg = tiny_config(name)
    cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE, cfg.SOLVER.BASE_LR = "", "cpu", 0.01
    cfg.MODEL.RESNETS.NORM, cfg.MODEL.BACKBONE.FREEZE_AT = "BN", 0
    if name.startswith("retinanet"):
        cfg.MODEL.RETINANET.NORM = cfg.MODEL.FPN.NORM = "BN"
    torch.manual_seed(0)
    model = build_model(cfg)
    loader = ([detection_sample(10 * step, 3), detection_sample(10 * step + 1, 2)] for step in range(9))
    trainer = SimpleTrainer(model, loader, build_optimizer(cfg, model))
    trainer.train(0, 3)
    digest = hashlib.sha256()
    for key, value in model.state_dict().items():
        digest.update(key.encode() + value.numpy().tobytes())
    losses = [value for value, _ in trainer.storage.history("total_loss").values()]
    with torch.no_grad():
        found = model.eval()([{"image": detection_sample(50, 1)["image"]}])[0]["instances"]
    digest.update(found.pred_boxes.tensor.numpy().tobytes() + found.scores.numpy().tobytes())
    print(name, len(found), [loss.hex() for loss in losses], digest.hexdigest())
"""


def _run(*path: Path) -> tuple[str, str]:
    environment = {"PYTHONPATH": ":".join(map(str, path)), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-c", CODE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, cwd="/")
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, done.stderr


def test_float_models_are_those_of_the_base(tmp_path):
    base = [line for line in (ROOT / "dev" / "UPSTREAM").read_text().splitlines() if not line.startswith("#")][0]
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", base, "detectron2"], capture_output=True)
    if archive.returncode:
        pytest.skip(f"the base {base} of dev/UPSTREAM is not in this history: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(tmp_path, filter="data")
    # The same native operators for both: their sources are not touched by the patch.
    for library in (ROOT / "detectron2").glob("_native_*.so"):
        shutil.copy(library, tmp_path / "detectron2")
    expected, loaded = _run(tmp_path, ROOT)
    assert loaded.splitlines()[0].startswith(str(tmp_path))
    actual, loaded = _run(ROOT)
    assert loaded.splitlines()[0].startswith(str(ROOT))
    assert expected.count("\n") == 3 and actual == expected
