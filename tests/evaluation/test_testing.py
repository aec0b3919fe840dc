"""Printing, flattening and verifying results."""

import logging

import pytest
from yacs.config import CfgNode

from detectron2.evaluation import print_csv_format, verify_results
from detectron2.evaluation.testing import flatten_results_dict

RESULTS = {"bbox": {"AP": 12.34567, "AP50": float("nan"), "AP-cat": 1.0}, "speed": 3.0}


def test_print_csv_format(caplog):
    caplog.set_level(logging.INFO)
    print_csv_format(RESULTS)
    assert [r.getMessage() for r in caplog.records] == [
        "copypaste: Task: bbox",
        "copypaste: AP,AP50",
        "copypaste: 12.3457,nan",
        "copypaste: speed=3.0",
    ]


@pytest.mark.parametrize("results", [{}, [], None])
def test_print_csv_format_refuses(results):
    with pytest.raises(ValueError, match="non-empty"):
        print_csv_format(results)


def test_flatten():
    nested = {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
    assert flatten_results_dict(nested) == {"a/b/c": 1, "a/d": 2, "e": 3}
    assert flatten_results_dict({}) == {}


def _expecting(*entries):
    return CfgNode({"TEST": {"EXPECTED_RESULTS": [list(e) for e in entries]}})


@pytest.mark.parametrize("expected", [[], [("bbox", "AP", 12.3, 0.05)], [("bbox", "AP-cat", 1.0, 0.0)]])
def test_verify_agrees(expected):
    assert verify_results(_expecting(*expected), RESULTS) is True


@pytest.mark.parametrize(
    "entry", [("bbox", "AP", 12.0, 0.1), ("bbox", "AP50", 1.0, 100), ("bbox", "none", 1, 9), ("segm", "AP", 1, 9)]
)
def test_verify_leaves_the_program(entry, caplog):
    with pytest.raises(SystemExit) as error:
        verify_results(_expecting(("bbox", "AP", 12.3, 0.05), entry), RESULTS)
    assert error.value.code == 1
    assert f"{entry[0]}/{entry[1]}: expected {entry[2]}" in caplog.text
    assert "expected 12.3 " not in caplog.text
