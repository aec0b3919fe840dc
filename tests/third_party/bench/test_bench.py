"""The benchmark runs, and what it compares computes the same."""

import importlib
import json

import pytest
import torch

from third_party.bench import __main__ as command
from third_party.bench import fake_quantize as benchmark
from third_party.bench.timing import Row, compare, table


def test_every_benchmark_has_rows():
    assert "fake_quantize" in command.benchmarks()
    assert not {*command.NO_BENCHMARKS, "peers"} & set(command.benchmarks())
    modules = [importlib.import_module(f"third_party.bench.{name}") for name in command.benchmarks()]
    assert all(callable(module.rows) for module in modules)


def test_command_prints_and_writes_its_rows(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark, "ACTIVATIONS", ((1, 2, 3, 4),))
    monkeypatch.setattr(benchmark, "WEIGHTS", ((2, 2, 1, 1),))
    threads = torch.get_num_threads()
    try:
        command.main(["fake_quantize", "--repeat", "1", "--out", str(tmp_path / "rows.json")])
    finally:
        torch.set_num_threads(threads)
    rows = json.loads((tmp_path / "rows.json").read_text())
    printed = capsys.readouterr().out.splitlines()
    assert len(rows) == 4 == len(printed) - 1
    assert all(row["ratio"] == row["seconds"] / row["peer_seconds"] for row in rows)


def test_unknown_benchmark_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "fake_quantize" in capsys.readouterr().err


def test_passes_compute_what_the_fused_operator_computes():
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    step, results = torch.tensor(0.2), []
    for quantize in (benchmark._fused(-4, 3, None), lambda x, s: benchmark.passes(x, s, -4, 3)):
        leaves = [x.clone().requires_grad_(), step.clone().requires_grad_()]
        y = quantize(*leaves)
        results.append([y.detach(), *torch.autograd.grad(y, leaves, torch.cos(x))])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_times_are_medians_taken_in_turns():
    order = []
    row = compare("a", lambda: order.append("a"), "b", lambda: order.append("b"), repeat=3, warm_up=1)
    assert order == ["a", "b"] * 4
    assert row.seconds > 0 and "  b" in table([row])
    assert Row("a", 1.0, "b", 4.0).ratio == 0.25
