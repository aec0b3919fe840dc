"""The trainer that builds everything from a config, on generated pictures and a tiny detector."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from datasets.shapes import write_splits
from detectron2.engine import DefaultPredictor, DefaultTrainer, HookBase, hooks
from detectron2.engine.validation import build_validation_loader
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils.env import seed_all_rng
from tests.engine.interrupted import Sleeper, run_and_kill
from tests.modeling.tiny_models import tiny_config


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    write_splits(folder, train=24, val=4, size=(96, 72))
    return folder


def shapes_config(folder: Path, output: Path, name: str = "retinanet_tiny"):
    """A tiny detector on small generated pictures."""
    cfg = tiny_config(name)
    annotations = folder / "annotations"
    cfg.DATASETS.COCO_INSTANCES = tuple(
        (f"shapes_test_{split}", str(annotations / f"instances_{split}.json"), str(folder / split))
        for split in ("train", "val")
    )
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("shapes_test_train",), ("shapes_test_val",)
    cfg.MODEL.RETINANET.NUM_CLASSES = cfg.MODEL.ROI_HEADS.NUM_CLASSES = 4
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST = (64, 72), 72
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS = 2, 4, ()
    cfg.SOLVER.BASE_LR, cfg.SOLVER.WARMUP_ITERS = 0.01, 2
    cfg.MODEL.WEIGHTS = ""
    cfg.MODEL.DEVICE = "cpu"
    cfg.SEED = 3
    cfg.OUTPUT_DIR = str(output)
    return cfg


class _Counter(DatasetEvaluator):
    def reset(self):
        self.images = 0

    def process(self, inputs, outputs):
        self.images += len(inputs)

    def evaluate(self):
        return {"bbox": {"AP": float(self.images)}}


class _Trainer(DefaultTrainer):
    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return _Counter()


def test_training_writes_what_it_should(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path)
    cfg.TEST.EVAL_PERIOD = 2
    cfg.TEST.VAL_LOSS.ENABLED = True
    cfg.SOLVER.CHECKPOINT_PERIOD = 3
    trainer = _Trainer(cfg)
    trainer.resume_or_load(resume=False)
    assert trainer.train() == {"bbox": {"AP": 4.0}}
    files = {path.name for path in tmp_path.iterdir()}
    assert {"config.yaml", "metrics.json", "last_checkpoint", "model_0000002.pth", "model_final.pth"} <= files
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["SOLVER"]["MAX_ITER"] == 4
    records = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    merged = {key: value for record in records for key, value in record.items()}
    assert {"total_loss", "loss_cls", "loss_box_reg", "lr", "time", "bbox/AP", "validation_loss"} <= set(merged)
    checkpoint = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert checkpoint["iteration"] == 3 and len(checkpoint["trainer"]["ranks"]) == 1


def test_an_earlier_run_is_warned_about(shapes, tmp_path, caplog):
    (tmp_path / "last_checkpoint").write_text("model_final.pth")
    trainer = _Trainer(shapes_config(shapes, tmp_path))
    with caplog.at_level("WARNING"):
        trainer.resume_or_load(resume=False)
    assert str(tmp_path) in caplog.text and "--resume" in caplog.text and trainer.start_iter == 0


class _AfterBackward(HookBase):
    def __init__(self):
        self.iterations = []

    def after_backward(self):
        assert any(p.grad is not None and p.grad.any() for p in self.trainer.model.parameters())
        self.iterations.append(self.trainer.iter)


def test_hooks_hear_of_the_backward_pass(shapes, tmp_path):
    trainer = _Trainer(shapes_config(shapes, tmp_path))
    hook = _AfterBackward()
    trainer.register_hooks([hook])
    trainer.train()
    assert hook.iterations == [0, 1, 2, 3]


def test_early_stopping_and_precise_bn_find_their_places(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path)
    cfg.MODEL.RESNETS.NORM, cfg.MODEL.BACKBONE.FREEZE_AT = "BN", 0
    cfg.TEST.EARLY_STOPPING.ENABLED, cfg.TEST.EARLY_STOPPING.PATIENCE = True, 1
    cfg.TEST.PRECISE_BN.ENABLED, cfg.TEST.PRECISE_BN.NUM_ITER = True, 2
    cfg.TEST.EVAL_PERIOD, cfg.SOLVER.MAX_ITER = 1, 10
    trainer = _Trainer(cfg)
    kinds = [type(hook) for hook in trainer._hooks]
    order = [hooks.PreciseBN, hooks.EvalHook, hooks.EarlyStoppingHook, hooks.PeriodicCheckpointer, hooks.PeriodicWriter]
    assert [kind for kind in kinds if kind in order] == order
    trainer.train()
    # the evaluator's result never changes: no improvement at the second evaluation
    assert trainer.iter == 2
    assert torch.load(tmp_path / "model_final.pth", weights_only=True)["iteration"] == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precisions_and_accumulation(shapes, tmp_path, precision):
    cfg = shapes_config(shapes, tmp_path, "faster_rcnn_fpn_tiny")
    cfg.SOLVER.ACCUMULATION_STEPS, cfg.SOLVER.MAX_ITER = 2, 2
    cfg.SOLVER.AMP.ENABLED = precision != "float32"
    if cfg.SOLVER.AMP.ENABLED:
        cfg.SOLVER.AMP.PRECISION = precision
    trainer = DefaultTrainer(cfg)
    trainer.train()
    assert trainer._trainer.accumulation_steps == 2
    assert np.isfinite(trainer.storage.latest()["total_loss"][0])


def test_testing_without_or_with_other_evaluators(shapes, tmp_path, caplog):
    cfg = shapes_config(shapes, tmp_path)
    trainer = DefaultTrainer(cfg)
    with caplog.at_level("WARNING"):
        assert DefaultTrainer.test(cfg, trainer.model) == {}
    assert "build_evaluator" in caplog.text
    assert DefaultTrainer.test(cfg, trainer.model, _Counter()) == {"bbox": {"AP": 4.0}}
    assert trainer.model.training
    with pytest.raises(ValueError, match="2 evaluators for 1"):
        DefaultTrainer.test(cfg, trainer.model, [_Counter(), _Counter()])


def test_validation_loader_has_annotations(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path)
    DefaultTrainer(cfg)  # registers the data
    samples = [sample for batch in build_validation_loader(cfg) for sample in batch]
    assert len(samples) == 4 and all(min(s["image"].shape[1:]) == 72 for s in samples)
    assert all(len(s["instances"].gt_boxes) == len(s["instances"].gt_classes) for s in samples)


# prediction


def test_predictor(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path)
    trainer = _Trainer(cfg)
    trainer.checkpointer.save("weights")
    cfg.MODEL.WEIGHTS = str(tmp_path / "weights.pth")
    cfg.MODEL.DEVICE = "auto"
    predictor = DefaultPredictor(cfg)
    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    instances = predictor(image)["instances"]
    assert instances.image_size == (50, 70)
    assert predictor.metadata.thing_classes == ["circle", "square", "triangle", "star"]
    # a model in RGB order sees the same picture if it is given with its channels the other way round
    cfg.INPUT.FORMAT = "RGB"
    mirrored = DefaultPredictor(cfg)(np.ascontiguousarray(image[:, :, ::-1]))["instances"]
    assert torch.equal(mirrored.pred_boxes.tensor, instances.pred_boxes.tensor)


@pytest.mark.parametrize("image", [np.zeros((4, 5)), np.zeros((4, 5, 4)), np.zeros((0, 5, 3)), "image.jpg"])
def test_predictor_names_what_is_no_image(shapes, tmp_path, image):
    predictor = DefaultPredictor(shapes_config(shapes, tmp_path))
    with pytest.raises(ValueError, match=r"\[H, W, 3\]"):
        predictor(image)


def test_predictor_refuses_other_formats(tmp_path, shapes):
    cfg = shapes_config(shapes, tmp_path)
    cfg.INPUT.FORMAT = "L"
    with pytest.raises(ValueError, match="INPUT.FORMAT"):
        DefaultPredictor(cfg)


# going on after a kill


def resumable_config(shapes, output, workers):
    """Faster R-CNN samples proposals at random; batch norm, a clipped optimizer and evaluations have state."""
    cfg = shapes_config(Path(shapes), Path(output), "faster_rcnn_fpn_tiny")
    cfg.MODEL.RESNETS.NORM, cfg.MODEL.BACKBONE.FREEZE_AT = "BN", 0
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.INPUT.CROP.ENABLED = True
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.CHECKPOINT_PERIOD, cfg.SOLVER.STEPS = 9, 3, (7,)
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.TEST.EVAL_PERIOD = 3
    cfg.TEST.PRECISE_BN.ENABLED, cfg.TEST.PRECISE_BN.NUM_ITER = True, 2
    cfg.TEST.VAL_LOSS.ENABLED = True
    return cfg


def run_resumable(shapes, output, workers, sleep_at=-1):
    """What a training script does with ``--resume``."""
    cfg = resumable_config(shapes, output, int(workers))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums depend on how they are divided
    try:
        seed_all_rng(cfg.SEED)
        trainer = _Trainer(cfg)
        trainer.register_hooks([Sleeper(int(sleep_at))])
        trainer.resume_or_load(resume=True)
        trainer.train()
    finally:
        torch.set_num_threads(threads)


def test_a_killed_and_resumed_run_equals_one_never_killed(shapes, tmp_path):
    run_resumable(shapes, tmp_path / "whole", workers=0)
    expected = torch.load(tmp_path / "whole" / "model_final.pth", weights_only=True)
    for workers in (0, 2):
        output = tmp_path / f"killed_{workers}"
        # iteration 4 is done, the checkpoint is from iteration 2
        run_and_kill(run_resumable, output, shapes, output, workers, 4)
        assert (output / "last_checkpoint").read_text() == "model_0000002.pth"
        run_resumable(shapes, output, workers)
        actual = torch.load(output / "model_final.pth", weights_only=True)
        assert set(actual["model"]) == set(expected["model"])
        assert not [k for k, v in expected["model"].items() if not torch.equal(v, actual["model"][k])]
        momenta = [c["trainer"]["_trainer"]["optimizer"]["state"] for c in (expected, actual)]
        for key, state in momenta[0].items():
            assert torch.equal(state["momentum_buffer"], momenta[1][key]["momentum_buffer"])


def test_a_state_of_other_processes_is_left_out(shapes, tmp_path, caplog):
    trainer = _Trainer(shapes_config(shapes, tmp_path))
    state = trainer.state_dict()
    state["ranks"] = state["ranks"] * 2
    with caplog.at_level("WARNING"):
        trainer.load_state_dict(state)
    assert "2 processes, this run has 1" in caplog.text


def test_a_detector_learns(shapes, tmp_path):
    cfg = shapes_config(shapes, tmp_path, "faster_rcnn_fpn_tiny")
    cfg.MODEL.RESNETS.NORM, cfg.MODEL.BACKBONE.FREEZE_AT = "BN", 0
    cfg.SOLVER.MAX_ITER = 20
    seed_all_rng(0)
    trainer = DefaultTrainer(cfg)
    trainer.train()
    losses = [value for value, _ in trainer.storage.history("total_loss").values()]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])
