import json

import numpy as np
import pytest

from detectron2.data.catalog import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import builtin, load_coco_json, load_sem_seg, register_coco_instances
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES, _get_builtin_metadata
from detectron2.data.datasets.coco_writer import convert_to_coco_dict, convert_to_coco_json
from detectron2.structures import BoxMode
from tests.facts import golden_json, shared_path


def coco(**changes):
    content = {
        "images": [{"id": 5, "file_name": "a.jpg", "height": 40, "width": 50}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 7, "bbox": [1, 2, 10, 20], "iscrowd": 0, "area": 200},
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
    }
    content.update(changes)
    return content


def annotation(**changes):
    return {**coco()["annotations"][0], **changes}


def written(tmp_path, content):
    path = tmp_path / "coco.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


@pytest.fixture
def name():
    yield "coco_under_test"
    for catalog in (DatasetCatalog, MetadataCatalog):
        if "coco_under_test" in catalog.list():
            catalog.remove("coco_under_test")


def test_golden(tmp_path, name):
    records = load_coco_json(written(tmp_path, golden_json("coco/gt")), "", name)
    for mine, expected in zip(records, golden_json("coco/load_coco_json_first3"), strict=False):
        assert json.loads(json.dumps(mine)) == expected
        assert [list(a) for a in mine["annotations"]] == [list(a) for a in expected["annotations"]]


def test_classes_are_numbered_by_ascending_id(tmp_path, name):
    (record,) = load_coco_json(written(tmp_path, coco()), "root", name)
    assert record["file_name"] == "root/a.jpg"
    assert record["annotations"][0]["category_id"] == 1
    assert MetadataCatalog.get(name).thing_classes == ["dog", "cat"]
    (record,) = load_coco_json(written(tmp_path, coco()), "root")
    assert record["annotations"][0]["category_id"] == 7


def test_numbers_are_floats_so_that_resizing_does_not_round(tmp_path):
    polygon = [1, 2, 10, 2, 10, 20]
    (record,) = load_coco_json(written(tmp_path, coco(annotations=[annotation(segmentation=[polygon])])), "")
    (entry,) = record["annotations"]
    assert all(type(v) is float for v in entry["bbox"] + entry["segmentation"][0])
    assert entry["bbox_mode"] == BoxMode.XYWH_ABS


@pytest.mark.parametrize(
    "changes,logged",
    [
        ({"bbox": [1, 2, 0, 20]}, "left out 1 annotations whose box has no area and 0"),
        ({"segmentation": [[1, 2, 3, 4]]}, "and 1 without a valid polygon"),
        ({"segmentation": [[1, 2, 3, 4, 5]]}, "and 1 without a valid polygon"),
    ],
)
def test_annotations_of_no_area_are_left_out_and_counted(changes, logged, tmp_path, caplog):
    path = written(tmp_path, coco(annotations=[annotation(**changes), annotation(id=2)]))
    (record,) = load_coco_json(path, "")
    assert len(record["annotations"]) == 1
    assert logged in caplog.text and path in caplog.text


def test_images_without_annotations(tmp_path, caplog):
    assert load_coco_json(written(tmp_path, coco(annotations=[])), "")[0]["annotations"] == []
    unlabelled = {k: v for k, v in coco().items() if k != "annotations"}
    assert load_coco_json(written(tmp_path, unlabelled), "")[0]["annotations"] == []
    assert "taken as unlabelled" in caplog.text


@pytest.mark.parametrize(
    "content,message",
    [
        ('{"images": [', "not valid JSON.*column"),
        ("", "not valid JSON"),
        ("[]", "holds a list"),
        ({"images": []}, "no list 'categories'"),
        (coco(images=[{"id": 1, "file_name": "a", "height": 3}]), r"images\[0\] has no field 'width'"),
        (coco(images=coco()["images"] * 2), "images repeat the id 5"),
        (coco(annotations=[annotation(), annotation()]), "annotations repeat the id 1"),
        (coco(annotations=[annotation(image_id=9)]), "annotation 1 has image_id 9, which is no image"),
        (coco(annotations=[annotation(category_id=0)]), r"annotation 1 has category_id 0; the categories are \[3, 7\]"),
        (coco(annotations=[{"id": 1, "image_id": 5, "category_id": 7}]), r"annotations\[0\] has no field 'bbox'"),
        (coco(annotations=[annotation(bbox=[1, 2, 3])]), "annotation 1: bbox.*x, y, width, height"),
        (coco(annotations=[annotation(bbox=[1, 2, -3, 4])]), "annotation 1: bbox.*negative"),
        (coco(annotations=[annotation(bbox=[float("nan"), 2, 3, 4])]), "annotation 1: bbox.*no finite number"),
        (coco(annotations=[annotation(bbox=[1, 2, float("inf"), 4])]), "annotation 1: bbox.*no finite number"),
        (coco(annotations=[annotation(bbox=["1", 2, 3, 4])]), "annotation 1: bbox.*no finite number"),
        (coco(annotations=[annotation(segmentation="mask")]), "annotation 1: a segmentation is a list"),
        (coco(annotations=[annotation(segmentation={"counts": "x"})]), "annotation 1: the segmentation RLE"),
    ],
)
def test_errors_name_file_entry_and_field(content, message, tmp_path):
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        load_coco_json(path, "")
    assert path in str(error.value)


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="absent.json"):
        load_coco_json("absent.json", "")


