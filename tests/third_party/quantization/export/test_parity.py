"""Files in engines against the programs that they were made from."""

import json

import numpy as np
import pytest
import torch

from third_party.quantization.export import ParityError, Tolerance, compare, find_runner, parity, simulate, trace
from third_party.quantization.export.nodes import tensor_names
from third_party.quantization.export.parity_report import Difference, ParityReport

from .models import Wrapped, everything, everything_file, everything_traced, images
from .test_passes import Quantize, X

BATCHES = [(images(3, 40, 28, seed=5),), (images(1, 16, 64, seed=6),)]
CASES = [(7, 8), (4, 8), (7, 4)]


@pytest.mark.parametrize("engine", ("onnxruntime", "openvino"))
@pytest.mark.parametrize("bits", CASES)
def test_engines_compute_what_the_program_computes(engine, bits):
    pytest.importorskip(engine)
    path = everything_file(engine, *bits)
    report = parity(everything_traced(*bits), path, find_runner(engine), BATCHES)
    assert report.first_failure is None and report.batches == 2
    names = list(tensor_names(everything_traced(*bits)).values())
    assert [tensor.name for tensor in report.tensors] == names
    assert all(tensor.count > 0 and tensor.largest <= 1.01 for tensor in report.tensors)
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True


@pytest.mark.parametrize("engine", ("onnxruntime", "openvino"))
def test_the_file_for_all_engines_too(engine):
    pytest.importorskip(engine)
    report = parity(everything_traced(), everything_file("generic"), find_runner(engine), BATCHES)
    assert report.first_failure is None


def test_the_program_is_the_converted_model():
    for (x,) in BATCHES:
        with torch.no_grad():
            expected = everything()(x)
        outputs, taps = simulate(everything_traced(), (x,))
        for value, output in zip(expected, outputs, strict=True):
            torch.testing.assert_close(output, value, rtol=1e-5, atol=1e-5)
        assert list(taps) == list(tensor_names(everything_traced()).values())


def test_what_a_choice_stands_before_is_not_judged():
    def function(m, x):
        best = m.a(x).flatten(1).topk(40).values
        return m.b(best) + 1, best, m.a(x)

    program = trace(Wrapped(function, a=Quantize(), b=Quantize()), (X,))

    def execute(inputs):
        outputs, taps = simulate(program, [torch.from_numpy(value) for value in inputs])
        moved = [*(value.flip(1) for value in outputs[:2]), outputs[2]]
        taps = {name: value.flip(1) if value.dim() == 2 else value for name, value in taps.items()}
        return [value.numpy() for value in moved], {name: value.numpy() for name, value in taps.items()}

    report = compare(program, execute, [(X,)], engine="moved")
    assert [output.chosen for output in report.outputs] == [False, True, False] and report.outputs[0].largest == 0
    assert sum(tensor.chosen for tensor in report.tensors) == 1 and report.outputs[1].largest > 0


def test_a_wrong_tensor_is_named_and_not_those_behind_it():
    program = everything_traced()
    names = list(tensor_names(program).values())
    wrong = names[3]

    def execute(inputs):
        _, right = simulate(program, [torch.from_numpy(value) for value in inputs])
        outputs, taps = simulate(program, [torch.from_numpy(v) for v in inputs], {wrong: right[wrong].roll(1, -1)})
        taps[wrong] = right[wrong].roll(1, -1)
        return [value.numpy() for value in outputs], {name: value.numpy() for name, value in taps.items()}

    with pytest.raises(ParityError, match=f"broken leaves the tolerance at {wrong}") as caught:
        compare(program, execute, BATCHES, engine="broken")
    off = [tensor.name for tensor in caught.value.report.tensors if tensor.share_within(1) < 0.999]
    assert off == [wrong]
    behind = [tensor.name for tensor in caught.value.report.accumulated if tensor.share_within(1) < 0.999]
    assert len(behind) > 1


def test_a_wrong_output_fails():
    program = everything_traced()

    def execute(inputs):
        outputs, taps = simulate(program, [torch.from_numpy(value) for value in inputs])
        return [2 * value.numpy() for value in outputs], {name: value.numpy() for name, value in taps.items()}

    with pytest.raises(ParityError, match="output"):
        compare(program, execute, BATCHES, engine="broken")


def test_a_coarser_grid_is_less_than_a_step_off_and_fails():
    codes = np.arange(1000.0) / 7 % 90
    difference = Difference("x", 0.5)
    difference.add(np.rint(codes), 1.5 * np.rint(codes / 1.5))
    assert difference.share_within(1) == 1
    assert str(ParityReport("e", Tolerance(), 1, [difference], [], []).first_failure).startswith("x: the mean")


def test_no_batches():
    with pytest.raises(ValueError, match="at least one batch"):
        compare(everything_traced(), lambda inputs: ([], {}), [], engine="none")


def test_differences_are_counted():
    difference = Difference("x", 0.5)
    difference.add(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0, np.nan]))
    assert difference.largest == np.inf and difference.count == 4
    assert [difference.share_within(n) for n in (0, 1, 2)] == [0.25, 0.5, 0.75]
    report = ParityReport("e", Tolerance(steps=2, share=0.75, mean=np.inf), 1, [difference], [], [])
    assert report.first_failure is None
    assert "x" in str(ParityReport("e", Tolerance(steps=1, share=0.75), 1, [difference], [], []).first_failure)
    assert "mean" in str(ParityReport("e", Tolerance(steps=2, share=0.75), 1, [difference], [], []).first_failure)
    with pytest.raises(ValueError, match="shape"):
        difference.add(np.zeros(2), np.zeros(3))


def test_tolerances_are_checked():
    with pytest.raises(ValueError, match="share"):
        Tolerance(share=0.0)
