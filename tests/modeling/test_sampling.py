"""Random choice of labels."""

import pytest
import torch

from detectron2.modeling.sampling import subsample_labels
from tests.facts import golden


def test_counts_agree_with_golden():
    numbers = golden("matcher_sampling")
    labels = torch.from_numpy(numbers["labels"])
    for num_samples, fraction, num_positives, num_negatives in numbers["subsample_num_frac_npos_nneg"]:
        positives, negatives = subsample_labels(labels, int(num_samples), fraction, 0)
        assert (len(positives), len(negatives)) == (num_positives, num_negatives)
        assert (labels[positives] > 0).all() and (labels[negatives] == 0).all()
        assert len(set(positives.tolist())) == len(positives)


def test_draws_positives_first_and_then_negatives_from_torchs_generator():
    numbers = golden("matcher_sampling")
    torch.manual_seed(0)
    positives, negatives = subsample_labels(torch.from_numpy(numbers["labels"]), 64, 0.25, 0)
    assert positives.tolist() == numbers["subsample_seed0_pos"].tolist()
    assert negatives.tolist() == numbers["subsample_seed0_neg"].tolist()


@pytest.mark.parametrize(
    "labels, expected",
    [([], (0, 0)), ([-1, -1], (0, 0)), ([3, 3, 5], (2, 0)), ([80, 80, 80, 80, 80], (0, 4)), ([3, 80, -1], (1, 1))],
)
def test_background_may_be_the_last_class_and_candidates_may_be_missing(labels, expected):
    positives, negatives = subsample_labels(torch.tensor(labels, dtype=torch.int64), 4, 0.5, bg_label=80)
    assert (len(positives), len(negatives)) == expected
