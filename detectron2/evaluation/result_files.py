"""Files that an evaluation leaves. They appear whole or not at all, whatever happens while they are written."""

import json
import os
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import torch

from detectron2.structures.boxes import BoxMode
from detectron2.utils.atomic import atomic_write
from detectron2.utils.file_io import PathManager


def check_writable(output_dir: str) -> None:
    """Make the folder, and see that files can be made in it, before hours of inference are lost.

    Raises:
        OSError: they cannot.
    """
    try:
        PathManager.mkdirs(output_dir)
        if _is_local(output_dir):
            with tempfile.NamedTemporaryFile(dir=output_dir):
                pass
    except OSError as error:
        raise OSError(error.errno, f"output_dir {output_dir!r} of the evaluation cannot be written: {error}") from error


def _is_local(path: str) -> bool:
    return "://" not in path


@contextmanager
def _open(path: str) -> Iterator[IO[bytes]]:
    if _is_local(path):
        PathManager.mkdirs(os.path.dirname(path) or ".")
        with atomic_write(path, "evaluation results") as f:
            yield f
    else:
        with PathManager.open(path, "wb") as f:
            yield f


def save_predictions(predictions: list[dict[str, Any]], output_dir: str) -> str:
    """Write ``instances_predictions.pth``: what the evaluator collected, image by image. Returns the path."""
    path = os.path.join(output_dir, "instances_predictions.pth")
    with _open(path) as f:
        torch.save(predictions, f)
    return path


def save_results(coco_results: list[dict[str, Any]], output_dir: str) -> str:
    """Write ``coco_instances_results.json`` in COCO's result format. Returns the path."""
    path = os.path.join(output_dir, "coco_instances_results.json")
    with _open(path) as f:
        f.write(json.dumps(coco_results).encode())
    return path


def save_proposals(predictions: list[dict[str, Any]], output_dir: str) -> str:
    """Write ``box_proposals.pkl`` in the form that precomputed proposals are loaded from. Returns the path."""
    proposals = [prediction["proposals"] for prediction in predictions]
    content = {
        "boxes": [p.proposal_boxes.tensor.numpy() for p in proposals],
        "objectness_logits": [p.objectness_logits.numpy() for p in proposals],
        "ids": [prediction["image_id"] for prediction in predictions],
        "bbox_mode": BoxMode.XYXY_ABS.value,
    }
    path = os.path.join(output_dir, "box_proposals.pkl")
    with _open(path) as f:
        pickle.dump(content, f)
    return path
