"""Check by hand that one build of the native operators serves several releases of PyTorch.

Usage: ``python dev/check_stable_abi.py [--torch 2.13.0 2.11.0] [--work DIR]``. Builds the CPU library with the torch of
this interpreter, runs it there, then loads and runs the same file under each other torch, installed alone into a folder
of its own, and compares the results bit by bit. A torch wheel with CUDA borrows this environment's CUDA libraries,
so that its gigabytes of dependencies are not fetched again. Results belong into docs/results.md.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Runs alone under a foreign torch: library, register file, where to save or None, what to compare with or None.
PROBE = """
import importlib.util, sys, torch
library, register_file, reference, role = sys.argv[1:]
torch.ops.load_library(library)
spec = importlib.util.spec_from_file_location("native_roi_align", register_file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.register()
torch.manual_seed(0)
torch.set_num_threads(1)
at = torch.arange(2 * 19 * 24 * 32, dtype=torch.float64)
boxes = torch.tensor([[i % 2, i - 3.0, 2.0 * i, 5 * i + 9.5, 3 * i + 30.25] for i in range(12)])
results = []
for dtype in (torch.float32, torch.float64, torch.bfloat16):
    features = (at.sin() * 8).round().div(8).view(2, 19, 24, 32).to(dtype).requires_grad_()
    output = torch.ops.detectron2.roi_align_forward(features, boxes, 0.5, 7, 5, 0, True)
    (output * 0.25).sum().backward()
    results += [output.detach(), features.grad]
try:
    torch.ops.detectron2.roi_align_forward(features, boxes[:, :4], 0.5, 7, 5, 0, True)
    raise SystemExit("no error for boxes of a wrong shape")
except RuntimeError as error:
    assert "(K, 5)" in str(error), error
if role == "save":
    torch.save(results, reference)
    print(f"torch {torch.__version__}: built, loads, runs")
else:
    expected = torch.load(reference, weights_only=True)
    equal = all(torch.equal(a, b) for a, b in zip(results, expected))
    print(f"torch {torch.__version__}: loads, runs, " + ("same bits" if equal else "OTHER BITS"))
    sys.exit(not equal)
"""


def build(folder: Path) -> Path:
    """The CPU library, built with this interpreter's torch."""
    command = [sys.executable, "setup.py", "--quiet", "build_ext", f"--build-lib={folder}", f"--build-temp={folder}"]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "DETECTRON2_NATIVE": "1"})
    return folder / "detectron2" / "_native_cpu.so"


def probe(arguments: list[str], packages: Path | None) -> int:
    """Run the probe, with the torch in ``packages`` where given. Returns its exit status."""
    environment = dict(os.environ)
    if packages is not None:
        own = Path(sysconfig.get_path("purelib"))
        cuda = [str(path) for root in (packages, own) for path in sorted(root.glob("nvidia/**/lib"))]
        environment["PYTHONPATH"] = str(packages)
        environment["LD_LIBRARY_PATH"] = os.pathsep.join([*cuda, environment.get("LD_LIBRARY_PATH", "")])
    return subprocess.run([sys.executable, "-c", PROBE, *arguments], env=environment).returncode


def install(version: str, folder: Path) -> Path:
    """torch of that version without its dependencies, which this environment holds but for curand."""
    packages = folder / f"torch-{version}"
    if not packages.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
        subprocess.run([*command, f"torch=={version}", "nvidia-curand"], check=True)
    return packages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", nargs="*", default=["2.13.0", "2.11.0"], help="releases to try")
    parser.add_argument("--work", type=Path, default=Path("/tmp/detectron2_stable_abi"), help="scratch folder")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    library = build(args.work)
    common = [
        str(library),
        str(ROOT / "detectron2" / "layers" / "native_roi_align.py"),
        str(args.work / "reference.pt"),
    ]
    failures = probe([*common, "save"], None)
    for version in args.torch:
        failures += probe([*common, "compare"], install(version, args.work))
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
