"""Every family of operators, on tiny models: executors agree bit for bit, and with the float32 model layer by layer."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.third_party.quantization.integer.agreement import compare
from tests.third_party.quantization.integer.models import pictures, settings, traced
from third_party.quantization import convert, prepare, register_converter
from third_party.quantization.export import trace
from third_party.quantization.integer import IntegerLoweringError, IntegerProgram, compile_program
from third_party.quantization.integer.operations import Convolution, Interpolate, LookUp, Rescale
from third_party.quantization.modules import QuantAdd, QuantConcat

NONLINEAR = {"ENABLED": True, "METHOD": "minmax", "BITS": 8, "SYMMETRIC": False}


class Sum(nn.Module):
    def forward(self, a, b):
        return a + b


class Join(nn.Module):
    dim = 1

    def forward(self, tensors):
        return torch.cat(tensors, self.dim)


@pytest.fixture(autouse=True, scope="module")
def converters():
    register_converter(Sum, QuantAdd.from_float, kind="elementwise")
    register_converter(Join, QuantConcat.from_float, kind="elementwise")


class Residual(nn.Module):
    """Two convolutions, a skip connection, ReLU before and behind it, and a concatenation."""

    def __init__(self, **conv):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, **conv), nn.BatchNorm2d(8))
        self.add, self.join, self.relu = Sum(), Join(), nn.ReLU()
        self.last = nn.Conv2d(16, 5, 1)

    def forward(self, x):
        x = self.stem(x / 255)
        y = self.relu(self.add(self.branch(x), x))
        return self.last(self.join([y, x]))


class Chain(nn.Module):
    """Layers between two convolutions."""

    def __init__(self, *layers, channels=8):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.layers = nn.Sequential(*layers)
        self.last = nn.Conv2d(channels, 4, 1)

    def forward(self, x):
        return self.last(self.layers(self.first(x / 255)))


class Head(nn.Module):
    """Pooling by average, flattening and linear layers; chunks and a permutation."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU()
        self.mix, self.narrow = nn.Conv2d(4, 4, 1), nn.Linear(4, 3)
        self.linear, self.scores = nn.Linear(8 * 4 * 6, 16), nn.Linear(16, 4)

    def forward(self, x):
        x = self.relu(self.conv(x / 255))
        left, right = x.chunk(2, 1)
        places = self.narrow(self.mix(left).permute(0, 2, 3, 1))
        hidden = self.relu(self.linear(F.max_pool2d(x, 2).flatten(1)))
        return places, self.scores(hidden), right


MODELS = {
    "residual": (Residual, {}),
    "grouped": (lambda: Residual(groups=2), {}),
    "depthwise": (lambda: Residual(groups=8), {}),
    "per tensor": (Residual, {"WEIGHT": {"METHOD": "minmax", "BITS": 8, "GRANULARITY": "tensor"}}),
    "fixed point norms": (Residual, {"BATCH_NORM": "fixed_point"}),
    "folded norms": (Residual, {"BATCH_NORM": "fold"}),
    "odd codes": (Residual, {"WEIGHT": {"METHOD": "aqd", "BITS": 4, "GRID": "interval"}}),
    "signed activations": (Residual, {"ACTIVATION": {"METHOD": "minmax", "BITS": 8}}),
    "wide activations": (Residual, {"ACTIVATION": {"METHOD": "minmax", "BITS": 16, "SYMMETRIC": False}}),
    "clipped": (lambda: Chain(nn.ReLU6(), nn.MaxPool2d(3, 2, 1), nn.Upsample(scale_factor=2)), {}),
    "transposed": (lambda: Chain(nn.ConvTranspose2d(8, 6, 2, 2), nn.ReLU(), channels=6), {}),
    "head": (Head, {}),
}
FUNCTIONS = {
    "silu": nn.SiLU,
    "leaky relu": lambda: nn.LeakyReLU(0.1),
    "hardswish": nn.Hardswish,
    "mish": nn.Mish,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "written out": lambda: Gate(),
}


class Gate(nn.Module):
    def forward(self, x):
        return x * F.relu6(x + 3) / 6


def _check(program, x=None, share=0.02):
    found = compare(program, (pictures(2, 16, 24, seed=9) if x is None else x,))
    for row in found.local:
        assert row.beyond == 0 and row.different <= share, row
    for ours, expected in zip(found.outputs, found.expected, strict=True):
        assert (ours - expected).abs().max() <= 0.05 * expected.abs().max()
    return found


def _traced(model, *, seed=0, **sections):
    torch.manual_seed(seed)
    return traced(model(), settings(**sections), (pictures(2, 16, 24),), (pictures(2, 16, 24, seed=1),))


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    model, sections = MODELS[name]
    _check(_traced(model, **sections))


