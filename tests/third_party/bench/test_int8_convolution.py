"""What the benchmark of int8 convolutions compares, and that it says what it needs."""

import torch

from third_party.bench import __main__ as command
from third_party.bench import int8_convolution as benchmark
from third_party.quantization.integer.arithmetic import IntegerArithmetic


def test_without_a_gpu_it_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    command.main(["int8_convolution", "--out", str(tmp_path / "rows.json")])
    assert capsys.readouterr().out == "int8_convolution: needs a GPU\n" and not list(tmp_path.iterdir())


def test_layers_are_those_of_the_network():
    layers = benchmark.layers()
    assert layers[0] == benchmark.Layer(3, 640, 640, 16, 3, 2, 1)
    assert benchmark.Layer(64, 80, 80, 64, 3, 1, 1) in layers and benchmark.LAYERS <= len(layers) == len(set(layers))


def test_codes_use_their_grids():
    layer = benchmark.Layer(16, 12, 12, 8, 3, 2, 1)
    codes = torch.randint(0, 256, (1, 16, 12, 12), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    found = [codes]
    for step in benchmark.steps(layer):
        found.append(step.run(IntegerArithmetic(), [found[-1]], {}))
    assert found[2].shape == (1, 8, 6, 6) and found[2].dtype == found[3].dtype == torch.uint8
    assert 60 < found[2].float().mean() < 200 and 20 < found[2].float().std() < 90
    assert len(found[3].unique()) > 40 and not bool(((found[2] == 0) | (found[2] == 255)).float().mean() > 0.2)
