"""Gradients of several batches for one step, so that each step sees about the same number of images."""

from detectron2.config import CfgNode

__all__ = ["accumulation_steps", "scaled_weight_decay", "with_accumulation"]


def accumulation_steps(batch_size: int, nominal_batch: int) -> int:
    """Batches whose gradients make a step: the nearest number to ``nominal_batch / batch_size``, at least 1.

    Args:
        batch_size: images in a batch of all processes together.
        nominal_batch: images that a recipe's learning rate is meant for; 0 for one batch a step.

    Raises:
        ValueError: a number out of its range.
    """
    if batch_size < 1 or nominal_batch < 0:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH must be positive and MODEL.YOLO.TRAINING.NOMINAL_BATCH not negative, "
            f"got {batch_size} and {nominal_batch}"
        )
    return max(round(nominal_batch / batch_size), 1)


def scaled_weight_decay(weight_decay: float, batch_size: int, steps: int, nominal_batch: int) -> float:
    """Weight decay of a step that sees ``batch_size * steps`` images instead of ``nominal_batch``; 0 keeps it."""
    return weight_decay * batch_size * steps / nominal_batch if nominal_batch else weight_decay


def with_accumulation(cfg: CfgNode) -> CfgNode:
    """A copy of a config with ``SOLVER.ACCUMULATION_STEPS`` for ``MODEL.YOLO.TRAINING.NOMINAL_BATCH``.

    The trainer averages the losses of the batches. A recipe that sums losses over the images of a step has to
    multiply them by ``IMS_PER_BATCH * ACCUMULATION_STEPS``.

    Returns:
        The copy, frozen if the config was; with a nominal batch of 0 the config itself.
    """
    nominal = cfg.MODEL.YOLO.TRAINING.NOMINAL_BATCH
    if nominal == 0:
        return cfg
    frozen = cfg.is_frozen()
    cfg = cfg.clone()
    cfg.defrost()
    cfg.SOLVER.ACCUMULATION_STEPS = accumulation_steps(cfg.SOLVER.IMS_PER_BATCH, nominal)
    if frozen:
        cfg.freeze()
    return cfg
