"""Programs as files."""

import json
import zipfile

import pytest
import torch
from torch import nn

from tests.third_party.quantization.integer.models import at_width, pictures, settings, traced
from third_party.quantization.integer import IntegerProgram, compile_program


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 64, 3, 2, 1),
        nn.BatchNorm2d(64),
        nn.SiLU(),
        nn.Conv2d(64, 128, 3, 2, 1),
        nn.Conv2d(128, 4, 1),
        nn.MaxPool2d(2),
    )
    return traced(model, settings(), (pictures(2, 16, 24),))


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_files_are_as_small_as_the_bits_say_and_give_the_same_numbers(program, bits, tmp_path):
    compiled = compile_program(program if bits == 8 else at_width(program, bits))
    numbers, channels = 3 * 64 * 9 + 64 * 128 * 9 + 128 * 4, 64 + 128 + 4
    assert compiled.weight_bytes <= numbers * bits / 8 + 3
    compiled.save(tmp_path / "program.zip")
    assert (tmp_path / "program.zip").stat().st_size <= numbers * bits / 8 + 24 * channels + 4096
    loaded = IntegerProgram.load(tmp_path / "program.zip")
    x = pictures(2, 16, 24, seed=5)
    for backend in ("integer", "simulation"):
        ours, theirs = (each.execute([x], backend, compiled.quantized) for each in (loaded, compiled))
        assert torch.equal(ours.outputs[0], theirs.outputs[0])
        assert ours.taps.keys() == theirs.taps.keys() and loaded.quantized == compiled.quantized
        assert all(torch.equal(ours.taps[name], theirs.taps[name]) for name in ours.taps)


def test_the_same_program_gives_the_same_bytes(program, tmp_path):
    for name in ("a", "b"):
        compile_program(program).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_other_files_are_refused(program, tmp_path):
    path = tmp_path / "program.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="program.zip is no integer program"):
        IntegerProgram.load(path)
    compile_program(program).save(path)
    with zipfile.ZipFile(path) as archive:
        description, data = json.loads(archive.read("program.json")), archive.read("tensors.bin")
    step = next(item for item in description["operations"] if item["operation"] == "step")
    for change, message in (
        (lambda: description.update(version=99), "version 99"),
        (lambda: step.update(name="system.default"), "'system.default' is no part of an integer program"),
        (lambda: step.update(operation="execute"), "execute"),
    ):
        kept, kept_step = dict(description), dict(step)
        change()
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("program.json", json.dumps(description))
            archive.writestr("tensors.bin", data)
        with pytest.raises(ValueError, match=message):
            IntegerProgram.load(path)
        description.update(kept), step.update(kept_step)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("program.json", json.dumps(description))
        archive.writestr("tensors.bin", data[:-8])
    with pytest.raises(ValueError, match="lies outside the file"):
        IntegerProgram.load(path)


def test_a_missing_folder_is_made_and_a_file_in_its_place_is_named(program, tmp_path):
    compiled = compile_program(program)
    compiled.save(tmp_path / "made" / "program.zip")
    assert IntegerProgram.load(tmp_path / "made" / "program.zip").weight_bytes == compiled.weight_bytes
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="program.zip cannot be written"):
        compiled.save(tmp_path / "taken" / "program.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "taken"]


def test_unknown_backends_and_taps_are_refused(program):
    compiled = compile_program(program)
    with pytest.raises(ValueError, match="'gpu'.*integer, simulation"):
        compiled.execute([pictures(1, 16, 24)], "gpu")
    with pytest.raises(ValueError, match="'nothing' is no quantized tensor"):
        compiled.execute([pictures(1, 16, 24)], taps=["nothing"])
    with pytest.raises(ValueError, match="takes 1 tensors"):
        compiled.execute([])
    with pytest.raises(FloatingPointError, match="NaN"):
        compiled.execute([torch.full((2, 3, 16, 24), float("nan"))])
