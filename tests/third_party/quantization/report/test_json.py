"""Reports as strict JSON."""

import base64
import json
import math
from dataclasses import fields

import numpy as np
import pytest

from third_party.quantization.report import Report, plain, to_json, write_json

from .samples import NASTY, full_report, png


def _strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_every_field_is_there_and_reads_back():
    found = _strict(to_json(full_report()))
    assert list(found) == [field.name for field in fields(Report)]
    assert all(found.values()), "the sample has something in every section"
    table = found["accuracy"][0]
    assert table["rows"][0]["metrics"] == {"AP": 61.374, "AP50": 88.12, "APs": None}
    assert table["rows"][1]["metrics"]["APs"] is None and found["sqnr"][-1]["decibels"] is None
    assert found["classes"][0]["name"] == NASTY
    picture = base64.b64decode(found["pictures"][0]["before"].removeprefix("data:image/png;base64,"))
    assert picture == full_report().pictures[0].before


def test_values_of_numpy_and_numbers_that_are_none():
    given = {1: np.float32(0.5), "a": np.array([[1, 2]]), "b": (np.int64(3), np.bool_(True)), "c": -math.inf}
    assert plain(given) == {"1": 0.5, "a": [[1, 2]], "b": [3, True], "c": None}
    assert plain(np.array([1.0, math.nan])) == [1.0, None]
    assert _strict(to_json({"x": np.float64("nan")})) == {"x": None}


def test_what_has_no_form_is_refused_and_the_old_file_stays(tmp_path):
    path = write_json({"a": 1}, tmp_path / "new" / "report.json")
    with pytest.raises(TypeError, match="complex"):
        write_json({"a": 1j}, path)
    with pytest.raises(ValueError, match="PNG"):
        write_json({"a": b"GIF89a"}, path)
    assert json.loads(path.read_text()) == {"a": 1} and [file.name for file in path.parent.iterdir()] == [path.name]
    assert plain(png(1, 1, (0, 0, 0))).startswith("data:image/png;base64,iVBOR")
