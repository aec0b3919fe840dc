"""Each rule on a graph that breaks it, and on one that does not."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from third_party.quantization import QuantConfig, convert, prepare
from third_party.quantization.export import errors, lint, trace
from third_party.quantization.export.rules import MODEL_RULES, PROGRAM_RULES
from third_party.quantization.export.rules.saturation import pair_sum
from third_party.quantization.functional.dequantize import dequantize
from third_party.quantization.spec import LQNetSpec, MinMaxSpec

from .models import Wrapped, everything, everything_traced, images
from .test_passes import Quantize

X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Conv(nn.Module):
    """A 1 x 1 convolution by integer weights."""

    def __init__(self, channels_in: int = 4, channels_out: int = 4, largest: int = 20) -> None:
        super().__init__()
        codes = torch.arange(channels_in * channels_out).view(channels_out, channels_in, 1, 1) % (largest + 1)
        self.register_buffer("codes", codes.to(torch.int8))
        self.register_buffer("scale", torch.full((channels_out,), 0.01))
        self.register_buffer("zero", torch.zeros((), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, dequantize(self.codes, self.scale, self.zero, 0))


def findings(function, target: str = "generic", normalised: bool = True, **modules: nn.Module) -> list[tuple[str, str]]:
    program = trace(Wrapped(function, **modules), (X,), normalised=normalised)
    return [(finding.rule, finding.layer) for finding in lint(program, target)]


UNSIGNED = {"low": 0, "high": 255}
CASES = {
    "scores and boxes joined": (
        "mixed_ranges",
        lambda m, x: m.q(torch.cat([x[:, :1].sigmoid(), x[:, 1:] * 640], 1)),
        {"q": Quantize(2.5)},
    ),
    "parts on one grid joined": (
        "mixed_ranges",
        lambda m, x: m.r(torch.cat([m.p(x[:, :1].sigmoid()), m.q(x[:, 1:] * 640)], 1)).permute(0, 2, 3, 1) + 1,
        {"p": Quantize(2.5), "q": Quantize(2.5), "r": Quantize(3.0)},
    ),
    "raw predictions that part": (
        "mixed_ranges",
        lambda m, x: (lambda y: (y[:, :2].sigmoid(), y[:, 2:].exp()))(m.q(m.conv(m.p(x)))),
        {"p": Quantize(), "conv": Conv(), "q": Quantize()},
    ),
    "decoded boxes": ("decode_in_integers", lambda m, x: m.q((x.exp() * 8).flatten(1)), {"q": Quantize(2.0)}),
    "positions": ("decode_in_integers", lambda m, x: m.q(x + torch.arange(8.0)), {"q": Quantize()}),
    "expectation over bins": (
        "decode_in_integers",
        lambda m, x: m.conv(m.q(x.softmax(1))),
        {"q": Quantize(1 / 255, **UNSIGNED), "conv": Conv()},
    ),
    "levels without zero": ("not_carried", lambda m, x: m.conv(m.q(x)), {"q": None, "conv": Conv()}),
    "a layer in float between": (
        "unquantized_layer",
        lambda m, x: m.b(m.q(m.plain(m.a(m.p(x))))),
        {"p": Quantize(), "a": Conv(), "plain": nn.Conv2d(4, 4, 1), "q": Quantize(), "b": Conv()},
    ),
    "two grids for one tensor": (
        "duplicates",
        lambda m, x: m.a(m.p(x)) + m.b(m.q(x)),
        {"p": Quantize(), "a": Conv(), "q": Quantize(0.2), "b": Conv()},
    ),
    "rounded twice": ("duplicates", lambda m, x: m.a(m.q(m.p(x))), {"p": Quantize(), "q": Quantize(0.2), "a": Conv()}),
    "full weights": ("saturation", lambda m, x: m.a(m.p(x)), {"p": Quantize(0.1, **UNSIGNED), "a": Conv(9, 9, 127)}),
}


@pytest.mark.parametrize("case", CASES)
def test_each_rule_finds(case):
    rule, function, modules = CASES[case]
    if case == "full weights":
        assert ("saturation", "a") in findings(lambda m, x: m.a(m.p(x.repeat(1, 3, 1, 1)[:, :9])), **modules)
        return
    if case == "levels without zero":
        modules = {**modules, "q": HalfLevels()}
    assert rule in {found for found, _ in findings(function, **modules)}, case


class HalfLevels(Quantize):
    def forward(self, x: Tensor) -> Tensor:
        from third_party.quantization.export.nodes import FAKE_QUANTIZE

        return FAKE_QUANTIZE(x, self.step, self.zero_point, -8, 7, None, True, 1.0, False)


def test_every_rule_has_a_case():
    covered = {rule for rule, _, _ in CASES.values()} | {"float_output", "no_integer_levels"}
    assert covered == set(PROGRAM_RULES) | set(MODEL_RULES)


def test_a_good_model_has_no_findings():
    for target in ("generic", "onnxruntime", "openvino"):
        found = lint(everything_traced(), target)
        assert {finding.rule for finding in found} <= {"duplicates"}, [str(finding) for finding in found]
    assert lint(everything()) == []


def test_untied_ranges_are_found():
    assert "duplicates" in {finding.rule for finding in lint(everything_traced(7, 8, False, False))}


def test_scores_alone_and_siblings_are_fine():
    assert findings(lambda m, x: m.q(torch.cat([x[:, :1].sigmoid(), x[:, 1:].sigmoid()], 1)), q=Quantize()) == []
    assert findings(lambda m, x: m.q(x) * m.q(x).sigmoid(), q=Quantize()) == []


def test_what_decoded_boxes_choose_is_no_coordinate():
    roi_align = pytest.importorskip("torchvision").ops.roi_align

    def function(m, x):
        places = torch.cat([torch.zeros(2, 1), x[:, :, 0, 0].exp() * 8], 1)
        pooled = torch.where(places[:, 1, None, None, None] > 4, roi_align(x, places, 2), 0.0)
        return m.a(m.q(pooled[torch.arange(2)]))

    assert findings(function, q=Quantize(), a=Conv()) == []


def test_onnx_runtime_wants_outputs_quantized():
    modules = {"p": Quantize(), "a": Conv(), "q": Quantize(), "b": Conv()}

    def function(m, x):
        return m.b(m.q(F.silu(m.a(m.p(x)))))

    assert findings(function, "onnxruntime", **modules) == [("float_output", "a")]
    assert findings(function, "openvino", **modules) == []
    assert findings(lambda m, x: m.b(m.q(m.a(m.p(x)).relu())), "onnxruntime", **modules) == []


def test_tensorrt_wants_symmetric_activations():
    modules = {"p": Quantize(0.1, 10.0, **UNSIGNED), "a": Conv()}
    found = [finding for finding in lint(trace(Wrapped(lambda m, x: m.a(m.p(x)), **modules), (X,)), "tensorrt")]
    assert [finding.rule for finding in errors(found)] == ["not_carried"]
    assert "symmetric" in found[0].message and found[0].layer == "p" and found[0].to_dict()["severity"] == "error"
    assert "p" in str(found[0])


def test_levels_that_are_a_list_are_found_before_tracing():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1))
    prepare(net, QuantConfig(weight=LQNetSpec(bits=2), activation=MinMaxSpec()))
    net(images())
    convert(net.eval())
    assert [(finding.rule, finding.layer) for finding in lint(net)] == [("no_integer_levels", "0.weight_quantizer")]
    with pytest.raises(ValueError, match="0: weight: its levels are a list"):
        trace(net, (images(),))


def test_pair_sums_are_the_largest():
    codes = torch.tensor([[100, -90, 30], [-128, -127, 5]], dtype=torch.int8)
    assert pair_sum(codes, 255) == 255 * 255
    assert pair_sum(codes[:1], 255) == 130 * 255
    assert pair_sum(codes[:1, :1], 255) == 100 * 255


def test_unknown_targets_are_refused():
    with pytest.raises(ValueError, match="target must be one of"):
        lint(everything_traced(), "tpu")
