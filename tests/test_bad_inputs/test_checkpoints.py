"""Weight files and checkpoints, through ``DetectionCheckpointer`` and ``DefaultTrainer``."""

import errno
import io
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import DefaultPredictor, DefaultTrainer
from detectron2.modeling import build_model
from tests.modeling.tiny_models import tiny_config
from tests.test_bad_inputs.material import contents

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model():
    cfg = tiny_config("retinanet_tiny")
    cfg.MODEL.DEVICE = "cpu"
    return build_model(cfg)


def weights_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def zipped(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class Runs:
    """Runs a command where it is unpickled."""

    def __init__(self, path):
        self.command = f"touch {path}"

    def __reduce__(self):
        return os.system, (self.command,)


GOOD = zipped({"model": {"a": torch.zeros(1000)}})
SPOILT = {
    "missing": (None, "w.pth", FileNotFoundError, "does not exist"),
    "a folder": ("folder", "w.pth", FileNotFoundError, "does not exist"),
    "empty": (b"", "w.pth", ValueError, "not a whole weight file"),
    "truncated": (GOOD[: len(GOOD) // 2], "w.pth", ValueError, "not a whole weight file.*cut off"),
    "garbage": (b"\x00garbage" * 100, "w.pth", ValueError, "not a whole weight file"),
    "a web page": (b"<html>404</html>", "w.pth", ValueError, "not a whole weight file"),
    "a list": (zipped([1, 2]), "w.pth", ValueError, "holds a list"),
    "truncated pickle": (pickle.dumps({"a": np.zeros(99)})[:200], "w.pkl", ValueError, "not a whole weight file"),
    "garbage pickle": (b"\x00garbage", "w.pkl", ValueError, "not a whole weight file"),
    "a text in a pickle": (pickle.dumps("text"), "w.pkl", ValueError, "holds a str"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_files_that_hold_no_weights(case, model, tmp_path):
    content, name, kind, message = SPOILT[case]
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    before = weights_of(model)
    with pytest.raises(kind, match=message) as error:
        DetectionCheckpointer(model).load(str(path))
    assert str(path) in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def write_malicious(kind, path, target):
    data = {"model": {"weight": np.zeros(2)}, "extra": Runs(target)}
    if kind == "zip":
        torch.save(data, path)
    elif kind == "old torch":
        torch.save(data, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(data, protocol=int(kind)))


@pytest.mark.parametrize("kind, name", [("0", "w.pkl"), ("4", "w.pkl"), ("zip", "w.pth"), ("old torch", "w.pth")])
def test_malicious_files_do_not_run(kind, name, model, tmp_path):
    path, target = tmp_path / name, tmp_path / "ran"
    write_malicious(kind, path, target)
    with pytest.raises(ValueError, match=r"blocked '(posix|os)\.system'.*allow_unsafe_pickle=True") as error:
        DetectionCheckpointer(model).load(str(path))
    assert str(path) in str(error.value)
    assert not target.exists()


def test_a_malicious_file_as_last_checkpoint(dataset, tmp_path):
    cfg = dataset.config(tmp_path / "out")
    (tmp_path / "out").mkdir()
    write_malicious("zip", tmp_path / "out" / "model_0000000.pth", tmp_path / "ran")
    (tmp_path / "out" / "last_checkpoint").write_text("model_0000000.pth")
    trainer = DefaultTrainer(cfg)
    with pytest.raises(ValueError, match=r"model_0000000\.pth: blocked '(posix|os)\.system'"):
        trainer.resume_or_load(resume=True)
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_model(model, tmp_path, log):
    torch.save({"model": {"features.0.weight": torch.zeros(3)}}, tmp_path / "w.pth")
    DetectionCheckpointer(model).load(str(tmp_path / "w.pth"))
    assert "NOT ONE of the 1 weights in the file fits the model" in log.text
    assert "features.0" in log.text and "backbone.bottom_up.stem.conv1" in log.text


def test_weights_of_another_shape(model, tmp_path, log):
    state = weights_of(model)
    name = next(name for name in state if name.endswith("cls_score.weight"))
    state[name] = state[name][:2]
    torch.save({"model": state}, tmp_path / "w.pth")
    DetectionCheckpointer(model).load(str(tmp_path / "w.pth"))
    assert name in log.text and "NOT ONE" not in log.text


def test_a_query_that_is_misspelt(model, tmp_path):
    torch.save({"model": {}}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth\?matching=True: only \?matching_heuristics=True"):
        DetectionCheckpointer(model).load(f"{tmp_path}/w.pth?matching=True")


@pytest.mark.parametrize("build", [DefaultTrainer, DefaultPredictor])
def test_missing_weights_when_they_are_loaded(build, dataset, tmp_path):
    cfg = dataset.config(tmp_path / "out")
    cfg.MODEL.WEIGHTS = str(tmp_path / "absent.pth")
    with pytest.raises(FileNotFoundError, match="absent.pth does not exist"):
        built = build(cfg)
        built.resume_or_load(resume=False)


def test_the_last_checkpoint_is_gone(model, tmp_path):
    (tmp_path / "last_checkpoint").write_text("model_0000009.pth")
    with pytest.raises(FileNotFoundError, match=r"model_0000009\.pth does not exist, but .*last_checkpoint names it"):
        DetectionCheckpointer(model, str(tmp_path)).resume_or_load("", resume=True)


# a disk that is full, or a process that is killed, while a checkpoint is written


@pytest.fixture
def saved(model, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    checkpointer = DetectionCheckpointer(model, str(folder))
    checkpointer.save("model_0000001", iteration=1)
    return checkpointer, folder, contents(folder)


@pytest.mark.parametrize(
    "name, state", [("model_0000001", "the former file is unchanged"), ("new", "nothing was left")]
)
def test_a_full_disk_while_a_checkpoint_is_written(name, state, saved):
    checkpointer, folder, before = saved
    (folder / f"{name}.pth.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match=rf"could not write checkpoint .*{name}\.pth: No space left.*; {state}") as error:
        checkpointer.save(name)
    assert error.value.errno == errno.ENOSPC and str(folder) in str(error.value)
    assert contents(folder) == before
    assert checkpointer.resume_or_load("", resume=True)["iteration"] == 1


def test_a_full_disk_while_the_last_name_is_written(saved):
    checkpointer, folder, before = saved
    (folder / "last_checkpoint.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="last_checkpoint: No space left on device; the former file is unchanged"):
        checkpointer.save("new")
    assert {name: content for name, content in contents(folder).items() if name in before} == before
    assert checkpointer.resume_or_load("", resume=True)["iteration"] == 1


def test_a_disk_that_fills_up_during_training(dataset, tmp_path):
    """Files cannot grow beyond the limit: as a full disk, only with another reason."""
    cfg = dataset.config(tmp_path / "out")
    cfg.SOLVER.CHECKPOINT_PERIOD = 2
    cfg.SOLVER.MAX_ITER = 3
    first = DefaultTrainer(cfg)
    first.checkpointer.save("model_0000001", iteration=1)
    before = {k: v for k, v in contents(tmp_path / "out").items() if k in ("model_0000001.pth", "last_checkpoint")}
    assert len(before) == 2
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))
    try:
        with pytest.raises(
            OSError, match=r"could not write checkpoint .*model_0000001\.pth: File too large; the former"
        ):
            first.train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    after = contents(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert not any(name.endswith(".tmp") for name in after)


_SAVE_AND_HANG = """
import sys, time, torch
from detectron2.checkpoint import DetectionCheckpointer

class Slow(torch.nn.Linear):
    slow = False

checkpointer = DetectionCheckpointer(Slow(300, 300), sys.argv[1])
checkpointer.save("model_final", iteration=1)
class Hangs:
    def __reduce__(self):
        open(sys.argv[1] + "/writing", "w").close()
        time.sleep(120)
checkpointer.save("model_final", iteration=2, hangs=Hangs())
"""


def test_a_kill_while_a_checkpoint_is_written(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", _SAVE_AND_HANG, str(folder)], env=environment)
    try:
        deadline = time.monotonic() + 120
        while not (folder / "writing").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (folder / "model_final.pth.tmp").exists()
    finally:
        process.kill()
        process.wait()
    checkpointer = DetectionCheckpointer(torch.nn.Linear(300, 300), str(folder))
    assert checkpointer.resume_or_load("", resume=True)["iteration"] == 1
    # what the kill left behind is in nobody's way
    checkpointer.save("model_final", iteration=3)
    assert checkpointer.resume_or_load("", resume=True)["iteration"] == 3
    assert sorted(os.listdir(folder)) == ["last_checkpoint", "model_final.pth", "writing"]
