"""Weighted layers with what follows them: as the GPU's kernels compute them, and in the plain steps on the CPU.

As a program, in Triton's interpreter: every case, and a model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tests.third_party.quantization.integer.models import pictures, settings, traced
from third_party.quantization.integer import CodeGrid, IntegerProgram, compile_program
from third_party.quantization.integer.arithmetic import IntegerArithmetic, Window
from third_party.quantization.integer.gpu.operation import KernelOperation
from third_party.quantization.integer.gpu.plan import plan
from third_party.quantization.integer.operations import Convolution, Linear, LookUp, Operation, Rescale
from third_party.quantization.integer.packing import PackedCodes
from third_party.quantization.integer.placement import placed


@dataclass(frozen=True)
class Case:
    """One layer.

    Attributes:
        codes: type of the input.
        zero: its zero-point, or one a channel.
        size: of the input, (N, C, H, W).
        outputs: channels.
        kernel: rows and columns.
        window: of the convolution; None: a linear layer.
        grid: of the levels; None: the sums are the result.
        table: a look-up follows.
        weights: lowest and highest.
        kernels: a kernel takes it.
    """

    codes: torch.dtype
    zero: tuple[int, ...]
    size: tuple[int, ...]
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    window: Window | None = Window()
    grid: CodeGrid | None = CodeGrid(0.1, (128,), 0, 255)
    table: bool = False
    weights: tuple[int, int] = (-128, 127)
    kernels: bool = True


SAME = (1, 1, 1, 1)
SIGNED = CodeGrid(0.1, (3,), -128, 127)
HALVES = CodeGrid(0.1, (0,), -8, 7, half=True)
WIDE = CodeGrid(0.1, (5,), -(2**15), 2**15 - 1)
CASES = {
    "1x1": Case(torch.uint8, (37,), (2, 40, 6, 7), 20),
    "1x1, stride 2": Case(torch.int8, (-5,), (1, 33, 7, 8), 17, window=Window(stride=(2, 2)), grid=SIGNED),
    "3x3": Case(torch.uint8, (255,), (1, 64, 7, 5), 16, (3, 3), Window(padding=SAME), SIGNED),
    "3x3, stride 2, images": Case(torch.uint8, (0,), (2, 35, 9, 8), 9, (3, 3), Window((2, 2), SAME), table=True),
    "stem": Case(torch.uint8, (103, 116, 123), (2, 3, 12, 12), 16, (3, 3), Window((2, 2), SAME), WIDE, True),
    "few channels, sums": Case(torch.int8, (-128,), (1, 5, 6, 9), 7, (3, 2), Window(padding=(0, 1, 2, 0)), None),
    "dilated": Case(torch.int8, (127,), (1, 32, 8, 9), 5, (3, 3), Window((2, 3), (2, 1, 0, 2), (2, 1)), HALVES, True),
    "groups": Case(torch.uint8, (9,), (2, 6, 5, 6), 10, (3, 3), Window(padding=SAME, groups=2), SIGNED, True),
    "groups, many channels": Case(torch.int8, (1, 2, 3, -4) * 19, (1, 76, 5, 5), 34, (1, 1), Window(groups=2)),
    "depthwise": Case(torch.uint8, (200,), (2, 19, 6, 7), 19, (3, 3), Window((2, 2), SAME, groups=19), SIGNED, True),
    "depthwise, copies": Case(torch.int8, (-7,), (1, 5, 6, 5), 15, (3, 3), Window(padding=SAME, groups=5), HALVES),
    "depthwise, 16 bits": Case(torch.int16, (300,), (1, 4, 6, 5), 4, (3, 3), Window(padding=SAME, groups=4), None),
    "linear": Case(torch.uint8, (128,), (2, 3, 50), 7, window=None, table=True),
    "linear, sums": Case(torch.int8, (0,), (5, 16), 33, window=None, grid=None),
    "2 bits": Case(torch.uint8, (1,), (1, 32, 5, 5), 6, (3, 3), Window(padding=SAME), HALVES, weights=(-2, 1)),
    "no images": Case(torch.uint8, (1,), (0, 8, 5, 5), 6, (3, 3), Window(padding=SAME)),
    "16 bits": Case(torch.int16, (5,), (1, 8, 5, 5), 6, (3, 3), Window(padding=SAME), kernels=False),
    "weights beyond int8": Case(torch.int8, (0,), (1, 8, 5, 5), 6, grid=SIGNED, weights=(-200, 200), kernels=False),
    "zero beyond int8": Case(torch.uint8, (-3,), (1, 8, 5, 5), 6, (3, 3), Window(padding=SAME), kernels=False),
    "transposed": Case(torch.uint8, (7,), (1, 4, 5, 5), 4, (2, 2), Window((2, 2), transposed=True), kernels=False),
}


def operations(case: Case, generator: torch.Generator) -> list[Operation]:
    """The layer, and what follows it with multipliers that bring its sums on the grid."""

    def numbers(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high + 1, shape, generator=generator)

    window = case.window
    layer_fields = {"inputs": ("x",), "output": "sums", "weight_zero_point": None, "zero_point": case.zero}
    inputs = (case.size[-1],) if window is None else (case.size[1] // window.groups, *case.kernel)
    weight = numbers(*case.weights, case.outputs, *inputs)
    weight[0] = weight[-1] = 0
    weight[0].view(-1)[-1] = weight[-1].view(-1)[0] = 1
    codes = PackedCodes.pack(weight)
    if window is None:
        found: list[Operation] = [Linear(weight=codes, **layer_fields)]
    else:
        found = [Convolution(weight=codes, window=window, **layer_fields)]
    grid, axis = case.grid, 1 if window else len(case.size) - 1
    if grid is not None:
        terms = codes.unpack()[0].numel()
        d = numbers(30, 40, case.outputs)
        d[0], d[-1] = 0, 1  # of small sums: left as they are, and halves
        spread = (grid.high - grid.low) / (74 * 74 * terms**0.5)
        c = (
            torch.ldexp(spread * (0.5 + torch.rand(case.outputs, generator=generator)), d)
            .round()
            .clamp(-(2**24), 2**24)
        )
        b = torch.ldexp(numbers(grid.low, grid.high, case.outputs).double(), d)
        c[0], c[-1] = -1, 1
        found.append(
            Rescale(
                inputs=("sums",), output="levels", c=c.int()[None], d=d.to(torch.int8), b=b.long(), axis=axis,
                grid=grid, low=grid.low + 1, high=grid.high,
            )
        )  # fmt: skip
    if case.table:
        assert grid is not None
        table = numbers(-128, 127, grid.high - grid.low + 1).to(torch.int8)
        found.append(LookUp(inputs=("levels",), output="y", table=table, first=grid.first, stride=grid.stride))
    return found


def results(name: str, device: str) -> tuple[Tensor, Tensor, KernelOperation]:
    """What a kernel on a device and the plain steps on the CPU make of a case, and the kernel's operation."""
    case, generator = CASES[name], torch.Generator().manual_seed(list(CASES).index(name))
    limits = torch.iinfo(case.codes)
    low, high = max(limits.min, -999), min(limits.max, 999)
    codes = torch.randint(low, high + 1, case.size, generator=generator).to(case.codes)
    steps = operations(case, generator)
    expected = codes
    for step in steps:
        expected = step.run(IntegerArithmetic(), [expected], {})
    (planned,) = plan(placed(steps, torch.device(device)), {steps[-1].output})
    assert isinstance(planned, KernelOperation) and len(planned.parts) == len(steps)
    found = planned.run(IntegerArithmetic(torch.device(device)), [codes.to(device)], {})
    return found.cpu(), expected, planned


