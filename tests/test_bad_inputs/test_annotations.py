"""COCO json files, through ``register_coco_instances`` and the catalog."""

import json

import pytest

from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_train_loader
from detectron2.data.datasets import load_coco_json, register_coco_instances
from tests.test_bad_inputs.material import annotation, coco, image

NAN, INF = float("nan"), float("inf")
TRIANGLE = [1, 1, 9, 1, 9, 9]


def without(content, key):
    return {k: v for k, v in content.items() if k != key}


def images(**changes):
    return coco(images=[image(**changes)])


def annotations(**changes):
    return coco(annotations=[annotation(**changes)])


def rle(**changes):
    return annotations(segmentation={"size": [40, 50], "counts": [100, 1900], **changes})


BROKEN = {
    "empty file": ("", "not valid JSON"),
    "cut off": (json.dumps(coco())[:90], "not valid JSON.*column"),
    "binary": (b"\xff\xfe\x00abc", "not valid JSON.*byte 0xff"),
    "a list": ([annotation()], "holds a list.*form of results"),
    "null": ("null", "holds a NoneType"),
    "no images": (without(coco(), "images"), "no list 'images'; its keys are: annotations, categories"),
    "no categories": (without(coco(), "categories"), "no list 'categories'"),
    "images by id": (coco(images={"5": image()}), "'images' must be a list, but is a dict"),
    "an image that is a number": (coco(images=[3]), r"images\[0\] must be an object, but is 3"),
    "no width": (coco(images=[without(image(), "width")]), r"images\[0\] has no field 'width'"),
    "no file name": (coco(images=[without(image(), "file_name")]), r"images\[0\] has no field 'file_name'"),
    "file name null": (images(file_name=None), r"images\[0\]: 'file_name' is None"),
    "file name empty": (images(file_name=""), r"images\[0\]: 'file_name' is ''"),
    "height as text": (images(height="40"), r"images\[0\]: 'height' is '40'.*positive integer"),
    "height 0": (images(height=0), r"images\[0\]: 'height' is 0"),
    "height NaN": (images(height=NAN), r"images\[0\]: 'height' is nan"),
    "id that is a list": (images(id=[5]), r"images\[0\]: 'id' is \[5\]"),
    "id null": (images(id=None), r"images\[0\]: 'id' is None"),
    "ids of two types": (coco(images=[image(), image(id="6")]), "ids of images are numbers and strings mixed"),
    "image twice": (coco(images=[image(), image()]), "images repeat the id 5"),
    "category twice": (coco(categories=[{"id": 7, "name": "a"}] * 2), "categories repeat the id 7"),
    "category without name": (coco(categories=[{"id": 7}]), r"categories\[0\] has no field 'name'"),
    "category name 5": (coco(categories=[{"id": 7, "name": 5}]), r"categories\[0\]: 'name' is 5"),
    "annotation twice": (coco(annotations=[annotation(), annotation()]), "annotations repeat the id 1"),
    "annotations null": (coco(annotations=None), "'annotations' must be a list"),
    "annotation without id": (coco(annotations=[without(annotation(), "id")]), r"annotations\[0\] has no field 'id'"),
    "no box": (coco(annotations=[without(annotation(), "bbox")]), r"annotations\[0\] has no field 'bbox'"),
    "image that is not there": (annotations(image_id=9), "annotation 1 has image_id 9, which is no image"),
    "image id as text": (annotations(image_id="5"), "annotation 1 has image_id '5', which is no image"),
    "category that is not there": (annotations(category_id=0), r"annotation 1 has category_id 0.*\[3, 7\]"),
    "category id that is a list": (annotations(category_id=[7]), r"'category_id' is \[7\]"),
    "crowd 'yes'": (annotations(iscrowd="yes"), "annotation 1: iscrowd is 'yes', but must be 0 or 1"),
    "box of 3": (annotations(bbox=[1, 2, 3]), "annotation 1: bbox.*x, y, width, height"),
    "box null": (annotations(bbox=None), "annotation 1: bbox None"),
    "box of texts": (annotations(bbox=["1", "2", "3", "4"]), "annotation 1: bbox.*no finite number"),
    "box with NaN": (annotations(bbox=[NAN, 2, 3, 4]), "annotation 1: bbox.*no finite number"),
    "box with infinity": (annotations(bbox=[1, 2, INF, 4]), "annotation 1: bbox.*no finite number"),
    "box beyond float32": (annotations(bbox=[1, 2, 1e300, 4]), "annotation 1: bbox.*no finite number"),
    "box beyond float": (annotations(bbox=[1, 2, 10**400, 4]), "annotation 1: bbox.*no finite number"),
    "inverted box": (annotations(bbox=[30, 30, -20, 5]), "annotation 1: bbox.*negative width or height"),
    "mask as text": (annotations(segmentation="mask"), "annotation 1: a segmentation is a list of polygons"),
    "flat polygon": (annotations(segmentation=TRIANGLE), "annotation 1: a segmentation is a list of polygons"),
    "polygon of points": (annotations(segmentation=[[[1, 1], [9, 1], [9, 9]]]), "annotation 1: a polygon.*no finite"),
    "polygon with NaN": (annotations(segmentation=[[NAN, *TRIANGLE[1:]]]), "annotation 1: a polygon.*no finite"),
    "polygon with null": (annotations(segmentation=[[None, *TRIANGLE[1:]]]), "annotation 1: a polygon.*no finite"),
    "RLE without counts": (annotations(segmentation={"size": [40, 50]}), "annotation 1: .*RLE needs 'size' and"),
    "RLE of another size": (rle(size=[50, 40]), r"annotation 1: .*RLE has size \[50, 40\], its image .* \[40, 50\]"),
    "RLE that ends early": (rle(counts=[100, 100]), "annotation 1: .*add up to 2000"),
    "RLE with negative run": (rle(counts=[-100, 2100]), "annotation 1: .*non-negative integers"),
    "RLE of texts": (rle(counts=["a"]), "annotation 1: .*non-negative integers"),
    "keypoints of 2 numbers": (annotations(keypoints=[1, 2]), "annotation 1: keypoints are a list"),
    "keypoints with NaN": (annotations(keypoints=[NAN, 2, 1]), "annotation 1: keypoints are a list"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_errors_name_file_entry_and_field(case, dataset):
    content, message = BROKEN[case]
    path = dataset.write(content)
    name = dataset.register()
    before = dataset.json_file.read_bytes()
    with pytest.raises(ValueError, match=message) as error:
        DatasetCatalog.get(name)
    assert path in str(error.value)
    assert dataset.json_file.read_bytes() == before
    # a mended file is read without registering it anew
    dataset.write(coco())
    assert len(DatasetCatalog.get(name)) == 1


REPAIRED = {
    "box without width": (annotations(bbox=[1, 2, 0, 20]), "left out 1 annotations whose box has no area"),
    "polygon of 2 points": (annotations(segmentation=[[1, 2, 3, 4]]), "1 without a valid polygon"),
    "polygon of 7 numbers": (annotations(segmentation=[[*TRIANGLE, 1]]), "1 without a valid polygon"),
    "no annotations": (without(coco(), "annotations"), "taken as unlabelled"),
}


@pytest.mark.parametrize("case", REPAIRED)
def test_what_is_left_out_is_logged(case, dataset, log):
    content, message = REPAIRED[case]
    path = dataset.write(content)
    (record,) = DatasetCatalog.get(dataset.register())
    assert record["annotations"] == []
    assert message in log.text and path in log.text


def test_whole_numbers_written_as_floats(dataset):
    dataset.write(images(height=40.0, width=50.0))
    (record,) = DatasetCatalog.get(dataset.register())
    assert (record["height"], record["width"]) == (40, 50) and type(record["height"]) is int


@pytest.mark.parametrize("path", ["absent.json", "images"])
def test_a_path_that_is_no_file(path, dataset, tmp_path):
    with pytest.raises(OSError, match=path):
        load_coco_json(str(tmp_path / path), "")


def test_names_taken_and_unknown(dataset):
    name = dataset.register()
    with pytest.raises(ValueError, match=f"'{name}' is registered already"):
        dataset.register()
    with pytest.raises(KeyError, match=f"'bad_input' is not registered; close names: {name}"):
        DatasetCatalog.get("bad_input")
    with pytest.raises(TypeError, match="json_file must be a string, got NoneType"):
        register_coco_instances("bad_inputs_2", {}, None, "")
    with pytest.raises(ValueError, match="empty"):
        MetadataCatalog.get("")


def test_metadata_with_other_classes_than_the_file(dataset):
    name = dataset.register(thing_classes=["bird"])
    with pytest.raises(ValueError, match=r"annotations\.json: its categories.*'thing_classes'.*bird.*dog"):
        DatasetCatalog.get(name)


UNUSABLE = {
    "no annotations": (coco(annotations=[]), "none of its 1 images has an annotation.*FILTER_EMPTY_ANNOTATIONS False"),
    "crowds only": (annotations(iscrowd=1), "none of its 1 images has an annotation.*FILTER_EMPTY_ANNOTATIONS False"),
    "no images": (coco(images=[], annotations=[]), r"is empty: .*annotations\.json lists no images"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_nothing_to_train_on(case, dataset, tmp_path):
    content, message = UNUSABLE[case]
    dataset.write(content)
    cfg = dataset.config(tmp_path / "out")
    name = dataset.register()
    with pytest.raises(ValueError, match=message) as error:
        build_detection_train_loader(cfg)
    assert name in str(error.value)


@pytest.mark.parametrize("case", ["kept empty images", "boxes outside"])
def test_pictures_whose_objects_are_gone_still_train(case, dataset, tmp_path):
    dataset.write(coco(annotations=[]) if case == "kept empty images" else annotations(bbox=[500, 500, 9, 9]))
    cfg = dataset.config(tmp_path / "out")
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = case != "kept empty images"
    dataset.register()
    ((sample,),) = [next(iter(build_detection_train_loader(cfg)))]
    assert len(sample["instances"]) == 0


MASKS = {
    "RLE as polygons": (rle(), "polygon", "set INPUT.MASK_FORMAT bitmask"),
    "some without mask": (
        coco(annotations=[annotation(segmentation=[TRIANGLE]), annotation(id=2)]),
        "polygon",
        "1 of the 2 annotations of an image have no 'segmentation'",
    ),
    "garbage RLE": (rle(counts="zzzzzzzzzzzzoooooo"), "bitmask", "RLE"),
}


@pytest.mark.parametrize("case", MASKS)
def test_masks_of_the_wrong_kind(case, dataset, tmp_path):
    content, mask_format, message = MASKS[case]
    dataset.write(content)
    cfg = dataset.config(tmp_path / "out")
    cfg.MODEL.MASK_ON, cfg.INPUT.MASK_FORMAT = True, mask_format
    dataset.register()
    with pytest.raises(ValueError, match=message) as error:
        next(iter(build_detection_train_loader(cfg)))
    assert "a.png" in str(error.value)
