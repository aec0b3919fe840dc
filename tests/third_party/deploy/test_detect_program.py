"""The C++ program of tools/deploy, built against ONNX Runtime, prints the detections of the model."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from third_party.deploy import detector_parts
from third_party.quantization.export import to_onnx, trace

from .detectors import detector

pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")

SOURCES = Path(__file__).resolve().parents[3] / "tools" / "deploy"
HEADERS = [os.environ.get("ONNXRUNTIME_INCLUDE", ""), "/usr/include/onnxruntime", "/usr/local/include/onnxruntime"]
HEIGHT, WIDTH = 64, 96


def onnxruntime_root(folder: Path) -> Path:
    """A folder as CMake wants it: the headers found here, and the library of the Python package."""
    headers = next(
        (Path(place) for place in HEADERS if place and (Path(place) / "onnxruntime_cxx_api.h").is_file()), None
    )
    if headers is None:
        pytest.skip("needs ONNX Runtime's C++ headers: name their folder in the environment, ONNXRUNTIME_INCLUDE")
    package = find_spec("onnxruntime")
    library = next(Path(package.origin).parent.glob("capi/libonnxruntime.so.*"), None) if package else None
    if library is None:
        pytest.skip("needs onnxruntime and its shared library")
    (folder / "lib").mkdir(parents=True)
    (folder / "include").symlink_to(headers)
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / "lib" / name).symlink_to(library)
    return folder


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("needs cmake and a C++ compiler")
    folder = tmp_path_factory.mktemp("program")
    root = onnxruntime_root(folder / "onnxruntime")
    build = folder / "build"
    configure = ["cmake", "-S", SOURCES, "-B", build, f"-DONNXRUNTIME_ROOT={root}", "-DCMAKE_CXX_FLAGS=-Werror"]
    for command in (configure, ["cmake", "--build", build]):
        subprocess.run(command, check=True, capture_output=True)
    return build / "detect"


@pytest.mark.parametrize("name", ["yolo_heads", "retinanet", "mask_rcnn"])
@torch.no_grad()
def test_the_program_prints_what_the_model_detects(program, tmp_path, name):
    model = detector(name)
    parts = detector_parts(model)
    traced = trace(parts.form("suppressed"), parts.example("suppressed"), parts.dynamic_shapes("suppressed"))
    names = {"input_names": parts.input_names, "output_names": parts.output_names("suppressed")}
    to_onnx(traced, tmp_path / "model.onnx", **names)
    image = torch.randint(0, 256, (3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    pixels = image.flip(0).permute(1, 2, 0).contiguous().numpy().tobytes()
    (tmp_path / "picture.ppm").write_bytes(f"P6\n{WIDTH} {HEIGHT}\n255\n".encode() + pixels)

    command = [program, tmp_path / "model.onnx", tmp_path / "picture.ppm", "--size", str(HEIGHT), str(WIDTH)]
    done = subprocess.run([*command, "--threshold", "0"], check=True, capture_output=True, text=True)
    found = torch.tensor([[float(word) for word in line.split()] for line in done.stdout.splitlines()])
    wanted = model([{"image": image, "height": HEIGHT, "width": WIDTH}])[0]["instances"]
    assert len(wanted) == len(found) > 0
    assert torch.equal(found[:, 0].long(), wanted.pred_classes)
    torch.testing.assert_close(found[:, 1], wanted.scores, rtol=0, atol=1e-4)
    torch.testing.assert_close(found[:, 2:], wanted.pred_boxes.tensor, rtol=0, atol=0.06)


def test_a_file_without_suppression_is_refused(program, tmp_path):
    model = detector("retinanet")
    parts = detector_parts(model)
    traced = trace(parts.form("detector"), parts.example("detector"), parts.dynamic_shapes("detector"))
    to_onnx(traced, tmp_path / "raw.onnx", input_names=parts.input_names, output_names=parts.output_names("detector"))
    (tmp_path / "picture.ppm").write_bytes(b"P6\n1 1\n255\nabc")
    done = subprocess.run([program, tmp_path / "raw.onnx", tmp_path / "picture.ppm"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "export the form with suppression" in done.stderr
