"""Mistakes of the command: a line that names them, and nothing half done."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.modeling import build_model
from detectron2.modeling.meta_arch.retinanet import RetinaNetHead
from tests.engine.test_default_trainer import shapes_config
from third_party.deploy import registry
from third_party.post_training import workflow
from third_party.post_training.command import main

CHEAP = ("STEPS.MIGRATE", "False", "STEPS.BIAS_CORRECTION", "False", "ACTIVATIONS.OBSERVER", "minmax", "IMAGES", "1")
CALIBRATED = ("--calib", "ptq_shapes_train", "--no-eval", *CHEAP)


@pytest.fixture(scope="module")
def small(trained, tmp_path_factory):
    """A detector that is traced in seconds: its config and its weights."""
    folder, cfg = tmp_path_factory.mktemp("small"), trained.cfg.clone()
    cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS, cfg.MODEL.RETINANET.NUM_CONVS = 18, 8, 1
    DetectionCheckpointer(build_model(cfg), str(folder)).save("float")
    return cfg, str(folder / "float.pth")


@pytest.fixture
def refused(small, tmp_path, capsys):
    """Runs the command, which must fail, leave the folder of results as it was, and end with the line returned."""
    out = tmp_path / "runs" / "results"

    def run(*more, out=out, weights=small[1], cfg=small[0]):
        file = tmp_path / "config.yaml"
        file.write_text(cfg.dump())
        capsys.readouterr()
        before = _content(out.parent)
        given = ("--config-file", file, "--weights", weights, "--out", out, *more)
        assert main([str(word) for word in given]) == 1
        assert _content(out.parent) == before
        *others, last = capsys.readouterr().err.splitlines()
        assert last.startswith("error: ") and not any("Traceback" in line for line in others)
        return last

    out.mkdir(parents=True)
    (out / "quantized.pth").write_text("of an earlier run")
    return run


def _content(folder):
    """Texts by names, hidden ones too; those of the system are left alone."""
    if Path("/proc") in (folder, *folder.parents):
        return None
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(images=[], annotations=[]), "set.json lists no images"),
        (lambda content: content.update(annotations=[]), "none of its 6 images has an object"),
        (lambda content: content.pop("images"), "set.json has no list 'images'"),
        (lambda content: content["images"][0].update(file_name="absent.png"), "absent.png"),
    ],
)
def test_calibration_sets_of_no_use(refused, trained, tmp_path, change, message):
    content = json.loads(Path(trained.file("train")).read_text())
    change(content)
    (tmp_path / "set.json").write_text(json.dumps(content))
    given = ("--calib", tmp_path / "set.json", "--calib-images", trained.folder / "train", "--no-eval", "--no-export")
    assert message in refused(*given)


def test_calibration_sets_that_cannot_be_read(refused, trained, tmp_path):
    (tmp_path / "half.json").write_text('{"images": [')
    images = ("--calib-images", trained.folder / "train", "--no-eval", "--no-export")
    assert "half.json" in refused("--calib", tmp_path / "half.json", *images)
    assert "absent.json does not exist" in refused("--calib", tmp_path / "absent.json", *images)
    shutil.copytree(trained.folder / "train", tmp_path / "train")
    (tmp_path / "train" / "000001.png").write_bytes(b"no image")
    images = ("--calib-images", tmp_path / "train", "--no-eval", "--no-export")
    assert "000001.png" in refused("--calib", trained.file("train"), *images)


def test_weights_that_do_not_fit(refused, trained, small, tmp_path):
    other = shapes_config(trained.folder, tmp_path, "faster_rcnn_fpn_tiny")
    assert "weights of another model than the config describes" in refused(*CALIBRATED, cfg=other)
    whole = Path(small[1]).read_bytes()
    (tmp_path / "half.pth").write_bytes(whole[: len(whole) // 2])
    assert "half.pth" in refused(*CALIBRATED, weights=tmp_path / "half.pth")
    assert "absent.pth do not exist" in refused(*CALIBRATED, weights="absent.pth")


def test_folders_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "is a file" in refused(*CALIBRATED, out=tmp_path / "file")
    assert "cannot be written" in refused(*CALIBRATED, out=Path("/proc/results"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--max-drop", "1", "--no-eval"), "max_drop needs a data set to evaluate on"),
        (("--audit", "--no-eval"), "audit needs a data set to evaluate on"),
        (("--sensitivity", "--no-eval"), "sensitivity needs a data set to evaluate on"),
        (("--engines", "openvino", "--no-export"), "engines openvino run exported files, but export is off"),
        (("--eval-images", "folder"), "--eval-images folder: give the COCO json file of these images by --eval"),
    ],
)
def test_settings_that_contradict_each_other(refused, more, message):
    assert message in refused("--calib", "ptq_shapes_train", *more)


def test_images_without_their_annotations(refused):
    assert "--calib-images folder: give the COCO json file" in refused("--calib-images", "folder")


def test_a_detector_without_an_exportable_form_is_refused_before_calibration(refused, monkeypatch):
    monkeypatch.setattr(registry, "_BUILDERS", {})
    monkeypatch.setattr(workflow, "calibrate_detector", lambda *_: pytest.fail("calibrated"))
    assert "no exportable form of RetinaNet is known" in refused(*CALIBRATED)


@torch.library.custom_op("post_training_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    """An operator that no engine has."""
    return x * 2


@twice.register_fake
def _(x):
    return torch.empty_like(x)


def _branching(features):
    return [x + 1 if x.sum() > 0 else x for x in features]


def _of_its_own(features):
    return [twice(x) for x in features]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_branching, "RetinaNet, form detector, cannot be traced by torch.export: Could not guard on data"),
        (_of_its_own, "post_training_tests.twice"),
    ],
)
def test_operators_that_cannot_be_exported(refused, monkeypatch, change, message):
    pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")
    forward = RetinaNetHead.forward
    monkeypatch.setattr(RetinaNetHead, "forward", lambda self, features: forward(self, change(features)))
    monkeypatch.setattr(workflow, "_engines", lambda request: [])
    assert message in refused("--no-nms", *CALIBRATED)
