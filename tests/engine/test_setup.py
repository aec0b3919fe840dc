"""Command line, writers, scaling and small helpers around a training."""

import argparse

import pytest
import torch
import yaml

from detectron2.config import get_cfg
from detectron2.engine.auto_scale import auto_scale_workers
from detectron2.engine.setup import (
    _highlight,
    _set_float32_precision,
    _try_get_key,
    create_ddp_model,
    default_argument_parser,
    default_setup,
    default_writers,
)
from detectron2.utils.events import EventStorage


def _args(**kwargs):
    return argparse.Namespace(**{"config_file": "", "eval_only": False, "resume": False, **kwargs})


def _cfg(tmp_path, **top):
    cfg = get_cfg()
    cfg.OUTPUT_DIR = str(tmp_path / "out")
    cfg.MODEL.DEVICE = "cpu"
    for key, value in top.items():
        cfg[key] = value
    return cfg


def test_argument_parser():
    args = default_argument_parser().parse_args(["--config-file", "a.yaml", "--num-gpus", "2", "SEED", "3"])
    assert (args.config_file, args.num_gpus, args.opts) == ("a.yaml", 2, ["SEED", "3"])
    assert (args.resume, args.eval_only, args.num_machines, args.machine_rank) == (False, False, 1, 0)
    assert "torchrun" in default_argument_parser().format_help()
    assert default_argument_parser("Mine").format_help().endswith("Mine\n")


def test_default_setup_saves_the_config_and_seeds(tmp_path):
    cfg = _cfg(tmp_path, SEED=7, FLOAT32_PRECISION="highest")
    config_file = tmp_path / "my.yaml"
    config_file.write_text("SEED: 7\n")
    draws = []
    for _ in range(2):
        default_setup(cfg, _args(config_file=str(config_file)))
        draws.append(torch.rand(1).item())
    assert draws[0] == draws[1]
    saved = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert saved["SEED"] == 7 and saved["OUTPUT_DIR"] == cfg.OUTPUT_DIR
    assert (tmp_path / "out" / "log.txt").exists()


def test_default_setup_names_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    cfg = _cfg(tmp_path, OUTPUT_DIR=str(tmp_path / "file" / "out"))
    with pytest.raises(OSError, match="OUTPUT_DIR '.*file/out' cannot be written"):
        default_setup(cfg, _args())


def test_default_setup_checks_the_config(tmp_path):
    cfg = _cfg(tmp_path)
    cfg.DATASETS.TRAIN = ("no_such_data_set",)
    with pytest.raises(KeyError, match="no_such_data_set"):
        default_setup(cfg, _args())


def test_float32_precision_is_checked():
    before = torch.get_float32_matmul_precision()
    _set_float32_precision("")
    assert torch.get_float32_matmul_precision() == before
    with pytest.raises(ValueError, match="FLOAT32_PRECISION"):
        _set_float32_precision("double")


def test_writers_write_files(tmp_path):
    with EventStorage() as storage:
        writers = default_writers(str(tmp_path / "new"), 10)
        storage.put_scalar("total_loss", 1.0)
        for writer in writers:
            writer.write()
            writer.close()
    names = {path.name.split(".")[0] for path in (tmp_path / "new").iterdir()}
    assert names == {"metrics", "events"}


def test_try_get_key():
    cfg = get_cfg()
    assert _try_get_key(cfg, "train.seed", "SEED", default=5) == -1
    assert _try_get_key({"train": {"seed": 3}}, "SEED", "train.seed") == 3
    assert _try_get_key(cfg, "NOT.THERE", default=5) == 5


def test_highlight_keeps_the_text():
    plain = _highlight("A: 1\n", "a.yaml")
    assert "A" in plain and "1" in plain


def test_one_process_needs_no_wrapper():
    model = torch.nn.Linear(1, 1)
    assert create_ddp_model(model) is model


def test_auto_scale():
    cfg = get_cfg()
    solver = cfg.SOLVER
    solver.IMS_PER_BATCH, solver.BASE_LR, solver.REFERENCE_WORLD_SIZE = 16, 0.02, 8
    solver.MAX_ITER, solver.STEPS, solver.WARMUP_ITERS, solver.CHECKPOINT_PERIOD = 5000, (3000,), 1000, 500
    cfg.TEST.EVAL_PERIOD = 200
    cfg.freeze()
    scaled = auto_scale_workers(cfg, 2)
    new = scaled.SOLVER
    assert (new.IMS_PER_BATCH, new.BASE_LR, new.REFERENCE_WORLD_SIZE) == (4, 0.005, 2)
    assert (new.MAX_ITER, new.STEPS, new.WARMUP_ITERS, new.CHECKPOINT_PERIOD) == (20000, (12000,), 4000, 2000)
    assert scaled.TEST.EVAL_PERIOD == 800 and scaled.is_frozen() and cfg.SOLVER.IMS_PER_BATCH == 16
    assert auto_scale_workers(cfg, 8) is cfg
    cfg.defrost()
    solver.REFERENCE_WORLD_SIZE = 3
    with pytest.raises(ValueError, match="IMS_PER_BATCH 16"):
        auto_scale_workers(cfg, 2)
