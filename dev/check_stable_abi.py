"""Check by hand that one build of the native operators serves several releases of PyTorch.

Usage: ``python dev/check_stable_abi.py [--torch 2.13.0 2.11.0] [--work DIR]``. Builds the CPU libraries of
detectron2, of the quantization engine and of the YOLO project with the torch of this interpreter, runs them there, then
loads and runs the same files under each other torch, installed alone into a folder of its own, and compares the results
bit by bit. A torch wheel with CUDA borrows this environment's CUDA libraries, so that its gigabytes of dependencies are
not fetched again. Results belong into docs/results.md.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# A probe runs alone under a foreign torch: library, root of the checkout, file of reference results, "save" or else.
# Each gives a list of tensors; of the Python code it imports little more than what registers the operators' schemas.
HEAD = """
import importlib.util, sys, torch
library, root, reference, role = sys.argv[1:]
torch.manual_seed(0)
torch.set_num_threads(1)
results = []
"""

ROI_ALIGN = """
torch.ops.load_library(library)
spec = importlib.util.spec_from_file_location("native_roi_align", root + "/detectron2/layers/native_roi_align.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.register()
at = torch.arange(2 * 19 * 24 * 32, dtype=torch.float64)
boxes = torch.tensor([[i % 2, i - 3.0, 2.0 * i, 5 * i + 9.5, 3 * i + 30.25] for i in range(12)])
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
"""

SUPPRESSION = """
sys.path.insert(0, root + "/projects/YOLO/yolo")
import nms
torch.ops.load_library(library)
at = torch.arange(2 * 300, dtype=torch.float64)
corner = torch.stack([(at * 7.3) % 41, (at * 3.7) % 43], 1).view(2, 300, 2)
boxes = torch.cat([corner, corner + 9 + (at.view(2, 300, 1) % 5)], 2).float()
scores = torch.stack([((at * step) % 1.0) for step in (0.123, 0.377, 0.711)], 1).view(2, 300, 3).float()
for multi_label in (False, True):
    results += torch.ops.detectron2_yolo.nms_padded(boxes, scores, None, 0.5, 0.1, 200, 50, False, multi_label)
assert results[4].min() > 0, "nothing was kept"
"""

QUANTIZATION = """
sys.path.insert(0, root)
from third_party.quantization.functional import histogram, operators as _
torch.ops.load_library(library)
at = torch.arange(4 * 500, dtype=torch.float64)
operators = torch.ops.third_party_quantization
for dtype in (torch.float32, torch.float64, torch.bfloat16):
    x = (at.sin() * 3).view(4, 500).to(dtype).requires_grad_()
    output = operators.fake_quantize(x, torch.full((4,), 0.0625), torch.full((4,), 7.0), 0, 15, 0, False, 1.0, False)
    output.square().sum().backward()
    results += [output.detach(), x.grad]
counts = torch.zeros(65, dtype=torch.float64)
results += [*operators.add_to_histogram(counts, x.detach().float(), 0.125, 0), counts]
"""

TAIL = """
if role == "save":
    torch.save(results, reference)
    print(f"torch {torch.__version__}: {library} is built, loads, runs")
else:
    expected = torch.load(reference, weights_only=True)
    equal = all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))
    print(f"torch {torch.__version__}: {library} loads, runs, " + ("same bits" if equal else "OTHER BITS"))
    sys.exit(not equal)
"""

# Place of each library among what is built -> what is tried with it.
PROBES = {
    "detectron2/_native_cpu.so": ROI_ALIGN,
    "detectron2/projects/yolo/nms/_native_cpu.so": SUPPRESSION,
    "third_party/quantization/_native_cpu.so": QUANTIZATION,
}


def build(folder: Path) -> None:
    """The CPU libraries, built with this interpreter's torch."""
    command = [sys.executable, "setup.py", "--quiet", "build_ext", f"--build-lib={folder}", f"--build-temp={folder}"]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "DETECTRON2_NATIVE": "1"})


def probe(name: str, folder: Path, role: str, packages: Path | None) -> int:
    """Try one library of ``PROBES``, with the torch in ``packages`` where given. Returns how many failed."""
    environment = {**os.environ, "DETECTRON2_NATIVE": "0", "QUANTIZATION_NATIVE": "0"}  # no library but the built one
    if packages is not None:
        own = Path(sysconfig.get_path("purelib"))
        cuda = [str(path) for root in (packages, own) for path in sorted(root.glob("nvidia/**/lib"))]
        environment["PYTHONPATH"] = str(packages)
        environment["LD_LIBRARY_PATH"] = os.pathsep.join([*cuda, environment.get("LD_LIBRARY_PATH", "")])
    reference = folder / (name.replace("/", "_") + ".pt")
    command = [sys.executable, "-c", HEAD + PROBES[name] + TAIL]
    arguments = [str(folder / name), str(ROOT), str(reference), role]
    return int(subprocess.run(command + arguments, env=environment, cwd=folder).returncode != 0)


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
    build(args.work)
    failures = sum(probe(name, args.work, "save", None) for name in PROBES)
    for version in args.torch:
        packages = install(version, args.work)
        failures += sum(probe(name, args.work, "compare", packages) for name in PROBES)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
