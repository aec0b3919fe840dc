"""``tools/quickstart.py`` with a few small pictures."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tools import quickstart

OPTIONS = {
    "SOLVER.MAX_ITER": 2,
    "SOLVER.WARMUP_ITERS": 1,
    "SOLVER.IMS_PER_BATCH": 2,
    "DATALOADER.NUM_WORKERS": 0,
    "MODEL.DEVICE": "cpu",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that the command wrote to, and what it said."""
    folder = tmp_path_factory.mktemp("quickstart")
    options = [str(part) for pair in OPTIONS.items() for part in pair]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        quickstart.main(["--output", str(folder), "--train-images", "4", "--val-images", "4", *options])
    return folder, said.getvalue()


def test_both_trainings_and_a_picture(run: tuple[Path, str]) -> None:
    folder, said = run
    assert all(f"{name} box AP" in said for name in ("float:", "INT8: ")), said
    assert str(folder / "predictions.png") in said
    assert np.asarray(Image.open(folder / "predictions.png")).shape[:2] == (360, 4 * 480)
    full, int8 = (
        torch.load(folder / name / "model_final.pth", weights_only=True)["model"] for name in ("float", "int8")
    )
    assert set(int8) > set(full)


def test_predictions_are_drawn_above_the_threshold(run: tuple[Path, str], tmp_path: Path) -> None:
    pictures = sorted((run[0] / "shapes" / "val").iterdir())[:2]
    files = {threshold: tmp_path / f"{threshold}.png" for threshold in (0.0, 1.0)}
    counts = [quickstart.draw(run[0] / "float", pictures, file, threshold) for threshold, file in files.items()]
    assert counts[0] > 0 == counts[1]
    some, none = (np.asarray(Image.open(file)).astype(int) for file in files.values())
    assert np.abs(some - none).max() > 50