def check(name: str, device: str) -> None:
    """Assert that a case's results are the same."""
    found, expected, planned = results(name, device)
    assert found.dtype == expected.dtype and torch.equal(found, expected), name
    assert not expected.numel() or len(expected.unique()) > 3, name
    assert (planned._kernel(CASES[name].codes) is not None) == CASES[name].kernels, name


class Model(nn.Module):
    """Convolutions, a depthwise one among them, a skip connection, SiLU and ReLU, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.act = nn.SiLU()
        self.depthwise = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.relu = nn.ReLU()
        self.mix = nn.Conv2d(8, 12, 1)
        self.up = nn.Upsample(scale_factor=2.0)
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.act(self.stem(x / 255))
        x = self.pool(self.relu(self.depthwise(x)))
        x = self.mix(self.up(x))
        return x, self.head(x.permute(0, 2, 3, 1))


def model_program() -> tuple[IntegerProgram, Tensor]:
    """A program of the model, and pictures for it."""
    torch.manual_seed(0)
    nonlinear = {"METHOD": "minmax", "BITS": 8, "SYMMETRIC": False, "ENABLED": True}
    program = traced(Model(), settings(NONLINEAR=nonlinear), (pictures(2, 16, 24),), (pictures(2, 16, 24, seed=1),))
    return compile_program(program), pictures(2, 16, 24, seed=2)


def check_model(device: str, backend: str) -> None:
    """Assert that a program gives the same codes and outputs with kernels, with all taps and with none."""
    program, x = model_program()
    for taps in ((), tuple(program.quantized)):
        expected, found = program.execute([x], taps=taps), program.execute([x.to(device)], backend, taps)
        for name in taps:
            assert torch.equal(found.taps[name].cpu(), expected.taps[name]), name
        for a, b in zip(found.outputs, expected.outputs, strict=True):
            assert torch.equal(a.cpu(), b)


if __name__ == "__main__":
    for case_name in CASES:
        check(case_name, "cpu")
    check_model("cpu", "triton")
    print("done")
