"""Ready-made parts of training and prediction scripts: the public path.

Scripts that need something else should use the parts, or copy ``tools/plain_train_net.py``, rather than bend these.
"""

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog, build_detection_test_loader, build_detection_train_loader
from detectron2.evaluation import DatasetEvaluator, inference_on_dataset, print_csv_format, verify_results
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import CommonMetricPrinter, JSONWriter, TensorboardXWriter
from detectron2.utils.file_io import PathManager
from detectron2.utils.fvcore_nn import get_bn_modules
from detectron2.utils.logger import setup_logger

from .default_trainer import DefaultTrainer
from .predictor import DefaultPredictor
from .setup import (
    _highlight,
    _set_float32_precision,
    _try_get_key,
    create_ddp_model,
    default_argument_parser,
    default_setup,
    default_writers,
)
from .train_loop import AMPTrainer, SimpleTrainer, TrainerBase

__all__ = [
    "AMPTrainer",
    "CfgNode",
    "CommonMetricPrinter",
    "DatasetEvaluator",
    "DefaultPredictor",
    "DefaultTrainer",
    "DetectionCheckpointer",
    "JSONWriter",
    "MetadataCatalog",
    "PathManager",
    "SimpleTrainer",
    "TensorboardXWriter",
    "TrainerBase",
    "_highlight",
    "_set_float32_precision",
    "_try_get_key",
    "build_detection_test_loader",
    "build_detection_train_loader",
    "build_lr_scheduler",
    "build_model",
    "build_optimizer",
    "collect_env_info",
    "create_ddp_model",
    "default_argument_parser",
    "default_setup",
    "default_writers",
    "get_bn_modules",
    "inference_on_dataset",
    "print_csv_format",
    "seed_all_rng",
    "setup_logger",
    "verify_results",
]
