"""The step that ranks layers."""

import json

from third_party.post_training.__main__ import main


def test_a_table_and_its_verdict(prepared, calibrated, tmp_path, capsys):
    path = tmp_path / "made" / "sensitivity.json"
    more = ("--images", 2, "--json", path)
    assert main(prepared.arguments("sensitivity", *more, weights=calibrated / "quantized.pth")) == 0
    found = json.loads(path.read_text())["sensitivity"]
    changes = [row["change"] for row in found["rows"]]
    assert len(changes) > 20 and changes == sorted(changes, reverse=True) and changes[0] > 0
    out = capsys.readouterr().out
    assert found["verdict"] in out and found["rows"][0]["name"] in out


def test_mistakes(prepared, calibrated, mistake, tmp_path):
    assert "a quantized model is wanted" in mistake(prepared.arguments("sensitivity"))
    path, weights = tmp_path / "made" / "a.json", calibrated / "quantized.pth"
    assert "--images must be 1" in mistake(prepared.arguments("sensitivity", "--images", 0, "--json", path))
    assert "--json" in mistake(prepared.arguments("sensitivity", "--json", tmp_path, weights=weights))
    assert list(tmp_path.iterdir()) == []
