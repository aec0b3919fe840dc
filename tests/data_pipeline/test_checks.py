"""Every mistake that is planted in a small data set is found, and nothing else."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from detectron2.data.checks import check_coco_json, compare_train_test
from tests.facts import shared_path
from tools.check_dataset import main


@pytest.fixture
def clean(tmp_path):
    """A folder with three pictures, and the content of a json without a mistake."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in (1, 2, 3):
        picture = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 40, "height": 30})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1 + number % 2,
                "bbox": [4.0, 5.0, 20.0, 10.0],
                "area": 200.0,
                "iscrowd": 0,
                "segmentation": [[4, 5, 24, 5, 24, 15]],
            }
        )
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return tmp_path, {"images": images, "annotations": annotations, "categories": categories}


def write(folder, content, name="train.json"):
    (folder / name).write_text(json.dumps(content))
    return folder / name


def checked(folder, content, **options):
    report = check_coco_json(write(folder, content), folder, **options)
    return report, {(f.severity, f.check) for f in report.findings}


def test_a_clean_data_set(clean):
    report, found = checked(*clean)
    assert found == set() and report.ok
    assert (report.images, report.annotations, report.histogram) == (3, 3, {"cat": 1, "dog": 2})


def set_box(box):
    return lambda c, folder: c["annotations"][0].update(bbox=box)


def set_field(part, **values):
    return lambda c, folder: c[part][0].update(values)


def drop_field(part, key):
    return lambda c, folder: c[part][0].pop(key)


def repeat(part):
    return lambda c, folder: c[part].append({**c[part][0]})


def write_file(content):
    return lambda c, folder: (folder / "1.png").write_bytes(content(folder))