@torch.no_grad()
@pytest.mark.parametrize("sections", ({}, {"NONLINEAR": {"METHOD": "minmax", "BITS": 8, "SYMMETRIC": False}}), ids=str)
def test_inputs_divided_by_scales_of_either_sign(sections, tmp_path):
    torch.manual_seed(0)
    depthwise = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.SiLU(), depthwise, nn.SiLU(), nn.Conv2d(8, 4, 1))
    batch, x = (pictures(2, 16, 24, seed=seed) / 25 for seed in (0, 9))
    prepare(model, settings(**sections))
    model[2].set_input_scale(torch.tensor([1.0, -0.5, 0.1, -0.02, 0.3, -1.0, 0.7, 0.2]))
    model.train()
    model(batch)
    convert(model.eval())
    program = trace(model, (batch,))
    _check(program, x)
    compiled = compile_program(program)
    assert any(isinstance(operation, Interpolate) for operation in compiled.operations) is not bool(sections)
    compiled.save(tmp_path / "model.integer")
    again = IntegerProgram.load(tmp_path / "model.integer")
    torch.testing.assert_close(again.execute([x]), compiled.execute([x]), rtol=0, atol=0)


def test_small_ranges_behind_silu():
    def model():
        first = nn.Conv2d(3, 8, 3, 2, 1)
        with torch.no_grad():
            first.weight.mul_(1e-5)
            first.bias.mul_(1e-3)
        return nn.Sequential(first, nn.SiLU(), nn.Conv2d(8, 4, 1))

    program = _traced(model)
    assert any(isinstance(operation, Interpolate) for operation in compile_program(program).operations)
    _check(program, share=0.08)  # the lines are off by up to a tenth of these steps


class Functions(nn.Module):
    """Every function between two convolutions of its own."""

    def __init__(self, names):
        super().__init__()
        self.first = nn.ModuleList(nn.Conv2d(3, 4, 3, 2, 1) for _ in names)
        self.functions = nn.ModuleList(FUNCTIONS[name]() for name in names)
        self.last = nn.ModuleList(nn.Conv2d(4, 2, 1) for _ in names)

    def forward(self, x):
        x = x / 25
        branches = zip(self.first, self.functions, self.last, strict=True)
        return [last(function(first(x))) for first, function, last in branches]


def _tables(found):
    return {operation.output: operation for operation in found.program.operations if isinstance(operation, LookUp)}


def test_functions_of_numbers_are_tables_of_sixteen_bits():
    found = _check(_traced(lambda: Functions(FUNCTIONS)), share=0.06)
    assert [len(operation.table) for operation in _tables(found).values()] == [2**16] * len(FUNCTIONS)


def test_functions_of_codes_are_exact_tables():
    names = [name for name in FUNCTIONS if name != "written out"]
    found = _check(_traced(lambda: Functions(names), NONLINEAR=NONLINEAR))
    tables = _tables(found)
    assert [len(operation.table) for operation in tables.values()] == [256] * len(names)
    of_tables = [row for row in found.local if found.program.quantized[row.name].tensor in tables]
    assert len(of_tables) == len(names) and all(row.different == 0 for row in of_tables)


def test_batch_norm_is_one_multiplier_shift_and_bias_a_channel():
    program = compile_program(_traced(Residual))
    kinds = [type(operation) for operation in program.operations]
    assert kinds.count(Convolution) == 3
    rescales = [operation for operation in program.operations if isinstance(operation, Rescale)]
    by_inputs = {len(operation.inputs): operation for operation in rescales}
    assert by_inputs[1].d.dtype is torch.int8 and by_inputs[2].c.shape == (2, 1)
    assert any(operation.c.shape == (1, 8) for operation in rescales)


def test_no_images_and_other_sizes():
    images = torch.export.Dim("images")
    torch.manual_seed(0)
    batch = pictures(2, 16, 24)
    sizes = {
        0: images,
        2: 8 * torch.export.Dim("rows", min=2, max=50),
        3: 8 * torch.export.Dim("columns", min=2, max=50),
    }
    model = lambda: Chain(nn.ReLU(), nn.MaxPool2d(2), nn.Upsample(scale_factor=2))  # noqa: E731
    program = traced(model(), settings(), (batch,), dynamic_shapes=(sizes,))
    _check(program, pictures(3, 32, 16))
    compiled = compile_program(program)
    for backend in ("integer", "simulation"):
        run = compiled.execute([torch.zeros(0, 3, 16, 24)], backend, compiled.quantized)
        assert run.outputs[0].shape == (0, 4, 8, 12)
    with pytest.raises(ValueError, match="input 'x' is float32 of shape"):
        compiled.execute([torch.zeros(1, 3, 17, 24)])


def test_refusals_name_the_layer_and_the_remedy():
    skipped = {"RULES": [{"NAME": "last", "SKIP": True}]}
    with pytest.raises(IntegerLoweringError, match="layer 'last', conv2d: its weight is not quantized.*WEIGHT"):
        compile_program(_traced(lambda: Chain(nn.ReLU()), **skipped))
    with pytest.raises(IntegerLoweringError, match="softmax in layer 'layers.1' computes in float"):
        compile_program(_traced(lambda: Chain(nn.ReLU(), nn.Softmax(1))))
    with pytest.raises(IntegerLoweringError, match="what add in layer 'add' computes in float.*ELEMENTWISE"):
        compile_program(_traced(Residual, ELEMENTWISE={"ENABLED": False}))


def test_sums_beyond_int32_are_refused():
    wide = {"ACTIVATION": {"METHOD": "minmax", "BITS": 16, "SYMMETRIC": False}}
    model = lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 24, 2))  # noqa: E731
    with pytest.raises(IntegerLoweringError, match="layer '1', linear: sums of its products reach [0-9]+, which int32"):
        compile_program(_traced(model, **wide))
