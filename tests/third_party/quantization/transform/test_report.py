"""Numbers and texts of reports."""

import json

from torch import nn

from third_party.quantization import convert, prepare
from third_party.quantization.spec import LSQPlusSpec, LSQSpec, Rule
from third_party.quantization.transform import Report, Row

from .models import config, images, make_net


def test_numbers_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(5, 7, bias=False))
    rules = (Rule(name="0", activation="float"), Rule(name="3", weight={"granularity": "tensor", "bits": 3}))
    settings = config(bits=5, activation=LSQPlusSpec(bits=8), rules=rules)
    report = prepare(net, settings)
    # 135 weights of 5 bits: 675 bits, 85 bytes; 5 biases and 5 scales of 4 bytes
    conv, linear = report.row("0"), report.row("3")
    assert (conv.num_parameters, conv.bytes_float, conv.bytes_quantized) == (140, 560, 85 + 20 + 20)
    # 35 weights of 3 bits: 105 bits, 14 bytes; a scale; a scale and a zero-point of the input
    assert (linear.num_parameters, linear.bytes_float, linear.bytes_quantized) == (35, 140, 14 + 4 + 8)
    assert report.other_parameters == 10
    assert (report.num_parameters, report.bytes_float) == (185, 740)
    assert report.bytes_quantized == 125 + 26 + 40


def test_bits_of_now_count():
    net = nn.Sequential(nn.Linear(8, 8, bias=False))
    prepare(net, config(bits=8, activation=None))
    net[0].weight_quantizer.set_bits(2)
    report = prepare(net, config(bits=8, activation=None))
    assert report.rows[0].bytes_quantized == 64 * 2 // 8 + 8 * 4
    assert "now 2 bits" in report.rows[0].weight


def test_converted_numbers_by_hand():
    net = make_net()
    before = prepare(net, config(bits=4))
    net(images())
    report = convert(net)
    stem = report.row("stem")
    # the norm's 16 numbers became 8 scales (4 bytes each, as before) and 8 biases
    assert before.row("stem").num_parameters == 216 and stem.num_parameters == 216 + 8
    assert stem.bytes_quantized == 216 // 2 + 8 * 4 + 8 * 4 + 4
    assert before.other_parameters == 32 and report.other_parameters == 0
    assert report.row("head").bytes_quantized == before.row("head").bytes_quantized


def test_totals_and_json():
    report = prepare(make_net(), config())
    values = json.loads(json.dumps(report.to_dict()))
    assert values["totals"]["bytes_quantized"] == report.bytes_quantized
    assert sum(row["num_parameters"] for row in values["rows"]) + values["other_parameters"] == report.num_parameters
    assert report.num_parameters == sum(p.numel() for p in make_net().parameters())
    assert Row(**values["rows"][0]) == report.rows[0]


def test_table():
    row = Row("a", "Conv2d", "4 bits", "float", "default", 1000, 4000, 1024)
    lines = str(Report((row,), 256, ("a note",))).splitlines()
    assert lines[0].split() == "layer type weight activation parameters KiB float32 KiB why".split()
    assert lines[2].split() == "a Conv2d 4 bits float 1000 3.9 1.0 default".split()
    assert lines[3].split() == "(other parameters) float - 256 1.0 1.0".split()
    assert lines[4].split() == "total 1256 4.9 2.0".split()
    assert lines[5] == "a note"
    assert len(str(prepare(make_net(), config(weight=LSQSpec()))).splitlines()) == 2 + 8 + 2
