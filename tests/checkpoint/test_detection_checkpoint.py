import errno
import logging
import os
import pickle
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from detectron2.checkpoint import Checkpointer, DetectionCheckpointer, PeriodicCheckpointer
from detectron2.utils.atomic import atomic_write
from tests.leaving import leave_group


class Model(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
        self.register_buffer("pixel_mean", torch.zeros(3), persistent=False)


def same_weights(a, b):
    other = b.state_dict()
    return all(torch.equal(value, other[name]) for name, value in a.state_dict().items())


def test_save_and_load_with_optimizer(tmp_path):
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.backbone(torch.rand(4, 2)).sum().backward()
    optimizer.step()
    checkpointer = DetectionCheckpointer(model, str(tmp_path), optimizer=optimizer)
    assert isinstance(checkpointer, Checkpointer)
    checkpointer.save("model_0000009", iteration=9, note="x")
    assert sorted(os.listdir(tmp_path)) == ["last_checkpoint", "model_0000009.pth"]

    other = Model()
    other_optimizer = torch.optim.SGD(other.parameters(), lr=0.5, momentum=0.9)
    resumed = DetectionCheckpointer(other, str(tmp_path), optimizer=other_optimizer)
    extra = resumed.resume_or_load("", resume=True)
    assert extra == {"iteration": 9, "note": "x"}
    assert same_weights(model, other)
    assert other_optimizer.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]

    fresh = torch.optim.SGD(other.parameters(), lr=0.5)
    DetectionCheckpointer(other, optimizer=fresh).load(str(tmp_path / "model_0000009.pth"), checkpointables=[])
    assert fresh.param_groups[0]["lr"] == 0.5


def test_no_path_and_no_folder():
    checkpointer = DetectionCheckpointer(Model())
    assert checkpointer.load("") == {}
    checkpointer.save("ignored")
    assert not os.path.exists("ignored.pth")
    assert DetectionCheckpointer(Model(), "/nonexistent", save_to_disk=False).save("x") is None


def test_periodic_checkpointer_keeps_the_newest(tmp_path):
    periodic = PeriodicCheckpointer(DetectionCheckpointer(Model(), str(tmp_path)), 2, max_iter=6, max_to_keep=1)
    for iteration in range(6):
        periodic.step(iteration)
    assert sorted(os.listdir(tmp_path)) == ["last_checkpoint", "model_0000005.pth", "model_final.pth"]
    assert DetectionCheckpointer(Model(), str(tmp_path)).get_checkpoint_file().endswith("model_final.pth")


def test_missing_files_are_named(tmp_path):
    checkpointer = DetectionCheckpointer(Model(), str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"none\.pth does not exist"):
        checkpointer.load(str(tmp_path / "none.pth"))
    (tmp_path / "last_checkpoint").write_text("gone.pth")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth does not exist, but .*last_checkpoint names it"):
        checkpointer.resume_or_load("", resume=True)


def test_keys_that_do_not_fit_are_logged(tmp_path, caplog):
    state = Model(width=4).state_dict()
    state["pixel_mean"] = torch.zeros(3)
    state["anchor_generator.cell_anchors.0"] = torch.zeros(3, 4)
    state["extra.weight"] = torch.zeros(1)
    del state["backbone.1.running_mean"]
    torch.save({"model": state}, tmp_path / "a.pth")
    with caplog.at_level(logging.WARNING):
        DetectionCheckpointer(Model()).load(str(tmp_path / "a.pth"))
    assert "'backbone.0.weight'" in caplog.text and "(4, 2) in the checkpoint but (3, 2)" in caplog.text
    assert "running_mean" in caplog.text and "extra" in caplog.text
    assert "pixel_mean" not in caplog.text and "cell_anchors" not in caplog.text


def test_plain_and_foreign_state_dicts(tmp_path):
    source = Model()
    for name, data in {
        "plain": source.state_dict(),
        "ddp": {"module." + key: value for key, value in source.state_dict().items()},
        "lightning": {"state_dict": source.state_dict(), "epoch": 3},
        "pycls": {
            "model_state": {"0.weight": source.backbone[0].weight.detach(), "x.num_batches_tracked": torch.ones(1)}
        },
    }.items():
        torch.save(data, tmp_path / f"{name}.pth")
    for name in ("plain", "ddp", "lightning"):
        target = Model()
        DetectionCheckpointer(target).load(str(tmp_path / f"{name}.pth"))
        assert same_weights(source, target), name
    target = Model()
    DetectionCheckpointer(target).load(str(tmp_path / "pycls.pth"))
    assert torch.equal(target.backbone[0].weight, source.backbone[0].weight)


