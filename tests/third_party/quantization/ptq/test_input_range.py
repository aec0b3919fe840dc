"""What is known of inputs becomes the range of what reads them, whatever the data."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.third_party.quantization.transform.models import Concat
from third_party.quantization import QuantConfig, prepare, tie_ranges
from third_party.quantization.ptq.calibrate import calibrate, set_ranges
from third_party.quantization.ptq.collect import collect
from third_party.quantization.ptq.input_range import InputRange
from third_party.quantization.ptq.migration import migrate_scales
from third_party.quantization.ptq.observers import OBSERVERS
from third_party.quantization.ptq.pipeline import post_training_quantize
from third_party.quantization.ptq.recipe import PTQRecipe
from third_party.quantization.ptq.recipe_parts import LayerChoice, StepSettings
from third_party.quantization.quantizers.quantizer import Quantizer
from third_party.quantization.spec import MinMaxSpec

MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
LOWS = [(0 - m) / s for m, s in zip(MEAN, STD, strict=True)]
HIGHS = [(255 - m) / s for m, s in zip(MEAN, STD, strict=True)]
BYTES = InputRange(0.0, 255.0, tensors=lambda batch: [sample["image"] for sample in batch])
SPEC = MinMaxSpec(symmetric=False)
CONFIG = QuantConfig(weight=MinMaxSpec(granularity="channel"), activation=SPEC, elementwise=SPEC)
INPUTS = ["slices.input_quantizer", "first.input_quantizer", "beside.input_quantizer"]


class Detector(nn.Module):
    """Pictures of different sizes, normalised and padded; one branch reads 2 x 2 patches, one the pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(-1, 1, 1), persistent=False)
        self.slices = Concat()
        self.first = nn.Conv2d(12, 6, 3, padding=1)
        self.beside = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.last = nn.Conv2d(6, 4, 1)

    def forward(self, batch):
        pictures = [(sample["image"] - self.mean) / self.std for sample in batch]
        x = torch.stack([F.pad(p, (0, 16 - p.shape[2], 0, 12 - p.shape[1])) for p in pictures]).contiguous()
        patches = self.first(self.slices([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]))
        return self.last((patches + self.beside(x)).relu())


