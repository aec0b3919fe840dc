"""Build of the package; metadata stands in pyproject.toml.

``pip install .`` makes a pure-Python wheel: it needs no compiler and no torch. The native operators are asked for:

* ``DETECTRON2_NATIVE=1 pip install --no-build-isolation .`` or ``python setup.py build_ext --inplace`` build the CPU
  library against the torch that is installed (it then loads with every torch from 2.11 on);
* ``DETECTRON2_NATIVE=cuda`` builds the CUDA library too, with the nvcc of ``CUDA_HOME`` or of the path, for the
  architectures in ``TORCH_CUDA_ARCH_LIST`` ("9.0;10.0") or for all major ones.

The libraries hold no Python symbols and are loaded by ``torch.ops.load_library``.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
CSRC = Path("detectron2", "layers", "csrc")
QUANTIZATION_CSRC = Path("third_party", "quantization", "functional", "csrc")
YOLO = Path("projects", "YOLO", "yolo")  # the package detectron2.projects.yolo
NMS_CSRC = YOLO / "nms" / "csrc"
CONFIGS = Path("detectron2", "model_zoo", "configs")
STABLE_ABI = "TORCH_TARGET_VERSION", "0x020b000000000000"  # the oldest torch that the libraries load with: 2.11
# Baseline instructions, no fast-math, no contraction to fused multiply-add: the same bits on every machine.
HOST_FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-g0"]


def requested_libraries() -> list[str]:
    """Names of the native libraries to build, with their packages."""
    choice = os.environ.get("DETECTRON2_NATIVE", "1" if "build_ext" in sys.argv else "0")
    packages = ["detectron2", "detectron2.projects.yolo.nms"]
    cpu = [f"{package}._native_cpu" for package in (*packages, "third_party.quantization")]
    libraries = {"0": [], "1": cpu, "cuda": [*cpu, *(f"{package}._native_cuda" for package in packages)]}
    if choice not in libraries:
        raise SystemExit(f"DETECTRON2_NATIVE={choice}: allowed are {', '.join(libraries)}")
    return libraries[choice]


def native_extensions() -> list[Extension]:
    sources = {
        "detectron2._native_cpu": [CSRC / "library_cpu.cpp", CSRC / "roi_align" / "roi_align_cpu.cpp"],
        "detectron2._native_cuda": [CSRC / "roi_align" / "roi_align_cuda.cu"],
        "detectron2.projects.yolo.nms._native_cpu": sorted(NMS_CSRC.glob("*.cpp")),
        "detectron2.projects.yolo.nms._native_cuda": sorted(NMS_CSRC.glob("*.cu")),
        "third_party.quantization._native_cpu": sorted(QUANTIZATION_CSRC.glob("*.cpp")),
    }
    headers = [str(path) for root in (CSRC, NMS_CSRC, QUANTIZATION_CSRC) for path in sorted(root.rglob("*.*h"))]
    return [
        Extension(name, [str(path) for path in sources[name]], depends=headers, define_macros=[STABLE_ABI])
        for name in requested_libraries()
    ]


class BuildNative(build_ext):
    """Plain shared libraries against torch's stable ABI."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"  # no Python tag: nothing of Python is in them

    def build_extension(self, ext: Extension) -> None:
        try:
            import torch
        except ImportError as error:
            raise SystemExit(
                "The native operators are built against the installed torch: install torch first and use "
                "`pip install --no-build-isolation`, or leave DETECTRON2_NATIVE unset for the pure-Python package."
            ) from error
        torch_root = Path(torch.__file__).parent
        ext.include_dirs = [str(torch_root / "include")]
        ext.library_dirs = [str(torch_root / "lib")]
        if ext.name.endswith("cuda"):
            self._compile_cuda(ext)
        else:
            ext.extra_compile_args = HOST_FLAGS
            ext.libraries = ["torch_cpu", "c10"]
        super().build_extension(ext)

    def _compile_cuda(self, ext: Extension) -> None:
        """Compile the .cu sources by nvcc and leave the objects for the linker."""
        home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
        nvcc = shutil.which("nvcc", path=os.pathsep.join([str(Path(home, "bin")), os.environ.get("PATH", "")]))
        if nvcc is None:
            raise SystemExit(f"DETECTRON2_NATIVE=cuda: no nvcc under CUDA_HOME={home} nor on the path")
        flags = ["-std=c++17", "-O3", "-Xcompiler=-fPIC,-fvisibility=hidden", *cuda_architectures()]
        for source in ext.sources:
            target = Path(self.build_temp, source).with_suffix(".o")
            target.parent.mkdir(parents=True, exist_ok=True)
            includes = [f"-I{path}" for path in ext.include_dirs]
            macros = [f"-D{name}={value}" for name, value in ext.define_macros]
            self.spawn([nvcc, *flags, *includes, *macros, "-c", source, "-o", str(target)])
            ext.extra_objects.append(str(target))
        ext.sources = []
        # libtorch brings libtorch_cuda into the scope of symbols, whatever names the linker thinks are needed
        ext.extra_link_args = ["-Wl,--no-as-needed"]
        ext.libraries = ["torch", "torch_cpu", "c10", "cudart_static", "dl", "rt", "pthread"]
        ext.library_dirs += [str(path) for path in (Path(home, "lib64"), Path(home, "lib")) if path.is_dir()]


def cuda_architectures() -> list[str]:
    listed = os.environ.get("TORCH_CUDA_ARCH_LIST", "").replace(";", " ").split()
    if not listed:
        return ["-arch=all-major"]
    numbers = [name.removesuffix("+PTX").replace(".", "") for name in listed]
    return [f"-gencode=arch=compute_{number},code=sm_{number}" for number in numbers]


class BuildPython(build_py):
    """Put the configs of the checkout into the package, where ``model_zoo`` finds them."""

    def _configs(self) -> dict[str, str]:
        if self.editable_mode:  # model_zoo then reads them from the checkout
            return {}
        target = Path(self.build_lib, CONFIGS)
        sources = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml"))
        return {str(target / Path(*path.parts[1:])): str(path) for path in sources}

    def run(self) -> None:
        super().run()
        for target, source in self._configs().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *self._configs()]

    def get_output_mapping(self) -> dict[str, str]:
        return {**super().get_output_mapping(), **self._configs()}


class PlatformWheel(bdist_wheel):
    """With native libraries the wheel belongs to a platform, but to every Python."""

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        return "py3", "none", platform


def all_packages() -> list[str]:
    """Packages of the checkout, and those of projects under the names they are imported by."""
    packages = find_packages(str(ROOT), include=["detectron2", "detectron2.*", "third_party", "third_party.*"])
    project = "detectron2.projects.yolo"
    return [*packages, project, *(f"{project}.{name}" for name in find_packages(str(ROOT / YOLO)))]


setup(
    packages=all_packages(),
    package_dir={"detectron2.projects.yolo": str(YOLO)},
    ext_modules=native_extensions(),
    cmdclass={"build_ext": BuildNative, "build_py": BuildPython, "bdist_wheel": PlatformWheel},
)
