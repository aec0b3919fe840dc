"""``tools/analyze_model.py`` and ``tools/benchmark.py`` with all their tasks."""

import re

import pytest

from detectron2.config import get_cfg
from detectron2.modeling import build_model
from tools import analyze_model, benchmark

from .conftest import QUICK_START, Shapes

CONFIGS = [str(QUICK_START / f"{name}_R_18_FPN_shapes.yaml") for name in ("retinanet", "mask_rcnn")]


@pytest.mark.parametrize(("config", "more"), zip(CONFIGS, [["--size", "64", "96"], ["--num-inputs", "2"]], strict=True))
def test_all_tasks(shapes: Shapes, capsys, config, more):
    tasks = ["flop", "activation", "parameter", "structure"]
    analyze_model.main(["--config-file", config, "--tasks", *tasks, *more, *shapes.options])
    said = capsys.readouterr().out
    assert float(re.search(r"GFlops: average ([\d.]+)", said)[1]) > 0.001
    assert "conv: " in said
    assert float(re.search(r"activations: average ([\d.]+)", said)[1]) > 0.01
    assert "backbone.bottom_up" in said
    assert "(fpn_lateral3)" in said


def test_parameters_are_those_of_the_model(shapes: Shapes, capsys):
    analyze_model.main(["--config-file", CONFIGS[0], "--tasks", "parameter", "--num-inputs", "1", *shapes.options])
    cfg = get_cfg()
    cfg.merge_from_file(CONFIGS[0])
    cfg.merge_from_list(list(shapes.options))
    count = sum(p.numel() for p in build_model(cfg).parameters())
    assert f"{count / 1e6:.3g}M" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["data", "train", "eval"])
def test_benchmark(shapes: Shapes, capsys, task):
    benchmark.main(["--config-file", CONFIGS[0], "--task", task, "--iterations", "3", "--warmup", "1", *shapes.options])
    said = capsys.readouterr().out
    numbers = re.search(rf"{task}: median ([\d.]+) s, p90 ([\d.]+) s an iteration of (\d) images, ([\d.]+)", said)
    median, p90, images, rate = (float(number) for number in numbers.groups())
    assert images == (1 if task == "eval" else 2)
    assert 0 < median <= p90
    assert rate > 0
