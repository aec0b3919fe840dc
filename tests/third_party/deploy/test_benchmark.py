"""Rows of the benchmark: plans, a measured one, and failures that are told."""

import dataclasses
import json

import pytest

from third_party.deploy import benchmark
from third_party.deploy.benchmark_rows import Row, Task, table
from third_party.deploy.parts import InputFacts
from tools import benchmark_deploy

FACTS = InputFacts((0.0, 0.0, 0.0), 32)


def files(folder):
    made = {"float32": folder / "a.onnx", "int8": folder / "b.onnx", "torch": folder / "c.pt2"}
    for path in made.values():
        path.write_bytes(b"no model")
    return made


def test_a_plan_has_a_row_for_each_engine_that_reads_the_file(tmp_path):
    tasks = benchmark.plan(files(tmp_path), FACTS, engines=["torch"], threads=[1, 0], size=(64, 96))
    assert [(task.precision, task.threads, task.scope) for task in tasks] == [
        ("torch", 1, "model"),
        ("torch", 0, "model"),
    ]
    picture = tmp_path / "d.png"
    picture.touch()
    tasks = benchmark.plan(files(tmp_path), FACTS, engines=["torch"], threads=[1], size=(64, 96), images=[str(picture)])
    assert [task.scope for task in tasks] == ["model", "end to end"]


def test_mistakes_of_a_plan_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.onnx"):
        benchmark.plan({"int8": tmp_path / "gone.onnx"}, FACTS, engines=["torch"], threads=[1], size=(64, 64))
    with pytest.raises(ValueError, match="engines tensorflow cannot run here; there are .*torch"):
        benchmark.plan(files(tmp_path), FACTS, engines=["tensorflow"], threads=[1], size=(64, 64))
    with pytest.raises(ValueError, match="width is 65, but must be a multiple of 32"):
        benchmark.plan(files(tmp_path), FACTS, engines=["torch"], threads=[1], size=(64, 65))


@pytest.mark.parametrize(
    "settings", [{"scope": "all"}, {"scope": "end to end"}, {"runs": 0}, {"threads": -1}, {"height": 0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Task("a.onnx", "int8", "torch", **settings)


def test_a_row_is_measured_in_its_own_process(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = [1, 3, 64, 96]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["pixels"], ["y"])],
        "relu",
        [helper.make_tensor_value_info("pixels", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "relu.onnx")
    task = Task(str(tmp_path / "relu.onnx"), "float32", "onnxruntime", height=64, width=96, runs=4)
    row = benchmark.run_in_child(task)
    assert row.error is None
    assert row.task == task
    assert 0 < row.median_ms <= row.p90_ms
    assert 0 < row.cpu_ms < 10_000
    assert 0 < row.memory_mib < 2000
    assert row.file_mib == pytest.approx((tmp_path / "relu.onnx").stat().st_size / 2**20)
    json.dumps(row.to_dict())


def test_a_failure_is_a_row(monkeypatch):
    monkeypatch.setattr(benchmark.sys, "executable", "/bin/false")
    task = Task("a.onnx", "int8", "torch")
    row = benchmark.run_in_child(task)
    assert row.median_ms is None
    assert "ended with 1" in row.error
    assert "torch, int8, model: the process ended with 1" in table([row, dataclasses.replace(row)])


def test_the_table_shows_figures():
    row = Row(Task("a.onnx", "int8", "openvino", threads=0), 12.34, 15.0, 80.0, 100.0, 3.5, None, cpu_ms=23.4)
    text = table([row])
    assert all(word in text for word in ("openvino", "int8", "all", "12.3", "15.0", "23.4", "80.0", "3.5"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "model.onnx"], "the form is PRECISION=PATH"),
        (["--file", "int8=model.onnx", "--float16"], "needs a file called float32"),
        (["--file", "int8=missing.onnx"], "no file missing.onnx"),
        (["--file", "int8=missing.onnx", "--out", "nowhere/rows.json"], "there is no folder nowhere"),
    ],
)
def test_mistakes_are_told_in_a_line(capsys, arguments, message):
    assert benchmark_deploy.main(arguments) == 1
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