def test_zoo_pickle_and_caffe2_pickle(tmp_path):
    source = Model()
    arrays = {name: value.numpy() for name, value in source.state_dict().items()}
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}))
    target = Model()
    extra = DetectionCheckpointer(target).load(str(tmp_path / "zoo.pkl"))
    assert same_weights(source, target) and extra == {"__author__": "Detectron2 Model Zoo"}

    class Stem(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.ModuleDict({"conv1": nn.Conv2d(3, 2, 1, bias=False)})

    weight = np.random.rand(2, 3, 1, 1).astype(np.float32)
    (tmp_path / "c2.pkl").write_bytes(
        pickle.dumps(
            {"blobs": {"conv1_w": weight, "conv1_w_momentum": weight, "fc1000_b": weight[0, :, 0, 0]}}, protocol=2
        )
    )
    target = nn.ModuleDict({"backbone": Stem()})
    DetectionCheckpointer(target).load(str(tmp_path / "c2.pkl"))
    np.testing.assert_array_equal(target["backbone"].stem["conv1"].weight.detach().numpy(), weight)


def test_matching_heuristics_by_query(tmp_path, caplog):
    source = Model()
    torch.save({"0.weight": source.backbone[0].weight.detach()}, tmp_path / "a.pth")
    target = Model()
    checkpointer = DetectionCheckpointer(target)
    checkpointer.load(f"{tmp_path}/a.pth")
    assert not torch.equal(target.backbone[0].weight, source.backbone[0].weight)
    checkpointer.load(f"{tmp_path}/a.pth?matching_heuristics=True")
    assert torch.equal(target.backbone[0].weight, source.backbone[0].weight)
    with pytest.raises(ValueError, match="matching_heuristic=True: only"):
        checkpointer.load(f"{tmp_path}/a.pth?matching_heuristic=True")


class Evil:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["evil.pkl", "evil.pth"])
@pytest.mark.parametrize("way", ["argument", "attribute", "environment"])
def test_unsafe_files_need_a_flag(tmp_path, monkeypatch, name, way):
    path = tmp_path / name
    data = {"model": Model().state_dict(), "extra": Evil(tmp_path / "ran")}
    path.write_bytes(pickle.dumps(data)) if name.endswith("pkl") else torch.save(data, path)
    with pytest.raises(ValueError, match=f"{name}: blocked .*mkdir"):
        DetectionCheckpointer(Model()).load(str(path))
    assert not (tmp_path / "ran").exists()
    if way == "environment":
        monkeypatch.setenv("DETECTRON2_ALLOW_UNSAFE_PICKLE", "1")
    checkpointer = DetectionCheckpointer(Model())
    if way == "attribute":
        checkpointer.allow_unsafe_pickle = True
    checkpointer.load(str(path), **({"allow_unsafe_pickle": True} if way == "argument" else {}))
    assert (tmp_path / "ran").exists()
    assert checkpointer.allow_unsafe_pickle == (way != "argument")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), "text"])
@pytest.mark.parametrize("name", ["a.pkl", "a.pth"])
def test_files_without_a_state_dict(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(content)) if name.endswith("pkl") else torch.save(content, path)
    with pytest.raises(ValueError, match=f"{name}: holds a"):
        DetectionCheckpointer(Model()).load(str(path))


@pytest.fixture
def file_size_limit():
    """Let no file grow beyond 100 kB: writing then fails as on a full disk, only with another reason."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_former_checkpoint(tmp_path, request):
    small = DetectionCheckpointer(Model(), str(tmp_path))
    small.save("model_0000001")
    small.save("model_final")
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    large = DetectionCheckpointer(Model(width=20_000), str(tmp_path))
    request.getfixturevalue("file_size_limit")
    for name, state in [("model_final", "the former file is unchanged"), ("model_0000002", "nothing was left behind")]:
        with pytest.raises(
            OSError, match=f"could not write checkpoint .*{name}.pth: File too large; {state}"
        ) as caught:
            large.save(name)
        assert caught.value.errno == errno.EFBIG
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_a_device_without_space_names_the_reason(tmp_path):
    os.symlink("/dev/full", tmp_path / "model_final.pth.tmp")
    with pytest.raises(OSError, match="model_final.pth: No space left on device") as caught:
        DetectionCheckpointer(Model(), str(tmp_path)).save("model_final")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="could not write checkpoint .*none/model.pth: No such file or directory"):
        DetectionCheckpointer(Model(), str(tmp_path / "none")).save("model")


def test_a_name_with_folders_is_refused(tmp_path):
    with pytest.raises(ValueError, match="sub/model"):
        DetectionCheckpointer(Model(), str(tmp_path)).save("sub/model")


def test_errors_of_the_writer_pass_through(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_write(str(tmp_path / "a"), "file") as file:
        file.write(b"x")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


SAVE_FOREVER = """
import sys, torch
from detectron2.checkpoint import DetectionCheckpointer
checkpointer = DetectionCheckpointer(torch.nn.Linear(1000, 1000), sys.argv[1])
iteration = 0
while True:
    torch.nn.init.constant_(checkpointer.model.weight, iteration)
    checkpointer.save(f"model_{iteration % 2}", iteration=iteration)
    iteration += 1
"""


def test_a_kill_at_any_time_leaves_a_whole_checkpoint(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(tmp_path)])
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "model_1.pth").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        # Wait for a file that is being written, to kill it then.
        while not list(tmp_path.glob("*.pth.tmp")) and time.monotonic() < deadline:
            pass
    finally:
        process.kill()
        process.wait()
    model = nn.Linear(1000, 1000)
    checkpointer = DetectionCheckpointer(model, str(tmp_path))
    extra = checkpointer.resume_or_load("", resume=True)
    assert torch.all(model.weight == extra["iteration"])
    assert all(name.endswith(".pth") for name in checkpointer.get_all_checkpoint_files())


def _load_on_rank(rank, folder, store):
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    torch.manual_seed(rank)
    model = nn.Linear(3, 3)
    # Only rank 0 sees the file, as with a disk that belongs to one machine.
    path = f"{folder}/model.pth" if rank == 0 else f"{folder}/not_here/model.pth"
    DetectionCheckpointer(model).load(path)
    torch.save(model.weight.detach(), f"{folder}/loaded_{rank}.pt")
    leave_group()


def test_a_process_without_the_file_gets_the_model_from_the_main_process(tmp_path):
    weights = nn.Linear(3, 3).state_dict()
    torch.save({"model": weights}, tmp_path / "model.pth")
    torch.multiprocessing.spawn(_load_on_rank, (str(tmp_path), str(tmp_path / "store")), nprocs=2)
    for rank in range(2):
        assert torch.equal(torch.load(tmp_path / f"loaded_{rank}.pt"), weights["weight"])
