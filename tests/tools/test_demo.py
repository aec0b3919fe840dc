"""``tools/demo.py`` on pictures, folders and videos."""

import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tools import demo

from .conftest import QUICK_START, REPO, Shapes

RETINANET = str(QUICK_START / "retinanet_R_18_FPN_shapes.yaml")
MASK_RCNN = str(QUICK_START / "mask_rcnn_R_18_FPN_shapes.yaml")


def sizes(folder) -> dict[str, tuple[int, int]]:
    return {path.name: Image.open(path).size for path in sorted(folder.iterdir())}


def test_folder_and_file(shapes: Shapes, tmp_path):
    picture = tmp_path / "one.png"
    shutil.copy(shapes.root / "train" / "000003.png", picture)
    demo.main(
        [
            "--config-file",
            RETINANET,
            "--input",
            str(shapes.root / "val"),
            str(picture),
            "--output",
            str(tmp_path / "out"),
        ]
        + ["--opts", *shapes.options]
    )
    assert sizes(tmp_path / "out") == {"000000.png": (96, 64), "000001.png": (96, 64), "one.png": (96, 64)}


def test_predictions_are_drawn_above_the_threshold(shapes: Shapes, tmp_path):
    picture = shapes.root / "val" / "000000.png"
    drawn = []
    for threshold in ("0.0", "1.0"):
        out = tmp_path / threshold
        demo.main(
            ["--config-file", MASK_RCNN, "--input", str(picture), "--output", str(out)]
            + ["--confidence-threshold", threshold, "--opts", *shapes.options]
        )
        drawn.append(np.asarray(Image.open(out / "000000.png").convert("RGB")).astype(int))
    original = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert abs(drawn[1] - original).max() <= 2
    assert abs(drawn[0] - original).max() > 50


def test_pictures_of_one_name_keep_apart(shapes: Shapes, tmp_path):
    inputs = [str(shapes.root / split / "000000.png") for split in ("train", "val")]
    demo.main(["--config-file", RETINANET, "--input", *inputs, "--output", str(tmp_path), "--opts", *shapes.options])
    assert len(sizes(tmp_path)) == 2


@pytest.mark.parametrize("what", ["absent.png", "empty"])
def test_no_pictures(shapes: Shapes, tmp_path, what):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=what):
        demo.main(
            ["--config-file", RETINANET, "--input", str(tmp_path / what), "--output", str(tmp_path / "out")]
            + ["--opts", *shapes.options]
        )


def test_video(shapes: Shapes, tmp_path):
    cv2 = pytest.importorskip("cv2", reason="OpenCV, which reads and writes videos, is not installed")
    source, target = tmp_path / "in.mp4", tmp_path / "sub" / "out.mp4"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*"mp4v"), 5.0, (96, 64))
    for name in ("000000.png", "000001.png"):
        writer.write(cv2.imread(str(shapes.root / "val" / name)))
    writer.release()
    demo.main(
        ["--config-file", RETINANET, "--video-input", str(source), "--output", str(target), "--opts", *shapes.options]
    )
    capture = cv2.VideoCapture(str(target))
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FRAME_WIDTH)) == (2, 96)


@pytest.mark.skipif(importlib.util.find_spec("cv2") is not None, reason="OpenCV is installed")
def test_video_without_opencv(shapes: Shapes, tmp_path):
    with pytest.raises(SystemExit, match="pip install opencv-python-headless"):
        demo.main(
            ["--config-file", RETINANET, "--video-input", "a.mp4", "--output", str(tmp_path / "b.mp4")]
            + ["--opts", *shapes.options]
        )


def test_as_a_command_with_the_checkout_on_the_path(shapes: Shapes, tmp_path):
    command = [sys.executable, str(REPO / "tools" / "demo.py"), "--config-file", RETINANET]
    command += ["--input", str(shapes.root / "val" / "000001.png"), "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--opts", *shapes.options],
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "instances in" in done.stdout + done.stderr
    assert sizes(tmp_path / "out") == {"000001.png": (96, 64)}
