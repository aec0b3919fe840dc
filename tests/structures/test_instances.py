import copy
import pickle

import numpy as np
import pytest
import torch

from detectron2.structures import BitMasks, Boxes, Instances, Keypoints, PolygonMasks


@pytest.fixture
def objects():
    instances = Instances((20, 30), scores=torch.tensor([0.1, 0.9, 0.5]))
    instances.pred_boxes = Boxes(torch.arange(12.0).view(3, 4))
    instances.names = ["a", "b", "c"]
    instances.pred_masks = BitMasks(torch.eye(3, dtype=torch.bool)[:, None])
    instances.outlines = PolygonMasks([[np.arange(6.0) + i] for i in range(3)])
    instances.points = Keypoints(torch.zeros(3, 2, 3))
    return instances


def test_fields(objects):
    assert objects.image_size == (20, 30) and len(objects) == 3
    assert objects.has("scores") and not objects.has("gt_boxes")
    assert objects.get("names") is objects.names is objects.get_fields()["names"]
    objects.names = ["x", "y", "z"]
    objects.remove("scores")
    assert objects.names[0] == "x" and "scores" not in objects.get_fields()
    with pytest.raises(AttributeError, match="no field 'scores'.*'names'"):
        _ = objects.scores
    with pytest.raises(KeyError):
        objects.get("scores")


@pytest.mark.parametrize(
    "index, expected",
    [
        (1, [1]),
        (-1, [2]),
        (slice(0, 2), [0, 1]),
        (torch.tensor([True, False, True]), [0, 2]),
        (torch.tensor([2, 0, 0]), [2, 0, 0]),
        (torch.zeros(3, dtype=torch.bool), []),
        (np.array([False, True, True]), [1, 2]),
    ],
)
def test_indexing(objects, index, expected):
    chosen = objects[index]
    assert len(chosen) == len(expected) and chosen.image_size == (20, 30)
    assert chosen.names == ["abc"[i] for i in expected]
    assert torch.equal(chosen.scores, objects.scores[expected])
    assert torch.equal(chosen.pred_boxes.tensor, objects.pred_boxes.tensor[expected])
    assert [polygons[0][0] for polygons in chosen.outlines] == expected
    assert len(chosen.pred_masks) == len(chosen.points) == len(expected)


def test_cat_restores_what_indexing_took_apart(objects):
    joined = Instances.cat([objects[i] for i in range(3)])
    assert joined.names == objects.names and len(joined) == 3
    assert torch.equal(joined.scores, objects.scores)
    assert torch.equal(joined.pred_boxes.tensor, objects.pred_boxes.tensor)
    assert torch.equal(joined.pred_masks.tensor, objects.pred_masks.tensor)
    assert Instances.cat([objects]) is objects


def test_to_skips_what_cannot_move(objects):
    moved = objects.to("cpu")
    assert moved is not objects and moved.names == objects.names


def test_copies_and_pickles(objects):
    for other in (copy.copy(objects), copy.deepcopy(objects), pickle.loads(pickle.dumps(objects))):
        assert other.names == objects.names and torch.equal(other.scores, objects.scores)


def test_text_names_size_and_fields(objects):
    assert "num_instances=3" in str(objects) and "image_height=20" in repr(objects) and "names" in str(objects)
    assert "num_instances=0" in str(Instances((1, 1)))


def test_no_objects():
    none = Instances((5, 5), gt_boxes=Boxes([]), gt_classes=torch.zeros(0, dtype=torch.int64))
    assert len(none) == 0 and len(none[none.gt_classes > 0]) == 0
    assert len(Instances.cat([none, none])) == 0


def test_wrong_use_is_named(objects):
    with pytest.raises(ValueError, match="'gt_classes' has 2 entries.*3 objects"):
        objects.gt_classes = torch.zeros(2)
    with pytest.raises(ValueError, match="'depth' .* got float"):
        objects.depth = 3.0
    for index in (3, -4):
        with pytest.raises(IndexError, match="3 objects"):
            objects[index]
    with pytest.raises(NotImplementedError, match="no length"):
        len(Instances((1, 1)))
    with pytest.raises(NotImplementedError, match="instances\\[i\\]"):
        iter(objects)


@pytest.mark.parametrize(
    "tables, message",
    [
        ([], "no Instances"),
        ([Instances((1, 2)), Instances((2, 1))], r"\(1, 2\) and \(2, 1\)"),
        ([Instances((1, 1), a=[1]), Instances((1, 1), b=[1])], "fields"),
        ([Instances((1, 1), a="x"), Instances((1, 1), a="y")], "'a' is of str"),
    ],
)
def test_tables_that_do_not_join(tables, message):
    with pytest.raises(ValueError, match=message):
        Instances.cat(tables)
