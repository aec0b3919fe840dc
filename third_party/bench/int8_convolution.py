"""Convolution, requantization and SiLU of 8-bit codes in one kernel, against the same in float by cuDNN, on a GPU.

Layers are those of YOLOv8n on images of 640 x 640 with the most multiplications, and its first one, for batches of 1
and 16. The peers convolve, add a bias and apply SiLU, channels last. Calls are replayed as a CUDA graph, so that what
Python takes to launch them does not count. Before it is timed, each layer is compared bit for bit with the plain steps.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.projects.yolo.network import build_network
from torch import Tensor, nn

from third_party.quantization.integer import CodeGrid, gpu
from third_party.quantization.integer.arithmetic import IntegerArithmetic, Window
from third_party.quantization.integer.operations import Convolution, LookUp, Operation, Rescale
from third_party.quantization.integer.packing import PackedCodes
from third_party.quantization.integer.placement import placed

from .timing import Row

CLOCK = "median GPU ms"
DEVICE = torch.device("cuda")
BATCHES = (1, 16)
PEERS = (torch.float16, torch.float32)
IMAGE, LAYERS = 640, 12
ZERO_POINT, CODES = 12, CodeGrid(0.05, (128,), 0, 255)


@dataclass(frozen=True)
class Layer:
    """A convolution.

    Attributes:
        channels, height, width: of its input.
        outputs: channels.
        kernel, stride, padding: in pixels, square.
    """

    channels: int
    height: int
    width: int
    outputs: int
    kernel: int
    stride: int
    padding: int

    def __str__(self) -> str:
        size = f"{self.channels} x {self.height} x {self.width}"
        return f"{size} to {self.outputs}, {self.kernel}x{self.kernel}, stride {self.stride}"


def problem() -> str:
    """Why nothing can be timed here; "" where it can."""
    return gpu.problem() if torch.cuda.is_available() else "needs a GPU"


def layers() -> list[Layer]:
    """The first layer of YOLOv8n, and those with the most multiplications in an image, which may be several alike."""
    products: Counter[Layer] = Counter()

    def count(module: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        settings = (module.out_channels, module.kernel_size[0], module.stride[0], module.padding[0])
        products[Layer(*inputs[0].shape[1:], *settings)] += output.numel() * module.weight[0].numel()

    with torch.device("meta"), torch.no_grad():
        network = build_network("yolov8", "n", 80).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(count)
        network(torch.empty(1, 3, IMAGE, IMAGE))
    first = next(iter(products))
    return [first, *(layer for layer, _ in products.most_common(LAYERS) if layer != first)]


def steps(layer: Layer) -> list[Operation]:
    """A layer with random weights, its requantization to 8 bits, and the table of SiLU."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(-127, 128, (layer.outputs, layer.channels, layer.kernel, layer.kernel), generator=generator)
    window = Window((layer.stride,) * 2, (layer.padding,) * 4)
    convolution = Convolution(
        inputs=("x",),
        output="sums",
        weight=PackedCodes.pack(weight),
        weight_zero_point=None,
        zero_point=(ZERO_POINT,),
        window=window,
    )
    # sums have a deviation of about 74 * 140 * sqrt(terms); levels then one of about 40
    shift = torch.full((layer.outputs,), 36, dtype=torch.int8)
    ratio = 40 / (74 * 140 * weight[0].numel() ** 0.5) * (0.5 + torch.rand(layer.outputs, generator=generator))
    rescale = Rescale(
        inputs=("sums",),
        output="levels",
        c=(ratio * 2**36).round().int()[None],
        d=shift,
        b=torch.full((layer.outputs,), CODES.zero_point[0] << 36),
        axis=1,
        grid=CODES,
        low=0,
        high=255,
    )
    silu = CodeGrid(0.025, (11,), 0, 255)
    table = silu.codes(F.silu(CODES.values(CODES.all_codes()))).to(torch.uint8)
    return [convolution, rescale, LookUp(inputs=("levels",), output="y", table=table, first=0, stride=1)]


def rows(repeat: int) -> list[Row]:
    """All comparisons, a row for each layer, batch and peer; ``repeat`` milliseconds of calls are a replay."""
    found = []
    for batch in BATCHES:
        for layer in layers():
            ours = _seconds(_integers(layer, batch), repeat)
            for dtype in PEERS:
                peer = _seconds(_floats(layer, batch, dtype), repeat)
                name = str(dtype).removeprefix("torch.")
                found.append(Row(f"int8, {batch} of {layer}", ours, f"cuDNN {name}", peer))
    return found


def _integers(layer: Layer, batch: int) -> Callable[[], object]:
    from third_party.quantization.integer.gpu.plan import plan

    codes = torch.randint(0, 256, (batch, layer.channels, layer.height, layer.width), device=DEVICE).to(torch.uint8)
    codes, arithmetic = codes.contiguous(memory_format=torch.channels_last), IntegerArithmetic(DEVICE)
    parts = placed(steps(layer), DEVICE)
    (kernel,) = plan(parts, {"y"})
    expected = codes[:1]
    for part in parts:
        expected = part.run(arithmetic, [expected], {})
    if not torch.equal(kernel.run(arithmetic, [codes], {})[:1], expected):
        raise RuntimeError(f"the kernel's codes are not those of the plain steps: {layer}")
    return lambda: kernel.run(arithmetic, [codes], {})


def _floats(layer: Layer, batch: int, dtype: torch.dtype) -> Callable[[], object]:
    x = torch.randn(batch, layer.channels, layer.height, layer.width, dtype=dtype, device=DEVICE)
    convolution = nn.Conv2d(layer.channels, layer.outputs, layer.kernel, layer.stride, layer.padding)
    convolution = convolution.to(DEVICE, dtype, memory_format=torch.channels_last).requires_grad_(False)
    x = x.contiguous(memory_format=torch.channels_last)

    def call() -> Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            return F.silu(convolution(x), inplace=True)

    return call


def _seconds(call: Callable[[], object], repeat: int) -> float:
    """GPU time of a call, the median of ten replays of a graph that holds ``repeat`` milliseconds of calls."""
    from triton.testing import do_bench_cudagraph

    return do_bench_cudagraph(call, rep=repeat, return_mode="median") / 1e3
