"""The framework's tools on configs of the project."""

import re
from pathlib import Path

import numpy as np
import pytest
from detectron2.projects.yolo.network import build_network
from PIL import Image

from tests.tools.conftest import fresh_console_log  # noqa: F401  (a fixture that applies by itself)
from tools import analyze_model, demo

CONFIG = str(Path(__file__).resolve().parents[3] / "projects" / "YOLO" / "configs" / "yolox_nano.yaml")
OPTIONS = ["MODEL.DEVICE", "cpu", "INPUT.MIN_SIZE_TEST", "64", "INPUT.MAX_SIZE_TEST", "64", "DATASETS.TEST", "()"]
OPTIONS += ["MODEL.YOLO.SCORE_THRESH_TEST", "0.0", "TEST.DETECTIONS_PER_IMAGE", "5"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(2):
        pixels = np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def demo_pixels(source: list[str], folder: Path, threshold: float) -> dict[str, np.ndarray]:
    arguments = ["--config-file", CONFIG, "--input", *source, "--output", str(folder)]
    demo.main([*arguments, "--confidence-threshold", str(threshold), "--opts", *OPTIONS])
    return {file.name: np.asarray(Image.open(file).convert("RGB")).astype(int) for file in sorted(folder.iterdir())}


def test_demo_draws_on_a_folder_what_is_above_the_threshold(pictures: Path, tmp_path: Path) -> None:
    drawn = demo_pixels([str(pictures)], tmp_path / "all", 0.0)
    bare = demo_pixels([str(pictures / "0.png"), str(pictures / "1.png")], tmp_path / "none", 1.0)
    assert list(drawn) == list(bare) == ["0.png", "1.png"]
    for name, image in bare.items():
        original = np.asarray(Image.open(pictures / name)).astype(int)
        assert np.abs(image - original).max() <= 2
        assert np.abs(drawn[name] - original).max() > 50


def test_demo_draws_on_a_video(pictures: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV, which reads and writes videos, is not installed")
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*"mp4v"), 5.0, (64, 48))
    for file in sorted(pictures.iterdir()):
        writer.write(cv2.imread(str(file)))
    writer.release()
    demo.main(["--config-file", CONFIG, "--video-input", str(source), "--output", str(target), "--opts", *OPTIONS])
    assert cv2.VideoCapture(str(target)).get(cv2.CAP_PROP_FRAME_COUNT) == 2


def test_analyze_model_counts(capsys: pytest.CaptureFixture) -> None:
    analyze_model.main(["--config-file", CONFIG, "--tasks", "flop", "parameter", "--size", "64", "64", *OPTIONS])
    said = capsys.readouterr().out
    count = sum(parameter.numel() for parameter in build_network("yolox", "nano", 80).parameters())
    rows = dict(re.findall(r"\| (\S*)\s+\| ([\d.]+[MK]?)\s+\|", said))
    total = rows["network"]
    assert float(total[:-1]) * {"K": 1e3, "M": 1e6}[total[-1]] == pytest.approx(
        count, rel=0.02
    )  # printed with few digits
    assert "network.layers.0" in said and "network.head" in said
    # Published: 1.08 GFLOPs at 416 with two a multiplication, here one; they grow with the number of pixels.
    average = float(re.search(r"GFlops: average ([\d.]+)", said)[1])
    assert average == pytest.approx(1.08 / 2 * (64 / 416) ** 2, abs=0.006)
