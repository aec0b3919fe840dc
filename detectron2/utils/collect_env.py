"""What a report of a problem needs: versions, devices, and what runs natively, what falls back and why.

``python -m detectron2.utils.collect_env`` prints it. A package with native code of its own tells about it by an entry
point of the group ``detectron2.native``: a function without arguments that gives component -> state.
"""

import importlib
import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import torch

__all__ = ["collect_env_info"]

_PACKAGES = ("torchvision", "numpy", "Pillow", "fvcore", "iopath", "yacs", "pycocotools", "hotcoco") + (
    "tensorboard",
    "cloudpickle",
    "opencv-python",
    "scipy",
    "shapely",
    "onnx",
    "triton",
)

_NATIVE_GROUP = "detectron2.native"  # of entry points


def collect_torch_env() -> str:
    """How PyTorch was built."""
    return torch.__config__.show()


def get_env_module() -> tuple[str, str]:
    """Name and value of the environment variable that names a module to run at start-up."""
    return "DETECTRON2_ENV_MODULE", os.environ.get("DETECTRON2_ENV_MODULE", "<not set>")


def detect_compute_compatibility(CUDA_HOME: str, so_file: str) -> str:
    """GPU architectures that a library has code for, e.g. ``"8.0, 9.0"``.

    Args:
        CUDA_HOME: folder of the CUDA toolkit, for its ``cuobjdump``.
        so_file: the library.

    Returns:
        The architectures; the path itself, with a reason, where they cannot be read.
    """
    program = shutil.which("cuobjdump", path=os.path.join(CUDA_HOME, "bin"))
    if program is None:
        return f"{so_file}; cannot find cuobjdump"
    listing = subprocess.run([program, "--list-elf", so_file], capture_output=True, text=True, check=False)
    found = {int(number) for number in re.findall(r"\.sm_(\d+)", listing.stdout)}
    if not found:
        return f"{so_file}; no GPU code found"
    return ", ".join(f"{number // 10}.{number % 10}" for number in sorted(found))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _package_rows() -> list[tuple[str, str]]:
    try:
        import detectron2

        version = f"{detectron2.__version__} @{Path(detectron2.__file__).parent}"
    except Exception as error:  # a broken installation is what this table is for
        version = f"fails to import: {error}"
    return [
        ("sys.platform", sys.platform),
        ("Python", sys.version.replace("\n", "")),
        ("detectron2", version),
        get_env_module(),
        ("PyTorch", f"{torch.__version__} @{Path(torch.__file__).parent}"),
        ("PyTorch debug build", str(torch.version.debug)),
        *((package, _version(package)) for package in _PACKAGES),
    ]


def _acceleration_rows() -> list[tuple[str, str]]:
    """What is native, what falls back to what, and why."""
    try:
        from detectron2.layers import _native

        rows = [(f"native: {name}", state) for name, state in _native.status().items()]
    except Exception as error:  # a broken installation is what this table is for
        rows = [("native operators", f"cannot be asked: {error}")]
    rows += _guest_rows()
    from detectron2.evaluation import hotcoco_bridge

    try:
        rows.append(("COCO evaluation", f"hotcoco {hotcoco_bridge.load().__version__}"))
    except hotcoco_bridge.Unsupported as reason:
        rows.append(("COCO evaluation", f"pycocotools: {reason}"))
    return rows


def _guest_rows() -> list[tuple[str, str]]:
    """What packages beside detectron2 say of their native code."""
    rows: list[tuple[str, str]] = []
    for entry in importlib.metadata.entry_points(group=_NATIVE_GROUP):
        try:
            rows += [(f"native: {name}", state) for name, state in entry.load()().items()]
        except Exception as error:  # a broken installation is what this table is for
            rows.append((f"native: {entry.name}", f"cannot be asked: {error}"))
    return rows


def _gpu_rows() -> list[tuple[str, str]]:
    if not torch.cuda.is_available():
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        return [("GPU available", f"no; PyTorch is built {built}")]
    from torch.utils.cpp_extension import CUDA_HOME

    rows = [("GPU available", "yes"), ("CUDA of PyTorch", str(torch.version.cuda))]
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        memory = torch.cuda.get_device_properties(index).total_memory / 2**30
        rows.append((f"GPU {index}", f"{torch.cuda.get_device_name(index)} (arch={major}.{minor}, {memory:.0f} GiB)"))
    rows.append(("cuDNN", str(torch.backends.cudnn.version())))
    rows.append(("CUDA_HOME", str(CUDA_HOME)))
    package = Path(__file__).resolve().parents[1]
    for library in sorted(package.glob("_native_cuda*.so")) if CUDA_HOME else ():
        rows.append((f"{library.name} arch flags", detect_compute_compatibility(CUDA_HOME, str(library))))
    return rows


def collect_env_info() -> str:
    """The whole report as text: a table of versions, devices and fallbacks, then PyTorch's build settings."""
    from tabulate import tabulate

    rows = _package_rows() + _acceleration_rows() + _gpu_rows()
    return f"{tabulate(rows)}\n{collect_torch_env()}"


def test_nccl_ops() -> None:
    """See whether the GPUs of this machine can talk to each other: one process a GPU, one barrier."""
    num_gpu = torch.cuda.device_count()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        dist_url = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    print(f"Testing NCCL with {num_gpu} GPUs; if this hangs, NCCL or its connection between the GPUs is broken ...")
    torch.multiprocessing.spawn(_test_nccl_worker, nprocs=num_gpu, args=(num_gpu, dist_url), daemon=False)
    print("NCCL works.")


test_nccl_ops.__test__ = False  # type: ignore[attr-defined]  # not a unit test, whatever its public name says


def _test_nccl_worker(rank: int, num_gpu: int, dist_url: str) -> None:
    torch.cuda.set_device(rank)
    torch.distributed.init_process_group("nccl", init_method=dist_url, rank=rank, world_size=num_gpu)
    torch.distributed.barrier(device_ids=[rank])
    torch.distributed.destroy_process_group()


def main() -> None:
    """Print the report, and try each GPU."""
    print(collect_env_info())
    num_gpu = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(num_gpu):
        try:
            torch.ones(1, device=f"cuda:{index}").add_(1).cpu()
        except RuntimeError as error:
            print(f"cuda:{index} cannot be used: {error}")
    if num_gpu > 1:
        test_nccl_ops()


if __name__ == "__main__":
    main()
