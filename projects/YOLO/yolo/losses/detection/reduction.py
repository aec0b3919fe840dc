"""From the mean over a batch to the terms that are summed for the backward pass."""

from torch import Tensor


def finish(terms: dict[str, Tensor], gains: dict[str, float], batch: int | None) -> dict[str, Tensor]:
    """Weight every term.

    Args:
        terms: scalars, means over the batch.
        gains: factor of each term, with the same keys.
        batch: number of images when the loss is to grow with it (the YOLO recipes' learning rates are tuned for a sum
            over images), or None.

    Returns:
        The weighted terms under the same keys.
    """
    scale = 1 if batch is None else batch
    return {name: term * (gains[name] * scale) for name, term in terms.items()}
