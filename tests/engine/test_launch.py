"""Several processes on the CPU."""

import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from datasets.shapes import write_splits
from detectron2.engine import DefaultTrainer
from detectron2.engine.launch import _find_free_port, launch
from detectron2.engine.setup import create_ddp_model
from detectron2.engine.train_loop import SimpleTrainer
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from tests.engine.test_default_trainer import shapes_config
from tests.engine.toy import ToyDetector, batches, detection_sample
from tests.modeling.tiny_models import tiny_config

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 180


def _launch(function, *args, processes=2):
    """Runs a function in gloo processes; kills them if they hang."""
    context = multiprocessing.get_context("spawn")
    parent = context.Process(target=_in_own_group, args=(function, args, processes))
    parent.start()
    parent.join(SECONDS)
    hung = parent.is_alive()
    if hung:
        os.killpg(parent.pid, 9)
    assert not hung, "the processes hang"
    return parent.exitcode


def _in_own_group(function, args, processes):
    os.setsid()
    launch(function, processes, args=args, timeout=timedelta(seconds=SECONDS))


def _share(size, offset):
    """This process's part of the joined batches."""
    for batch in batches(size * comm.get_world_size()):
        yield batch[offset * size : (offset + 1) * size]


def _train(folder, rank, accumulation_steps):
    """Three steps on this process's half of joined batches of 6 (or 12) images."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = create_ddp_model(ToyDetector(norm=False, red=False), broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    joined = batches(6 * accumulation_steps)
    halves = (batch[part * 3 :][:3] for batch in joined for part in range(rank, 2 * accumulation_steps, 2))
    trainer = SimpleTrainer(model, halves, optimizer, accumulation_steps=accumulation_steps)
    trainer.train(0, 3)
    result = {
        "gradients": {name: p.grad for name, p in model.module.named_parameters()},
        "model": model.module.state_dict(),
        "losses": [loss for loss, _ in trainer.storage.history("total_loss").values()] if rank == 0 else [],
    }
    torch.save(result, folder / f"train_{accumulation_steps}_{rank}.pth")


def _train_where_one_gets_nan(folder, rank):
    def loader():
        for index, batch in enumerate(_share(2, rank)):
            if index == 1 and rank == 1:
                batch[0]["image"][0, 0, 0] = float("nan")
            yield batch

    model = create_ddp_model(ToyDetector(norm=False))
    trainer = SimpleTrainer(model, loader(), torch.optim.SGD(model.parameters(), lr=0.05))
    try:
        trainer.train(0, 5)
    except FloatingPointError as error:
        (folder / f"nan_{rank}.txt").write_text(str(error))


def _train_where_one_has_no_annotation(folder, rank, name):
    """Two steps: in the first process 1 has no annotation, in the second nobody has."""
    model = create_ddp_model(build_model(tiny_config(name)), broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    loader = ([detection_sample(seed, boxes)] for seed, boxes in ((rank, 2 - 2 * rank), (10 + rank, 0)))
    SimpleTrainer(model, loader, optimizer).train(0, 2)
    torch.save(model.module.state_dict(), folder / f"{name}_{rank}.pth")


def _train_and_resume(folder, rank):
    """Six steps; and once more from the checkpoint after the third, by a trainer that knows nothing of the first."""
    cfg = shapes_config(folder / "shapes", folder / "resumed", "faster_rcnn_fpn_tiny")
    cfg.MODEL.RESNETS.NORM, cfg.MODEL.BACKBONE.FREEZE_AT = "BN", 0
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.CHECKPOINT_PERIOD = 6, 3
    seed_all_rng(5 + rank)
    DefaultTrainer(cfg).train()
    if rank == 0:
        (folder / "resumed" / "model_final.pth").rename(folder / "whole.pth")
        (folder / "resumed" / "last_checkpoint").write_text("model_0000002.pth")
    comm.synchronize()
    seed_all_rng(77 + rank)
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=True)
    assert trainer.start_iter == 3
    trainer.train()


EMPTY_BATCH_MODELS = ("retinanet_tiny", "mask_rcnn_fpn_tiny")


def _in_each_process(folder):
    folder, rank = Path(folder), comm.get_rank()
    assert (comm.get_world_size(), comm.get_local_rank(), comm.get_local_size()) == (2, rank, 2)
    for accumulation_steps in (1, 2):
        _train(folder, rank, accumulation_steps)
    _train_where_one_gets_nan(folder, rank)
    for name in EMPTY_BATCH_MODELS:
        _train_where_one_has_no_annotation(folder, rank, name)
    _train_and_resume(folder, rank)
    (folder / f"done_{rank}").write_text("")
    comm.synchronize()
    if rank == 1:
        raise KeyError("broken on purpose")
    time.sleep(SECONDS)  # cut short by the end of the other process


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """Folder with the results, and exit code, of all that two processes do. One launch, as each costs imports."""
    folder = tmp_path_factory.mktemp("two_processes")
    write_splits(folder / "shapes", train=24, val=2, size=(96, 72))
    exit_code = _launch(_in_each_process, str(folder))
    assert (folder / "done_0").exists() and (folder / "done_1").exists()
    return folder, exit_code


@pytest.fixture(scope="module")
def two_processes(launched):
    return launched[0]


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_two_processes_equal_one_on_the_joined_batch(two_processes, accumulation_steps):
    model = ToyDetector(norm=False, red=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    trainer = SimpleTrainer(model, batches(6 * accumulation_steps), optimizer)
    trainer.train(0, 3)
    expected = [loss for loss, _ in trainer.storage.history("total_loss").values()]
    for rank in (0, 1):
        result = torch.load(two_processes / f"train_{accumulation_steps}_{rank}.pth", weights_only=True)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(result["gradients"][name], parameter.grad, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(result["model"][name], parameter.detach(), rtol=1e-5, atol=1e-6)
        assert result["losses"] == (pytest.approx(expected, rel=1e-5) if rank == 0 else [])


def test_all_processes_stop_at_a_bad_loss_of_one(two_processes):
    for rank in (0, 1):
        message = (two_processes / f"nan_{rank}.txt").read_text()
        # the second batch of four, whose third image is the first of process 1
        assert "iteration 1" in message and "image_6.png" in message and "process 1" in message
        assert "conv (Conv2d; its input is not finite already)" in message


@pytest.mark.parametrize("name", EMPTY_BATCH_MODELS)
def test_a_process_without_annotations_keeps_up(two_processes, name):
    first, second = (torch.load(two_processes / f"{name}_{rank}.pth", weights_only=True) for rank in (0, 1))
    start = build_model(tiny_config(name)).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first if "running" not in key)
    assert any(not torch.equal(first[key], start[key]) for key in first)


def test_two_processes_resume_exactly(two_processes):
    whole = torch.load(two_processes / "whole.pth", weights_only=True)
    resumed = torch.load(two_processes / "resumed" / "model_final.pth", weights_only=True)
    assert len(whole["trainer"]["ranks"]) == 2
    states = [state["rng"]["torch"] for state in whole["trainer"]["ranks"]]
    assert not torch.equal(*states)
    assert not [k for k, v in whole["model"].items() if not torch.equal(v, resumed["model"][k])]


def test_a_failing_process_ends_the_others(launched):
    assert launched[1] not in (0, None)


def test_one_process_is_called_directly():
    called = []
    launch(called.append, 1, args=(3,))
    assert called == [3] and comm.get_world_size() == 1


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"num_gpus_per_machine": 0}, "num_gpus_per_machine=0"),
        ({"num_gpus_per_machine": 2, "num_machines": 2}, "dist_url"),
        ({"num_gpus_per_machine": 2, "num_machines": 2, "machine_rank": 2}, "machine_rank=2"),
    ],
)
def test_launch_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        launch(print, **kwargs)


def test_torchrun_processes_are_joined(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from detectron2.engine.launch import launch\n"
        "from detectron2.utils import comm\n"
        "def main(folder):\n"
        "    ranks = comm.all_gather((comm.get_rank(), comm.get_local_rank(), comm.get_local_size()))\n"
        "    open(f'{folder}/{comm.get_rank()}', 'w').write(str(ranks))\n"
        f"launch(main, 1, args=({str(tmp_path)!r},))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "RANK"}
    environment |= {"PYTHONPATH": str(ROOT), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_find_free_port())}
    processes = [
        subprocess.Popen([sys.executable, str(script)], env={**environment, "RANK": r, "LOCAL_RANK": r}) for r in "01"
    ]
    try:
        assert [process.wait(SECONDS) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    assert (tmp_path / "0").read_text() == (tmp_path / "1").read_text() == "[(0, 0, 2), (1, 1, 2)]"
