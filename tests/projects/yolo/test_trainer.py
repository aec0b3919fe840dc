"""Images of a step when the number of processes changes."""

import pytest
from detectron2.projects.yolo.trainer import YOLOTrainer

from detectron2.projects import read_config


@pytest.mark.parametrize(
    ("workers", "batch", "steps", "rate"), [(4, 16, 4, 0.01), (1, 4, 16, 0.0025), (8, 32, 2, 0.02), (16, 64, 1, 0.04)]
)
def test_batches_of_a_step_follow_the_scaled_batch(workers: int, batch: int, steps: int, rate: float) -> None:
    cfg = read_config("projects/YOLO/configs/yolov8n.yaml")
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.REFERENCE_WORLD_SIZE = 16, 4
    cfg.freeze()
    scaled = YOLOTrainer.auto_scale_workers(cfg, workers)
    assert (scaled.SOLVER.IMS_PER_BATCH, scaled.SOLVER.ACCUMULATION_STEPS) == (batch, steps)
    assert scaled.SOLVER.BASE_LR == pytest.approx(rate)
    assert scaled.is_frozen()
    assert cfg.SOLVER.ACCUMULATION_STEPS == 1


def test_the_trainer_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scaled(Exception):
        pass

    def build_model(cls: type, cfg: object) -> None:
        raise Scaled(cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.ACCUMULATION_STEPS)

    monkeypatch.setattr(YOLOTrainer, "build_model", classmethod(build_model))
    monkeypatch.setattr("detectron2.engine.default_trainer.check_config", lambda *args, **kwargs: None)
    cfg = read_config("projects/YOLO/configs/yolov8n.yaml")
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.REFERENCE_WORLD_SIZE = 16, 4
    with pytest.raises(Scaled) as caught:
        YOLOTrainer(cfg)
    assert caught.value.args == (4, 16)
