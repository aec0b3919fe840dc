"""Keeps the training recipe when the number of processes changes."""

import logging

from detectron2.config import CfgNode

logger = logging.getLogger(__name__)


def auto_scale_workers(cfg: CfgNode, num_workers: int) -> CfgNode:
    """Scales a config made for ``SOLVER.REFERENCE_WORLD_SIZE`` processes to another number.

    Batch size and learning rate are multiplied by the ratio, iteration counts and periods divided by it (linear
    scaling, arXiv:1706.02677, section 2.1), so that the images of a process and the epochs stay the same.

    Args:
        cfg: the config; with a reference of 0 it is returned as it is.
        num_workers: processes of this run.

    Returns:
        A changed copy, frozen if the config was, with the reference set to ``num_workers``.

    Raises:
        ValueError: the batch size is no multiple of the reference.
    """
    reference = cfg.SOLVER.REFERENCE_WORLD_SIZE
    if reference in (0, num_workers):
        return cfg
    if cfg.SOLVER.IMS_PER_BATCH % reference:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH {cfg.SOLVER.IMS_PER_BATCH} is no multiple of SOLVER.REFERENCE_WORLD_SIZE {reference}"
        )
    frozen = cfg.is_frozen()
    cfg = cfg.clone()
    cfg.defrost()
    solver, scale = cfg.SOLVER, num_workers / reference
    solver.IMS_PER_BATCH = round(solver.IMS_PER_BATCH * scale)
    solver.BASE_LR *= scale
    for node, key in (
        (solver, "MAX_ITER"),
        (solver, "WARMUP_ITERS"),
        (solver, "CHECKPOINT_PERIOD"),
        (cfg.TEST, "EVAL_PERIOD"),
    ):
        node[key] = round(node[key] / scale)
    solver.STEPS = tuple(round(step / scale) for step in solver.STEPS)
    solver.REFERENCE_WORLD_SIZE = num_workers
    logger.info(
        "Config scaled from %d to %d processes: batch %d, learning rate %g, %d iterations, steps %s, warm-up %d",
        reference,
        num_workers,
        solver.IMS_PER_BATCH,
        solver.BASE_LR,
        solver.MAX_ITER,
        solver.STEPS,
        solver.WARMUP_ITERS,
    )
    if frozen:
        cfg.freeze()
    return cfg
