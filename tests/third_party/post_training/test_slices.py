"""Parts of a data set."""

import json

import pytest

from detectron2.data import MetadataCatalog
from third_party.post_training.slices import class_counts, size_counts, slices_of


@pytest.fixture
def dataset(tmp_path):
    images = [
        {"id": i, "file_name": f"{i}.png", "weather": "rain" if i % 3 == 0 else "sun", "exposure": float(i)}
        for i in range(30)
    ]
    annotations = [{"id": i, "image_id": i % 5, "bbox": [0, 0, 9, 9], "occluded": i % 2} for i in range(20)]
    (tmp_path / "set.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    name = f"slices_{tmp_path.name}"
    MetadataCatalog.get(name).json_file = str(tmp_path / "set.json")
    return name


def test_columns_of_images_and_annotations(dataset):
    found = slices_of(dataset, range(30))
    assert found["weather=rain"] == list(range(0, 30, 3)) and len(found["weather=sun"]) == 20
    # Numbers of many values are cut into thirds.
    assert found["exposure=below 10.0"] == list(range(10)) and found["exposure=from 20.0"] == list(range(20, 30))
    assert found["exposure=10.0 to 20.0"] == list(range(10, 20))
    # Image i % 5 has annotations i, i + 5, ...: both values, each.
    assert sorted(found["occluded=0"]) == sorted(found["occluded=1"]) == [0, 1, 2, 3, 4]
    assert set(name.split("=")[0] for name in found) == {"weather", "exposure", "occluded"}


def test_some_columns_of_some_images(dataset):
    assert slices_of(dataset, [0, 1, 2, 3], ["weather"]) == {"weather=rain": [0, 3], "weather=sun": [1, 2]}
    with pytest.raises(KeyError, match="no column fog; it has weather, exposure, occluded"):
        slices_of(dataset, [0, 1], ["fog"])


def test_counts():
    records = [
        {"annotations": [{"category_id": 1, "bbox": [5, 5, 32, 31]}, {"category_id": 1, "bbox": [5, 5, 32, 32]}]},
        {"annotations": [{"category_id": 0, "bbox": [5, 5, 96, 96]}]},
        {},
    ]
    assert class_counts(records, ["a", "b", "c"]) == {"a": 1, "b": 2, "c": 0}
    assert size_counts(records) == {"small": 1, "medium": 1, "large": 1}
