"""Settings that are no good, through the set-up of ``tools/train_net.py`` and ``DefaultTrainer``."""

import pytest

from detectron2.engine import DefaultTrainer, default_argument_parser
from tests.test_bad_inputs.material import contents
from tools.train_net import setup

# What the set-up refuses, before anything is built.
EARLY = {
    "no such device": (["MODEL.DEVICE", "gpu"], ValueError, "MODEL.DEVICE 'gpu' is not a device name.*'auto'"),
    "missing device": (["MODEL.DEVICE", "cuda:97"], ValueError, "MODEL.DEVICE 'cuda:97' is not there.*'auto'"),
    "missing weights": (["MODEL.WEIGHTS", "absent.pth"], FileNotFoundError, "MODEL.WEIGHTS: absent.pth does not"),
    "test set misspelt": (["DATASETS.TEST", "bad_input"], KeyError, "DATASETS.TEST: .*'bad_input'.*mean bad_inputs"),
    "train set misspelt": (["DATASETS.TRAIN", "('bad_imputs',)"], KeyError, "DATASETS.TRAIN: .*mean bad_inputs"),
    "unclosed name": (["DATASETS.TRAIN", "('bad_inputs'"], KeyError, "DATASETS.TRAIN: data set"),
    "classes of COCO": (
        ["MODEL.RETINANET.NUM_CLASSES", "80"],
        ValueError,
        "RETINANET.NUM_CLASSES is 80, but data set 'bad_inputs' has 2 classes .*cat.*: set .* to 2",
    ),
    "pair for a triple": (["DATASETS.COCO_INSTANCES", "(('a', 'b'),)"], ValueError, "COCO_INSTANCES: .*not a triple"),
    "triple without file": (
        ["DATASETS.COCO_INSTANCES", "(('a', 'absent.json', '.'),)"],
        FileNotFoundError,
        "COCO_INSTANCES: the json file of 'a', absent.json, does not exist",
    ),
    "no iterations": (["SOLVER.MAX_ITER", "0"], ValueError, "SOLVER.MAX_ITER is 0.* at least 1"),
    "iterations None": (["SOLVER.MAX_ITER", "None"], ValueError, "SOLVER.MAX_ITER is None"),
    "empty batch": (["SOLVER.IMS_PER_BATCH", "0"], ValueError, "SOLVER.IMS_PER_BATCH is 0"),
    "negative rate": (["SOLVER.BASE_LR", "-0.1"], ValueError, "SOLVER.BASE_LR is -0.1"),
    "infinite rate": (["SOLVER.BASE_LR", "1e999"], ValueError, "SOLVER.BASE_LR is inf"),
    "negative decay": (["SOLVER.WEIGHT_DECAY", "-0.1"], ValueError, "SOLVER.WEIGHT_DECAY is -0.1"),
    "negative momentum": (["SOLVER.MOMENTUM", "-0.9"], ValueError, "SOLVER.MOMENTUM is -0.9"),
    "negative gamma": (["SOLVER.GAMMA", "-1.0"], ValueError, "SOLVER.GAMMA is -1.0"),
    "negative warm-up": (["SOLVER.WARMUP_ITERS", "-1"], ValueError, "SOLVER.WARMUP_ITERS is -1"),
    "unknown warm-up": (["SOLVER.WARMUP_METHOD", "cubic"], ValueError, "WARMUP_METHOD is 'cubic'.*linear, constant"),
    "no accumulation": (["SOLVER.ACCUMULATION_STEPS", "0"], ValueError, "SOLVER.ACCUMULATION_STEPS is 0"),
    "negative clipping": (
        ["SOLVER.CLIP_GRADIENTS.ENABLED", "True", "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "-1.0"],
        ValueError,
        "SOLVER.CLIP_GRADIENTS.CLIP_VALUE is -1.0",
    ),
    "unknown precision": (["SOLVER.AMP.PRECISION", "float8"], ValueError, "AMP.PRECISION is 'float8'.*float16"),
    "negative workers": (["DATALOADER.NUM_WORKERS", "-1"], ValueError, "DATALOADER.NUM_WORKERS is -1"),
    "no sizes": (["INPUT.MIN_SIZE_TRAIN", "()"], ValueError, "INPUT.MIN_SIZE_TRAIN"),
    "negative size": (["INPUT.MIN_SIZE_TRAIN", "(-3,)"], ValueError, "INPUT.MIN_SIZE_TRAIN"),
    "unknown mask format": (["INPUT.MASK_FORMAT", "rle"], ValueError, "INPUT.MASK_FORMAT is 'rle'.*polygon, bitmask"),
    "division by 0": (["MODEL.PIXEL_STD", "[1.0, 0.0, 1.0]"], ValueError, r"MODEL.PIXEL_STD is \[1.0, 0.0, 1.0\]"),
    "stopping without evaluation": (["TEST.EARLY_STOPPING.ENABLED", "True"], ValueError, "TEST.EVAL_PERIOD is 0"),
    "stopping in the middle": (["TEST.EARLY_STOPPING.MODE", "mean"], ValueError, "EARLY_STOPPING.MODE is 'mean'"),
    "unknown precision of products": (["FLOAT32_PRECISION", "double"], ValueError, "FLOAT32_PRECISION is 'double'"),
    "test-time augmentation": (["TEST.AUG.ENABLED", "True"], ValueError, "TEST.AUG.ENABLED"),
}


def command_line(dataset, tmp_path, overrides, **kwargs):
    config_file = tmp_path / "good.yaml"
    config_file.write_text(dataset.config(tmp_path / "out", **kwargs).dump())
    return default_argument_parser().parse_args(["--config-file", str(config_file), *overrides])


@pytest.mark.parametrize("case", EARLY)
def test_setup_refuses(case, dataset, tmp_path):
    overrides, kind, message = EARLY[case]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model_final.pth").write_bytes(b"of an earlier run")
    (tmp_path / "out" / "config.yaml").write_bytes(b"of an earlier run")
    with pytest.raises(kind, match=message):
        setup(command_line(dataset, tmp_path, overrides))
    after = contents(tmp_path / "out")
    assert after["model_final.pth"] == b"of an earlier run"
    assert case.startswith("unknown precision of") or after["config.yaml"] == b"of an earlier run"


def test_a_bare_name_of_a_test_set_is_one_name(dataset, tmp_path):
    cfg = setup(command_line(dataset, tmp_path, ["DATASETS.TEST", "bad_inputs"]))
    assert cfg.DATASETS.TEST == ("bad_inputs",)


# What only the parts themselves know, before the first iteration.
BUILDING = {
    "model": (["MODEL.META_ARCHITECTURE", "RetinaNett"], KeyError, "META_ARCHITECTURE 'RetinaNett'.*mean RetinaNet"),
    "backbone": (["MODEL.BACKBONE.NAME", "build_resnet"], KeyError, "BACKBONE.NAME .*build_resnet_backbone"),
    "depth": (["MODEL.RESNETS.DEPTH", "51"], ValueError, "MODEL.RESNETS.DEPTH 51 is not one of .*50"),
    "norm": (["MODEL.RESNETS.NORM", "BNN"], ValueError, "unknown norm 'BNN'; known are BN, SyncBN"),
    "stage": (["MODEL.FPN.IN_FEATURES", "['res9']"], ValueError, "FPN.IN_FEATURES. names 'res9'.*res3, res4, res5"),
    "level": (["MODEL.RETINANET.IN_FEATURES", "['p9']"], ValueError, "RETINANET.IN_FEATURES names 'p9'.*p3, p4"),
    "anchors": (["MODEL.ANCHOR_GENERATOR.NAME", "Default"], KeyError, "ANCHOR_GENERATOR.NAME 'Default'.*Default.*Gen"),
    "anchor sizes": (["MODEL.ANCHOR_GENERATOR.SIZES", "[[32], [64]]"], ValueError, "sizes .* 2 lists for 5 feature"),
    "box loss": (["MODEL.RETINANET.BBOX_REG_LOSS_TYPE", "l7"], ValueError, "BBOX_REG_LOSS_TYPE. 'l7'.*giou"),
    "pixel mean": (["MODEL.PIXEL_MEAN", "[1.0]"], ValueError, "pixel_mean has 1 channels.*MODEL.PIXEL_MEAN"),
    "schedule": (["SOLVER.LR_SCHEDULER_NAME", "Warmup"], ValueError, "LR_SCHEDULER_NAME is 'Warmup'.*WarmupCosineLR"),
    "steps": (["SOLVER.STEPS", "(30, 10)"], ValueError, r"SOLVER.STEPS must be positive and increase, got \(30, 10\)"),
    "clipping": (
        ["SOLVER.CLIP_GRADIENTS.ENABLED", "True", "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "nrm"],
        ValueError,
        "CLIP_TYPE is 'nrm'.*full_model",
    ),
    "sampler": (["DATALOADER.SAMPLER_TRAIN", "Training"], ValueError, "SAMPLER_TRAIN is 'Training'.*TrainingSampler"),
    "flip": (["INPUT.RANDOM_FLIP", "diagonal"], ValueError, "INPUT.RANDOM_FLIP must be one of.*'diagonal'"),
    "crop": (["INPUT.CROP.ENABLED", "True", "INPUT.CROP.TYPE", "abs"], ValueError, "INPUT.CROP.TYPE.*'abs'"),
    "sampling": (["INPUT.MIN_SIZE_TRAIN_SAMPLING", "choose"], ValueError, "'range' or 'choice', got 'choose'"),
    "no training data": (["DATASETS.TRAIN", "()"], ValueError, "no data set to load: DATASETS.TRAIN"),
    "proposals": (["MODEL.LOAD_PROPOSALS", "True"], ValueError, "one file in DATASETS.PROPOSAL_FILES_TRAIN .* got 0"),
}
BUILDING_RCNN = {
    "heads": (["MODEL.ROI_HEADS.NAME", "StandardROIHead"], KeyError, "ROI_HEADS.NAME .*mean StandardROIHeads"),
    "proposal generator": (["MODEL.PROPOSAL_GENERATOR.NAME", "RPNN"], KeyError, "PROPOSAL_GENERATOR.NAME .*mean RPN"),
    "box head": (["MODEL.ROI_BOX_HEAD.NAME", "FastRCNN"], KeyError, "ROI_BOX_HEAD.NAME .*FastRCNNConvFCHead"),
    "mask head": (["MODEL.MASK_ON", "True", "MODEL.ROI_MASK_HEAD.NAME", "Z"], KeyError, "ROI_MASK_HEAD.NAME 'Z'"),
    "RPN head": (["MODEL.RPN.HEAD_NAME", "Z"], KeyError, "RPN.HEAD_NAME 'Z'.*StandardRPNHead"),
    "RPN level": (["MODEL.RPN.IN_FEATURES", "['p9']"], ValueError, "RPN.IN_FEATURES names 'p9'"),
    "heads' level": (["MODEL.ROI_HEADS.IN_FEATURES", "['p9']"], ValueError, "ROI_HEADS.IN_FEATURES names 'p9'"),
    "pooler": (["MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlignV9"], ValueError, "POOLER_TYPE. must be ROIAlign.*V9"),
    "thresholds": (["MODEL.RPN.IOU_THRESHOLDS", "[0.7, 0.3]"], ValueError, r"increasing, got \[0.7, 0.3\]"),
    "keypoints": (["MODEL.KEYPOINT_ON", "True"], NotImplementedError, "MODEL.KEYPOINT_ON"),
}


@pytest.mark.parametrize(
    "model, overrides, kind, message",
    [pytest.param("retinanet_tiny", *values, id=case) for case, values in BUILDING.items()]
    + [pytest.param("faster_rcnn_fpn_tiny", *values, id=case) for case, values in BUILDING_RCNN.items()],
)
def test_trainer_refuses(model, overrides, kind, message, dataset, tmp_path):
    cfg = dataset.config(tmp_path / "out", model)
    cfg.merge_from_list(overrides)
    with pytest.raises(kind, match=message):
        DefaultTrainer(cfg)


OUTPUT_FOLDERS = {
    "below a file": ("file/out", NotADirectoryError),
    "a file": ("file", NotADirectoryError),
    "no real folder": ("/proc/detectron2", FileNotFoundError),
}


@pytest.mark.parametrize("case", OUTPUT_FOLDERS)
def test_output_folders_that_cannot_be_written(case, dataset, tmp_path):
    output, kind = OUTPUT_FOLDERS[case]
    (tmp_path / "file").write_text("mine")
    output = str(tmp_path / output)
    with pytest.raises(kind, match=f"OUTPUT_DIR '{output}' cannot be written .*: choose another folder"):
        setup(command_line(dataset, tmp_path, ["OUTPUT_DIR", output]))
    assert (tmp_path / "file").read_text() == "mine"
