"""The step that looks at a calibration set."""

import json

from third_party.post_training.__main__ import main
from third_party.post_training.corruptions import CORRUPTIONS

from .conftest import CHEAP


def test_one_image_is_not_enough(prepared, tmp_path, capsys):
    path = tmp_path / "audit.json"
    more = ("--calib", "ptq_shapes_train", "--max-eval-images", 1, "--json", path, *CHEAP, "IMAGES", 1)
    assert main(prepared.arguments("audit", *more)) == 0
    result = json.loads(path.read_text())
    found = result["audit"]
    assert [point["images"] for point in found["curve"]["points"]] == [1]
    assert [row["calibration"] for row in found["out_of_domain"]] == ["as it is", *CORRUPTIONS]
    assert result["warnings"] == found["warnings"]
    out = capsys.readouterr().out
    assert all(f"\n{name} " in out for name in CORRUPTIONS) and "AP after calibration on fewer images" in out
    assert all(f"warning: {warning}" in out for warning in found["warnings"])


def test_mistakes(prepared, calibrated, mistake):
    given = prepared.arguments("audit", "--calib", "ptq_shapes_train", weights=calibrated / "quantized.pth")
    assert "one in floating point is wanted" in mistake(given)
    assert "'nothing' is not registered" in mistake(prepared.arguments("audit", "--calib", "nothing"))
