"""Landmarks: what stands behind a choice is judged from it, and files have tensors of their names."""

import numpy as np
import pytest
import torch

from third_party.quantization.export import ParityError, compare, find_runner, landmark, simulate, to_onnx, trace

from .models import Wrapped
from .test_passes import Quantize, X


def _best(m, x):
    best, place = (m.a(x) + x).flatten(1).topk(40)  # without equal ones
    return m.b(landmark(best, "best")) * 2, landmark(place, "places"), landmark(best.sum(1), "sums") + 1


@pytest.fixture(scope="module")
def program():
    return trace(Wrapped(_best, a=Quantize(), b=Quantize()), (X,))


def _runs(program, shift):
    """An engine that takes the best in another order, and is off by ``shift`` at the quantized tensor behind."""

    def execute(inputs):
        (x,) = (torch.from_numpy(value) for value in inputs)
        own = simulate(program, (x,))[1]["best"].flip(1)
        outputs, taps = simulate(program, (x,), {"best": own})
        (name,) = (name for name, value in taps.items() if value.shape == own.shape and name not in ("best", "places"))
        wrong = {"best": own, name: taps[name].roll(shift, 1)}
        outputs, _ = simulate(program, (x,), wrong)
        return [value.numpy() for value in outputs], {key: value.numpy() for key, value in (taps | wrong).items()}

    return execute


def test_it_is_nothing_outside_of_tracing():
    assert landmark(X, "x") is X


def test_what_follows_is_judged_from_the_engine_s_choice(program):
    report = compare(program, _runs(program, 0), [(X,)], engine="moved")
    assert not any(tensor.chosen for tensor in report.tensors)
    assert {mark.name: mark.chosen for mark in report.landmarks} == {"best": True, "places": True, "sums": True}
    assert [output.chosen for output in report.outputs] == [False, True, False]
    assert report.outputs[0].largest == 0 and report.landmarks[0].largest > 0
    assert [row["name"] for row in report.to_dict()["outputs"][:3]] == ["best", "places", "sums"]


def test_a_wrong_tensor_behind_a_choice_fails(program):
    with pytest.raises(ParityError, match="leaves the tolerance at b"):
        compare(program, _runs(program, 7), [(X,)], engine="broken")


def test_files_have_them_by_name(program, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    names = ["doubled", "where", "total"]
    path = to_onnx(program, tmp_path / "a.onnx", input_names=["x"], output_names=names, target="onnxruntime")
    marks = ["best", "places", "sums"]
    session = find_runner("onnxruntime").load(path, threads=1, taps=marks)
    assert session.output_names == [*names, *marks]
    found = dict(zip(session.output_names, session.run([X.numpy()]), strict=True))
    expected, taps = simulate(program, (X,))
    for name in marks:
        np.testing.assert_allclose(found[name], taps[name].numpy(), rtol=1e-6)
        assert found[name].dtype == taps[name].numpy().dtype
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-6)