def save_rotated(c, folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(folder / "1.png").save(folder / "1.jpg", exif=exif)
    c["images"][0]["file_name"] = "1.jpg"


def truncated(folder):
    return (folder / "1.png").read_bytes()[:900]


ANNOTATION = "annotations"
MISTAKES = [
    (set_box([4, 5, -20, 10]), "error", "inverted box"),
    (set_box([4, 5, 20, 0]), "warning", "empty box"),
    (set_box([4, 5, 20]), "error", "malformed box"),
    (set_box([4, 5, float("nan"), 10]), "error", "malformed box"),
    (set_box(["4", 5, 2, 10]), "error", "malformed box"),
    (set_box(None), "error", "malformed box"),
    (set_box([30, 5, 20, 10]), "warning", "box partly out of the image"),
    (set_box([-3, 5, 20, 10]), "warning", "box partly out of the image"),
    (set_box([41, 5, 20, 10]), "error", "box outside of the image"),
    (set_field(ANNOTATION, segmentation=[[1, 2, 3, 4]]), "warning", "polygon of fewer than 3 points"),
    (set_field(ANNOTATION, segmentation=[[1, 2, 3, 4, 5, None]]), "error", "malformed polygon"),
    (set_field(ANNOTATION, category_id=9), "error", "annotation of no category"),
    (set_field(ANNOTATION, image_id=9), "error", "annotation of no image"),
    (set_field(ANNOTATION, image_id=[1]), "error", "id of a wrong kind"),
    (set_field(ANNOTATION, id=2), "error", "repeated annotation id"),
    (drop_field(ANNOTATION, "id"), "error", "annotation without id"),
    (drop_field(ANNOTATION, "area"), "warning", "no field area"),
    (lambda c, folder: c[ANNOTATION].append({**c[ANNOTATION][0], "id": 9}), "warning", "duplicate box"),
    (lambda c, folder: c[ANNOTATION].clear(), "error", "no annotations"),
    (lambda c, folder: c.pop(ANNOTATION), "error", "missing list"),
    (lambda c, folder: c["categories"].append({"id": 3, "name": "owl"}), "warning", "class without annotations"),
    (repeat("categories"), "error", "repeated category id"),
    (lambda c, folder: c["categories"].append({"id": 3, "name": "cat"}), "error", "repeated class name"),
    (drop_field("categories", "name"), "error", "missing field"),
    (repeat("images"), "error", "repeated image id"),
    (set_field("images", file_name="2.png"), "error", "image listed twice"),
    (set_field("images", file_name="absent.png"), "error", "missing file"),
    (drop_field("images", "file_name"), "error", "missing field"),
    (drop_field("images", "width"), "error", "image without size"),
    (set_field("images", width=30, height=40), "error", "size mismatch"),
    (save_rotated, "error", "size mismatch"),
    (write_file(truncated), "error", "unreadable image"),
    (write_file(lambda folder: b"text"), "error", "unreadable image"),
    (lambda c, folder: shutil.copy(folder / "2.png", folder / "1.png"), "warning", "duplicate image"),
    (lambda c, folder: c["images"].append("4.png"), "error", "missing field"),
]


@pytest.mark.parametrize(("spoil", "severity", "check"), MISTAKES)
def test_mistakes_are_found(clean, spoil, severity, check):
    folder, content = clean
    spoil(content, folder)
    report, found = checked(folder, content)
    assert (severity, check) in found
    assert report.ok == all(s == "warning" for s, _ in found)
    examples = next(f.examples for f in report.findings if f.check == check)
    assert examples and all(examples)


def test_rotation_by_exif_is_what_the_loader_does(clean):
    folder, content = clean
    save_rotated(content, folder)
    content["images"][0].update(width=30, height=40)
    assert ("error", "size mismatch") not in checked(folder, content)[1]


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"text"', b"\xff\xfe\x00"])
def test_a_file_of_something_else(tmp_path, text):
    path = tmp_path / "train.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    report = check_coco_json(path)
    assert not report.ok and report.findings[0].check in ("no valid JSON", "missing list")


def test_fast_reads_headers_only(clean):
    folder, content = clean
    write_file(truncated)(content, folder)
    shutil.copy(folder / "2.png", folder / "3.png")
    report, found = checked(folder, content, fast=True)
    assert found == set() and report.digests == {}


def test_many_mistakes_of_a_kind_are_counted(clean):
    folder, content = clean
    content["annotations"] += [{**content["annotations"][0], "id": i, "bbox": [0, 0, -1, 1]} for i in range(10, 30)]
    report, _ = checked(folder, content)
    assert [(f.check, f.count, len(f.examples)) for f in report.findings if f.check == "inverted box"] == [
        ("inverted box", 20, 5)
    ]


def test_train_against_test(clean):
    folder, content = clean
    train, _ = checked(folder, {**content, "annotations": content["annotations"][:1]})
    other = {**content, "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "hound"}, {"id": 3, "name": "owl"}]}
    test, _ = checked(folder, other)
    found = {f.check: f.count for f in compare_train_test(train, test)}
    assert found == {"different classes": 2, "class tested but not trained": 1, "image in both": 3}
    assert [f.examples for f in compare_train_test(train, checked(*clean)[0]) if "trained" in f.check] == [
        ("cat: 1 annotations in the test",)
    ]
    swapped = check_coco_json(write(folder, {**content, "categories": content["categories"][::-1]}))
    assert [f.check for f in compare_train_test(check_coco_json(write(folder, content)), swapped)] == [
        "classes in another order"
    ]


def test_command(clean, capsys):
    folder, content = clean
    path = str(write(folder, content))
    assert main([path, "--images", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "nothing wrong" in out and "cat" in out and "66.7%" in out
    assert main([path, "--images", str(folder), "--test", path, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["train"]["ok"] and not report["ok"]
    assert report["train_against_test"][0]["check"] == "image in both"
    content["annotations"][0]["bbox"] = [1, 1, 0, 1]
    assert main([str(write(folder, content))]) == 0
    assert "WARNING empty box: 1\n" in capsys.readouterr().out
    assert main([str(folder / "absent.json")]) == 1 and "absent.json" in capsys.readouterr().err
    assert main([path, "--images", str(folder / "absent")]) == 1 and "does not exist" in capsys.readouterr().err


def test_real_data(capsys):
    bccd = shared_path("data/bccd")
    arguments = [str(bccd / "annotations/instances_train.json"), "--images", str(bccd / "images/train"), "--fast"]
    arguments += ["--test", str(bccd / "annotations/instances_val.json"), "--test-images", str(bccd / "images/val")]
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["train"]["histogram"] == {"RBC": 2381, "WBC": 214, "Platelets": 209}
    assert not report["train"]["findings"] and not report["train_against_test"]
