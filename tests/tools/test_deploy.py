"""The C++ program's way from a picture to a tensor, compiled and compared with NumPy."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

SOURCES = Path(__file__).resolve().parents[2] / "tools" / "deploy"
COMPILER = shutil.which("g++") or shutil.which("c++")

MAIN = r"""
#include <cstdio>
#include <cstdlib>
#include <exception>
#include "image.h"
int main(int, char** argv) try {
  Preparation wanted;
  wanted.height = std::atoi(argv[2]);
  wanted.width = std::atoi(argv[3]);
  wanted.padding = {1, 2, 3};
  const Input input = prepare(read_image(argv[1]), wanted);
  std::printf("%d %d %g %g", int(input.shape[2]), int(input.shape[3]), input.size[0], input.size[1]);
  for (float value : input.pixels) std::printf(" %g", value);
} catch (const std::exception& error) { std::puts(error.what()); return 1; }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("needs a C++ compiler")
    folder = tmp_path_factory.mktemp("deploy")
    (folder / "main.cpp").write_text(MAIN)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{SOURCES}"]
    subprocess.run(
        [COMPILER, *flags, str(SOURCES / "image.cpp"), str(folder / "main.cpp"), "-o", str(folder / "prepare")],
        check=True,
    )
    return folder / "prepare"


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear with pixel centres, one axis after the other."""
    for axis, size in ((0, height), (1, width)):
        old = image.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
        image = image.take(low, axis) * (1 - share) + image.take(np.minimum(low + 1, old - 1), axis) * share
    return image


@pytest.mark.parametrize(("height", "width"), [(64, 96), (40, 200), (17, 23)])
def test_a_picture_becomes_a_padded_tensor(program, tmp_path, height, width):
    image = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    (tmp_path / "a.ppm").write_bytes(b"P6\n# made up\n23 17\n255\n" + image.tobytes())
    done = subprocess.run(
        [program, tmp_path / "a.ppm", str(height), str(width)], capture_output=True, text=True, check=True
    )
    rows, columns, high, wide, *values = (float(word) for word in done.stdout.split())
    scale = min(height / 17, width / 23)
    assert (high, wide) == (round(17 * scale), round(23 * scale))
    assert rows == -(-high // 32) * 32 and columns == -(-wide // 32) * 32
    found = np.array(values).reshape(3, int(rows), int(columns))
    high, wide = int(high), int(wide)
    wanted = resized(image.astype(float), high, wide)[:, :, ::-1].transpose(2, 0, 1)
    assert np.abs(found[:, :high, :wide] - wanted).max() <= 0.501
    for channel, padding in enumerate((1, 2, 3)):
        outside = np.ones((int(rows), int(columns)), bool)
        outside[:high, :wide] = False
        assert (found[channel][outside] == padding).all()


@pytest.mark.parametrize(
    "content", [b"P5\n1 1\n255\n0", b"P6\n2 2\n255\nabc", b"P6\n0 2\n255\n", b"P6\n2 2\n65535\nabcd"]
)
def test_broken_files_are_told(program, tmp_path, content):
    (tmp_path / "b.ppm").write_bytes(content)
    done = subprocess.run([program, tmp_path / "b.ppm", "32", "32"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "b.ppm" in done.stdout
