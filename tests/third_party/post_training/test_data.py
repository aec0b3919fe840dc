"""Data sets to calibrate on."""

import json
import shutil

import pytest

from third_party.post_training.data import (
    DetectionBatches,
    calibration_records,
    choose,
    find_dataset,
    read_records,
    with_objects,
)


def test_batches_can_be_gone_over_again(trained):
    name = find_dataset(trained.cfg, ["ptq_shapes_train"], "--calib")
    batches = DetectionBatches(trained.cfg, name, read_records(name), batch_size=4)
    rounds = [[sample["image_id"] for batch in batches for sample in batch] for _ in range(2)]
    assert rounds[0] == rounds[1] == [1, 2, 3, 4, 5, 6]
    assert [len(batch) for batch in batches] == [4, 2] and len(batches) == 2
    assert [len(batch) for batch in batches.in_batches_of(5)] == [5, 1] and batches.batch_size == 4
    assert "instances" not in next(iter(batches))[0]
    annotated = DetectionBatches(trained.cfg, name, with_objects(read_records(name))[:1], annotated=True)
    sample = next(iter(annotated))[0]
    assert len(sample["instances"]) > 0 and sample["image"].shape == next(iter(batches))[0]["image"].shape


def test_a_data_set_by_its_files(trained):
    given = [trained.file("train"), str(trained.folder / "train")]
    name = find_dataset(trained.cfg, given, "--calib")
    assert find_dataset(trained.cfg, given, "--calib") == name and len(read_records(name)) == 6


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            ["ptq_shapes_trian"],
            KeyError,
            "--calib: data set 'ptq_shapes_trian' is not registered. Did you mean",
        ),
        (["a.json"], ValueError, "give the folder of its images"),
        (["absent.json", "."], FileNotFoundError, "absent.json does not exist"),
        (["a", "b", "c"], ValueError, "takes the name of a data set, or"),
    ],
)
def test_data_sets_that_are_not_there(trained, given, error, message):
    with pytest.raises(error, match=message):
        find_dataset(trained.cfg, given, "--calib")


def test_images_are_spread_or_drawn():
    records = [{"image_id": i} for i in range(10)]
    assert [r["image_id"] for r in choose(records, 4)] == [0, 2, 5, 7]
    assert choose(records, 0) == records
    draws = [tuple(r["image_id"] for r in choose(records, 4, seed)) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2] and len(set(draws[0])) == 4


def _written(trained, folder, change):
    content = json.loads(open(trained.file("train")).read())
    change(content)
    (folder / "set.json").write_text(json.dumps(content))
    return find_dataset(trained.cfg, [str(folder / "set.json"), str(trained.folder / "train")], "--calib")


def test_empty_calibration_set(trained, tmp_path):
    name = _written(trained, tmp_path, lambda content: content.update(images=[], annotations=[]))
    with pytest.raises(ValueError, match="has no images|No valid data|cannot be used"):
        calibration_records(name)


def test_calibration_set_without_objects(trained, tmp_path):
    name = _written(trained, tmp_path, lambda content: content.update(annotations=[]))
    with pytest.raises(ValueError, match="none of its 6 images has an object"):
        calibration_records(name)


def test_more_images_than_there_are(trained):
    name = find_dataset(trained.cfg, ["ptq_shapes_train"], "--calib")
    with pytest.raises(ValueError, match="7 images to calibrate on, but data set 'ptq_shapes_train' has 6"):
        calibration_records(name, 7)


def test_unreadable_images_are_named(trained, tmp_path):
    shutil.copytree(trained.folder / "train", tmp_path / "train")
    (tmp_path / "train" / "000002.png").write_bytes(b"no image")
    name = find_dataset(trained.cfg, [trained.file("train"), str(tmp_path / "train")], "--calib")
    with pytest.raises(OSError, match="cannot be read: .*000002.png"):
        list(DetectionBatches(trained.cfg, name, read_records(name)))
