"""What a training script does before it trains: arguments, logging, seeds, writers, wrapping for several processes."""

import argparse
import errno
import logging
import os
import sys
import tempfile
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import CommonMetricPrinter, EventWriter, JSONWriter, TensorboardXWriter
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import setup_logger
from detectron2.utils.torch_version_utils import rename_buffer_option

from .preflight import check_config, register_configured_datasets

_EPILOG = """
Examples:

  one process:                      {script} --config-file cfg.yaml
  change options:                   {script} --config-file cfg.yaml MODEL.WEIGHTS model.pth SOLVER.BASE_LR 0.001
  8 GPUs (or 8 CPU processes):      {script} --config-file cfg.yaml --num-gpus 8
  the same with torchrun:           torchrun --nproc-per-node 8 {script} --config-file cfg.yaml
  two machines, on the first:       {script} --num-gpus 8 --num-machines 2 --machine-rank 0 --dist-url tcp://HOST:PORT
  and on the second:                {script} --num-gpus 8 --num-machines 2 --machine-rank 1 --dist-url tcp://HOST:PORT
"""


def default_argument_parser(epilog: str | None = None) -> argparse.ArgumentParser:
    """Command line of a training script; what follows the flags is ``KEY VALUE`` pairs of the config (``opts``).

    Args:
        epilog: text after the list of flags; by default examples.
    """
    parser = argparse.ArgumentParser(
        epilog=epilog or _EPILOG.format(script=sys.argv[0]), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", default="", metavar="FILE", help="path to the config")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in OUTPUT_DIR, if any")
    parser.add_argument("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS and do not train")
    parser.add_argument("--num-gpus", type=int, default=1, help="GPUs on each machine; without a GPU, CPU processes")
    parser.add_argument("--num-machines", type=int, default=1, help="machines in all")
    parser.add_argument("--machine-rank", type=int, default=0, help="number of this machine, from 0")
    parser.add_argument("--dist-url", default="auto", help="tcp://HOST:PORT of machine 0; 'auto' on a single machine")
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, default=None, help="config keys and values, e.g. SOLVER.MAX_ITER 100"
    )
    return parser


def default_setup(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Prepares a run: checks the config, makes the output folder, sets up logging and seeds, saves the config.

    Args:
        cfg: the whole config. Bare strings in ``DATASETS`` become tuples, in place.
        args: the command line, for the log; ``eval_only`` and ``resume`` are looked at if they are there.

    Raises:
        OSError: the output folder cannot be written.
        KeyError, ValueError, FileNotFoundError: what the config asks for is not there, see ``engine/preflight.py``.
    """
    output_dir = _try_get_key(cfg, "OUTPUT_DIR", "output_dir", "train.output_dir")
    rank = comm.get_rank()
    if rank == 0 and output_dir:
        ensure_output_dir(output_dir)
    setup_logger(output_dir, distributed_rank=rank, name="fvcore")
    logger = setup_logger(output_dir, distributed_rank=rank)
    logger.info("Process %d of %d", rank, comm.get_world_size())
    logger.info("Environment:\n%s", collect_env_info())
    logger.info("Command line arguments: %s", args)
    config_file = getattr(args, "config_file", "")
    if config_file:
        with PathManager.open(config_file, "r") as file:
            logger.info("Contents of %s:\n%s", config_file, _highlight(file.read(), config_file))

    register_configured_datasets(cfg)
    check_config(cfg, resume=getattr(args, "resume", False))
    if rank == 0 and output_dir:
        save_config(cfg, output_dir)

    seed = _try_get_key(cfg, "SEED", "train.seed", default=-1)
    seed_all_rng(None if seed < 0 else seed + rank)
    if not getattr(args, "eval_only", False):
        # Evaluation meets a new image size every time, for which the search of kernels does not pay.
        torch.backends.cudnn.benchmark = _try_get_key(cfg, "CUDNN_BENCHMARK", "train.cudnn_benchmark", default=False)
    _set_float32_precision(_try_get_key(cfg, "FLOAT32_PRECISION", "train.float32_precision", default=""))


def default_writers(output_dir: str, max_iter: int | None = None) -> list[EventWriter]:
    """Console, ``metrics.json`` and TensorBoard.

    Args:
        output_dir: where the files go; made if missing.
        max_iter: the last iteration, for the remaining time.
    """
    ensure_output_dir(output_dir)
    return [
        CommonMetricPrinter(max_iter),
        JSONWriter(os.path.join(output_dir, "metrics.json")),
        TensorboardXWriter(output_dir),
    ]


def create_ddp_model(model: nn.Module, *, fp16_compression: bool = False, **kwargs: Any) -> nn.Module:
    """Wraps a model for several processes; a single process gets it back as it is.

    Args:
        model: on the device of this process.
        fp16_compression: exchange gradients in half precision.
        kwargs: arguments of ``DistributedDataParallel``.
    """
    if comm.get_world_size() == 1:
        return model
    on_gpu = any(parameter.is_cuda for parameter in model.parameters())
    if "device_ids" not in kwargs and on_gpu:
        kwargs["device_ids"] = [comm.get_local_rank()]
    wrapped = DistributedDataParallel(model, **rename_buffer_option(kwargs))
    if fp16_compression:
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

        wrapped.register_comm_hook(state=None, hook=default_hooks.fp16_compress_hook)
    return wrapped


def ensure_output_dir(output_dir: str) -> None:
    """Makes the folder for results and tries it.

    Raises:
        OSError: it cannot be made or written; of the kind that the system gave.
    """
    try:
        PathManager.mkdirs(output_dir)
        local = PathManager.get_local_path(output_dir)
        if os.path.isfile(local):
            raise NotADirectoryError(errno.ENOTDIR, "it is a file")
        if os.path.isdir(local):
            with tempfile.TemporaryFile(dir=local):
                pass
    except OSError as error:
        message = f"OUTPUT_DIR {output_dir!r} cannot be written ({error.strerror or error}): choose another folder"
        raise type(error)(error.errno, message) from error


def save_config(cfg: Any, output_dir: str) -> str:
    """Writes the whole config as ``config.yaml``, from which the run can be repeated, and returns its path."""
    path = os.path.join(output_dir, "config.yaml")
    with PathManager.open(path, "w") as file:
        file.write(cfg.dump())
    logging.getLogger(__name__).info("The whole config is in %s", path)
    return path


def _try_get_key(cfg: Any, *keys: str, default: Any = None) -> Any:
    """The value of the first of some dotted keys that the config has."""
    for key in keys:
        node = cfg
        for part in key.split("."):
            if not hasattr(node, "get") or part not in node:
                break
            node = node[part]
        else:
            return node
    return default


def _highlight(code: str, filename: str) -> str:
    """Colours Python and YAML text for a terminal, where pygments is installed."""
    try:
        import pygments
        from pygments.formatters import Terminal256Formatter
        from pygments.lexers import Python3Lexer, YamlLexer
    except ImportError:
        return code
    lexer = Python3Lexer() if filename.endswith(".py") else YamlLexer()
    return pygments.highlight(code, lexer, Terminal256Formatter(style="monokai"))


def _set_float32_precision(precision: str = "high") -> None:
    """How float32 matrix products may be computed on a GPU; an empty string leaves PyTorch's choice.

    Raises:
        ValueError: another value than "", "highest", "high" and "medium".
    """
    if precision not in ("", "highest", "high", "medium"):
        raise ValueError(f"FLOAT32_PRECISION is {precision!r}, allowed are '', 'highest', 'high' and 'medium'")
    if precision:
        torch.set_float32_matmul_precision(precision)