def test_written_again_it_says_the_same(tmp_path, name):
    path = written(tmp_path, golden_json("coco/gt"))
    register_coco_instances(name, {"note": 1}, path, "")
    assert MetadataCatalog.get(name).evaluator_type == "coco" and MetadataCatalog.get(name).note == 1
    given = {a["id"]: a for a in golden_json("coco/gt")["annotations"]}
    again = json.loads(json.dumps(convert_to_coco_dict(name)))
    by_box = {(a["image_id"], tuple(a["bbox"])): a for a in again["annotations"]}
    assert len(again["annotations"]) == len(given)
    for expected in given.values():
        mine = by_box[expected["image_id"], tuple(expected["bbox"])]
        assert mine["category_id"] == expected["category_id"] and mine["iscrowd"] == expected["iscrowd"]
        np.testing.assert_allclose(mine["keypoints"], expected["keypoints"])
        assert mine["num_keypoints"] == expected["num_keypoints"]
    assert {c["id"] for c in again["categories"]} == {c["id"] for c in golden_json("coco/gt")["categories"]}


def test_conversion_is_cached_and_keeps_the_former_file(tmp_path, name, caplog):
    target = tmp_path / "sub" / "out.json"
    DatasetCatalog.register(
        name,
        lambda: [
            {
                "file_name": "a.jpg", "height": 4, "width": 5, "image_id": 1,
                "annotations": [
                    {"bbox": [0, 0, 2, 3], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0,
                     "segmentation": [[0, 0, 2, 0, 2, 3, 0, 3]]},
                ],
            }
        ],
    )  # fmt: skip
    MetadataCatalog.get(name).thing_classes = ["cat"]
    convert_to_coco_json(name, str(target))
    (entry,) = json.loads(target.read_text())["annotations"]
    assert entry["bbox"] == [0, 0, 2, 3] and entry["area"] == 6
    before = target.stat().st_mtime_ns
    convert_to_coco_json(name, str(target))
    assert target.stat().st_mtime_ns == before and "cached" in caplog.text
    convert_to_coco_json(name, str(target), allow_cached=False)
    assert target.stat().st_mtime_ns > before


def test_label_maps_are_paired(tmp_path, caplog):
    for folder, files in (("gt", ["a.png", "b.png", "x.txt"]), ("image", ["a.jpg", "c.jpg"])):
        (tmp_path / folder).mkdir()
        for file in files:
            (tmp_path / folder / file).touch()
    (record,) = load_sem_seg(str(tmp_path / "gt"), str(tmp_path / "image"))
    assert record["sem_seg_file_name"].endswith("gt/a.png") and record["file_name"].endswith("image/a.jpg")
    assert "1 images" in caplog.text
    with pytest.raises(ValueError, match="no label map"):
        load_sem_seg(str(tmp_path / "image"), str(tmp_path / "image"))
    with pytest.raises(ValueError, match="no image"):
        load_sem_seg(str(tmp_path / "gt"), str(tmp_path / "gt"))


def test_builtin_names():
    assert {"coco_2017_train", "coco_2017_val", "shapes_train", "shapes_val"} <= set(DatasetCatalog.list())
    metadata = _get_builtin_metadata("coco")
    assert len(metadata["thing_classes"]) == 80 and len(COCO_CATEGORIES) == 133
    assert metadata["thing_dataset_id_to_contiguous_id"][90] == 79
    assert metadata["thing_classes"][0] == "person" and metadata["thing_classes"][79] == "toothbrush"
    assert len({c["id"] for c in COCO_CATEGORIES}) == 133
    assert MetadataCatalog.get("coco_2017_val").thing_classes == metadata["thing_classes"]
    assert set(builtin._PREDEFINED_SPLITS_COCO["coco"]) <= set(DatasetCatalog.list())
    with pytest.raises(KeyError, match="coco, shapes"):
        _get_builtin_metadata("cocoo")


@pytest.mark.parametrize("path,images,boxes", [("bccd/annotations/instances_train.json", 205, 2804)])
def test_real_data(path, images, boxes):
    records = load_coco_json(str(shared_path("data/" + path)), "")
    assert len(records) == images and sum(len(r["annotations"]) for r in records) == boxes
