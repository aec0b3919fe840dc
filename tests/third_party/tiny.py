"""Tiny quantized detectors on generated pictures."""

from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.evaluation import DatasetEvaluator
from tests.engine.test_default_trainer import shapes_config

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("retinanet_tiny", "faster_rcnn_fpn_tiny", "mask_rcnn_fpn_tiny", "mask_rcnn_c4_tiny")


def quantized_config(folder: Path, output: Path, name: str = "retinanet_tiny", **settings: Any) -> CfgNode:
    """A tiny detector at 4 bits; ``settings`` are keys of MODEL.QUANTIZATION."""
    cfg = shapes_config(folder, output, name)
    cfg.MODEL.RESNETS.NORM, cfg.MODEL.BACKBONE.FREEZE_AT = "BN", 0
    quantization = cfg.MODEL.QUANTIZATION
    quantization.ENABLED = True
    quantization.WEIGHT.BITS = quantization.ACTIVATION.BITS = 4
    for key, value in settings.items():
        quantization[key] = CfgNode(value, new_allowed=True) if isinstance(value, dict) else value
    return cfg


class SumOfScores(DatasetEvaluator):
    """A number that every change of the model changes."""

    def reset(self) -> None:
        self.total = 0.0

    def process(self, inputs: Any, outputs: Any) -> None:
        self.total += sum(float(output["instances"].scores.double().sum()) for output in outputs)

    def evaluate(self) -> dict[str, dict[str, float]]:
        return {"bbox": {"AP": self.total}}
