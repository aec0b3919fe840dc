import numpy as np
import pytest
import torch

from detectron2.structures import Keypoints, heatmaps_to_keypoints
from tests.facts import golden


@pytest.fixture
def facts():
    return {name: torch.from_numpy(array) for name, array in golden("keypoints").items()}


def test_to_heatmap(facts):
    index, valid = Keypoints(facts["kp"]).to_heatmap(facts["boxes"], 56)
    assert torch.equal(index, facts["heatmap_index"])
    assert torch.equal(valid, facts["valid"])


def test_far_border_belongs_to_the_last_cell():
    points = Keypoints([[[0.0, 0, 2], [8, 8, 2], [8, 4, 0], [8.5, 4, 2], [-0.1, 4, 2]]])
    index, valid = points.to_heatmap(torch.tensor([[0.0, 0, 8, 8]]), 4)
    assert index.tolist() == [[0, 15, 0, 0, 0]] and valid.tolist() == [[1, 1, 0, 0, 0]]


def test_decoding(facts):
    decoded = heatmaps_to_keypoints(facts["logits"], facts["boxes"])
    torch.testing.assert_close(decoded, facts["decoded_xy_logit_score"], rtol=1e-3, atol=1e-3)


def test_none(facts):
    assert heatmaps_to_keypoints(facts["logits"][:0], facts["boxes"][:0]).shape == facts["decoded_empty"].shape
    none = Keypoints(np.zeros((0, 17, 3)))
    index, valid = none.to_heatmap(torch.zeros(0, 4), 56)
    assert len(none) == 0 and index.shape == valid.shape == (0, 17) and index.dtype == torch.int64


def test_indexing_and_cat(facts):
    points = Keypoints(facts["kp"])
    assert torch.equal(points[2].tensor, facts["kp"][2:3])
    assert torch.equal(Keypoints.cat([points[:1], points[1:]]).tensor, points.tensor)
    assert len(points[torch.tensor([True, False, False, True])]) == 2
    assert points.to("cpu").device == torch.device("cpu") and "num_instances=4" in repr(points)


@pytest.mark.parametrize("wrong", [torch.zeros(17, 3), torch.zeros(2, 17, 2)])
def test_wrong_shape_is_named(wrong):
    with pytest.raises(ValueError, match=r"\(N, K, 3\)"):
        Keypoints(wrong)