def pictures(brightest: int = 255, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    sizes = ((12, 10), (9, 16))
    made = [torch.randint(0, brightest + 1, (3, *size), generator=generator) for size in sizes]
    return [{"image": image.to(torch.uint8), "height": 20} for image in made]


def make(tied: bool = True) -> nn.Module:
    torch.manual_seed(0)
    model = Detector().eval()
    prepare(model, CONFIG)
    if tied:
        tie_ranges(model, lambda: model(pictures()))
    return model


def ends_of(quantizer: Quantizer) -> tuple[float, float]:
    levels = quantizer.grid().levels()
    return float(levels[0]), float(levels[-1])


@pytest.mark.parametrize("tied", [True, False])
def test_bounds_are_those_of_the_normalised_pictures(tied):
    found = collect(make(tied), [pictures(40), pictures(30, 1)], input_range=BYTES)
    bounds = {name: statistics.bounds for name, statistics in found.items()}
    known = [name for name in INPUTS if name in found]
    assert len(known) == (1 if tied else 3)
    for name in known:
        assert bounds[name] == pytest.approx((min(LOWS), max(HIGHS)), rel=1e-6)
    assert bounds["last.input_quantizer"] is None
    if not tied:
        beside = found["beside.input_quantizer"]
        torch.testing.assert_close(beside.channel_minimum, torch.tensor(LOWS))
        torch.testing.assert_close(beside.channel_maximum, torch.tensor(HIGHS))
        assert beside.maximum < max(HIGHS) / 2  # what was seen stays what it was


def test_without_a_range_nothing_is_known():
    assert all(statistics.bounds is None for statistics in collect(make(), [pictures()]).values())


@pytest.mark.parametrize("observer", OBSERVERS)
def test_it_takes_the_place_of_observers_but_of_published_ones(observer):
    dark, bright = [pictures(40)], [pictures(255)]
    rows = {}
    for name, batches, known in (("data", dark, None), ("dark", dark, BYTES), ("bright", bright, BYTES)):
        model = make()
        calibrate(model, batches, observer, input_range=known)
        rows[name] = ends_of(model.first.input_quantizer)
    step = (max(HIGHS) - min(LOWS)) / 255
    assert rows["data"][1] < max(HIGHS) / 2
    if observer == "unilateral_faithful":
        assert rows["dark"] == rows["data"]
    else:
        assert rows["dark"] == rows["bright"] == pytest.approx((min(LOWS), max(HIGHS)), abs=step)


def test_rows_say_so():
    report = calibrate(make(), [pictures(40)], "mse", input_range=BYTES)
    chosen = {row["name"]: row["observer"] for row in report.rows}
    assert chosen.pop("last") == "mse" and set(chosen.values()) == {"known"}


def test_inputs_beyond_it_are_refused_and_later_ones_widen_it():
    small = InputRange(0.0, 100.0, tensors=BYTES.tensors)
    with pytest.raises(ValueError, match=r"between 0 and 100, but one of shape \(3, 12, 10\) has values from .* to 2"):
        collect(make(), [pictures()], input_range=small)
    model = make()
    calibrate(model, [pictures(100), pictures(255)], "mse", input_range=small)
    assert ends_of(model.first.input_quantizer)[1] == pytest.approx(max(HIGHS), rel=0.01)
    for low, high in ((1.0, 0.0), (0.0, float("inf")), ("0", 1.0)):
        with pytest.raises(ValueError, match="low must be|high must be"):
            InputRange(low, high)


def test_migrated_scales_come_from_it():
    """Channels are divided by what they may reach, not by what the calibration set has of them."""
    grey = [sample | {"image": sample["image"] // 4 + 100} for sample in pictures()]
    batches, scales = [grey], []
    for known in (None, BYTES):
        model = make(tied=False)
        migrate_scales(model, collect(model, batches, input_range=known), names=["beside"])
        scale = model.beside.input_scale
        set_ranges(model, collect(model, batches, only=INPUTS[2:], input_range=known), "mse")
        scales.append(scale)
    assert not torch.allclose(*scales)
    bottom, top = ends_of(model.beside.input_quantizer)
    # The layer divides what it reads: the bounds are divided, too.
    assert top == pytest.approx(float((torch.tensor(HIGHS) / scale).max()), rel=0.02)
    assert bottom == pytest.approx(float((torch.tensor(LOWS) / scale).min()), rel=0.02)


class Steps(nn.Module):
    """A function of a tensor in front of a convolution."""

    def __init__(self, function, channels: int = 3, layer: nn.Module | None = None) -> None:
        super().__init__()
        self.register_buffer("constant", torch.tensor([2.0, -0.5, 4.0]).view(-1, 1, 1))
        self.function = function
        self.conv = layer or nn.Conv2d(channels, 2, 1)

    def forward(self, x):
        return self.conv(self.function(self, x))


KNOWN = {
    "nothing": (lambda m, x: x, (-1.0, 3.0)),
    "numbers": (lambda m, x: 1 - x * 2, (-5.0, 3.0)),
    "constants": (lambda m, x: x / m.constant, (-6.0, 2.0)),
    "a constant divided": (lambda m, x: (x + 5) * m.constant, (-4.0, 32.0)),
    "views": (lambda m, x: x.permute(0, 2, 3, 1).reshape(-1, 4, 3).transpose(1, 2).unflatten(2, (2, 2)), (-1.0, 3.0)),
    "padding": (lambda m, x: F.pad(x, (1, 1), value=7.0), (-1.0, 7.0)),
    "parts": (lambda m, x: torch.cat(x.flip(1).split(1, 1), 1), (-1.0, 3.0)),
    "means": (lambda m, x: F.avg_pool2d(x, 2), (-1.0, 3.0)),
    "precision": (lambda m, x: x.double().float(), (-1.0, 3.0)),
}
UNKNOWN = {
    "another layer": lambda m, x: m.conv(x)[:, :1].expand(-1, 3, -1, -1),
    "what depends on data": lambda m, x: x * x.mean(),
    "two of them": lambda m, x: x + x,
    "a divisor": lambda m, x: 1 / (x + 2),
    "a change in place": lambda m, x: x.clone().mul_(3),
    "a change of a view": lambda m, x: _scaled_view(x.clone()),
    "a tensor made up meanwhile": lambda m, x: x + torch.ones(3, 1, 1),
    "some known and some not": lambda m, x: torch.cat([x[:, :2], x[:, 2:].sigmoid()], 1),
}


def _scaled_view(x):
    x.as_strided((2, 3), (48, 16)).mul_(100)
    return x


def bounds_of(function, run=None, **settings):
    torch.manual_seed(0)
    model = Steps(function, **settings).eval()
    prepare(model, CONFIG)
    x = torch.rand(2, 3, 4, 4)
    options = {} if run is None else {"run": run}
    found = collect(model, [x], input_range=InputRange(-1.0, 3.0), **options)
    return found["conv.input_quantizer"].bounds


@pytest.mark.parametrize("steps", KNOWN)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_bounds_go_through_what_keeps_the_order_of_values(steps, mode):
    function, expected = KNOWN[steps]
    assert bounds_of(function, mode()(lambda model, x: model(x))) == pytest.approx(expected)


@pytest.mark.parametrize("steps", UNKNOWN)
def test_what_is_not_known_is_left_to_the_data(steps):
    assert bounds_of(UNKNOWN[steps]) is None


def test_rows_of_features():
    assert bounds_of(lambda m, x: x[:, :, 0, 0] * 2, layer=nn.Linear(3, 2)) == (-2.0, 6.0)


def test_a_model_calibrated_on_dark_pictures_reads_bright_ones():
    torch.manual_seed(0)
    model = Detector().eval()
    steps = StepSettings(migrate=False, bias_correction=False)
    recipe = PTQRecipe(steps=steps, layers=(LayerChoice("last", keep_float=True),))
    bright, errors = pictures(255, seed=5), {}
    with torch.no_grad():
        expected = model(bright)
        for name, batches, known in (
            ("bright", [pictures(255)], BYTES),
            ("dark", [pictures(60)], BYTES),
            ("unknown", [pictures(60)], None),
        ):
            quantized = copy.deepcopy(model)
            result = post_training_quantize(quantized, recipe, batches, input_range=known)
            errors[name] = float((quantized(bright) - expected).square().mean())
            assert ("known" in {row["observer"] for row in result.ranges}) == (known is not None)
    assert 0 < errors["dark"] == errors["bright"]
    assert errors["unknown"] > 50 * errors["bright"]
