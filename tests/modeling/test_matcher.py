"""Matching of predictions to ground truth."""

import pytest
import torch

from detectron2.modeling.matcher import Matcher
from tests.facts import golden

SETTINGS = {
    "rpn": ([0.3, 0.7], [0, -1, 1], True),
    "roi": ([0.5], [0, 1], False),
    "retina": ([0.4, 0.5], [0, -1, 1], True),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_golden(name):
    numbers = golden("matcher_sampling")
    matches, labels = Matcher(*SETTINGS[name])(torch.from_numpy(numbers["quality"]))
    assert matches.dtype == torch.int64 and labels.dtype == torch.int8
    assert matches.tolist() == numbers[f"{name}_matches"].tolist()
    assert labels.tolist() == numbers[f"{name}_labels"].tolist()


def test_without_ground_truth_all_is_background():
    numbers = golden("matcher_sampling")
    matches, labels = Matcher(*SETTINGS["rpn"])(torch.zeros(0, 7))
    assert matches.dtype == torch.int64 and labels.dtype == torch.int8
    assert matches.tolist() == numbers["empty_matches"].tolist()
    assert labels.tolist() == numbers["empty_labels"].tolist()


def test_without_predictions_nothing_is_matched():
    matches, labels = Matcher(*SETTINGS["rpn"])(torch.zeros(0, 0))
    assert len(matches) == len(labels) == 0


def test_all_ties_of_the_best_become_positive():
    quality = torch.tensor([[0.2, 0.1, 0.2, 0.0], [0.0, 0.25, 0.0, 0.1]])
    matches, labels = Matcher(*SETTINGS["rpn"])(quality)
    assert labels.tolist() == [1, 1, 1, 0]
    assert matches.tolist() == [0, 1, 0, 1]
    assert Matcher([0.3, 0.7], [0, -1, 1])(quality)[1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "thresholds, labels, message",
    [
        ([0.7, 0.3], [0, -1, 1], "increasing"),
        ([0.0, 0.5], [0, -1, 1], "positive"),
        ([0.5], [0, -1, 1], "2 labels"),
        ([0.5], [0, 2], "-1, 0, 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(thresholds, labels, message):
    with pytest.raises(ValueError, match=message):
        Matcher(thresholds, labels)
