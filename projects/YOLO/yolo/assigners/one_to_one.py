"""One anchor an object: the one-to-one head of YOLOv10 (Wang et al., 2405.14458, section 3.1)."""

from .task_aligned import TaskAlignedAssigner


def one_to_one_assigner(
    candidates: int = 1, alpha: float = 0.5, beta: float = 6.0, min_side: float = 0.0
) -> TaskAlignedAssigner:
    """Task-aligned assignment that leaves each object one anchor.

    With the exponents of the one-to-many head the two heads' metrics are consistent, eq. 2 of the paper.

    Args:
        candidates: anchors an object may try for before conflicts are settled; 1 is the paper's top 1. With more, an
            object that loses its best anchor to another keeps its next one.
        alpha: exponent of the score.
        beta: exponent of the overlap.
        min_side: as in ``TaskAlignedAssigner``.

    Returns:
        The assigner.
    """
    return TaskAlignedAssigner(candidates, alpha, beta, final_topk=1, min_side=min_side)
