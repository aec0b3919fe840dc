"""Loss of heads that train a one-to-one branch beside a one-to-many branch, so that no NMS is needed."""

from torch import nn

from .branches import BranchesLoss

ONE_TO_MANY = "one_to_many"
ONE_TO_ONE = "one_to_one"


class EndToEndDetectionLoss(BranchesLoss):
    """``w loss_one_to_many + (1 - w) loss_one_to_one`` where w falls linearly from ``start`` to ``end``.

    Dense supervision matters early, the branch that is deployed matters late. Call ``set_epoch`` before each epoch.
    YOLOv10's own constant weights (1, 1) are ``BranchesLoss`` with these branch names. In one sequence, the predictions
    of the one-to-one branch come first.

    Args:
        one_to_many: loss of the branch with many positives an object.
        one_to_one: loss of the branch with one positive an object.
        epochs: length of training; w reaches ``end`` in its last epoch.
        start: w in epoch 0.
        end: w from epoch ``epochs - 1`` on.

    Raises:
        ValueError: a value out of range.
    """

    def __init__(
        self, one_to_many: nn.Module, one_to_one: nn.Module, epochs: int, start: float = 0.8, end: float = 0.1
    ) -> None:
        for name, value in (("start", start), ("end", end)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; it must be from 0 to 1")
        if epochs < 1:
            raise ValueError(f"epochs is {epochs}; it must be 1 or more")
        super().__init__(
            {ONE_TO_ONE: one_to_one, ONE_TO_MANY: one_to_many}, {ONE_TO_ONE: 1 - start, ONE_TO_MANY: start}
        )
        self.epochs = epochs
        self.start = start
        self.end = end

    def set_epoch(self, epoch: float) -> None:
        """Set the weights for a point of training.

        Args:
            epoch: epochs finished, possibly a fraction.

        Raises:
            ValueError: a negative epoch.
        """
        if epoch < 0:
            raise ValueError(f"epoch is {epoch}; it must be 0 or more")
        left = max(1 - epoch / max(self.epochs - 1, 1), 0.0)
        weight = self.end + (self.start - self.end) * left
        self.weights = {ONE_TO_ONE: 1 - weight, ONE_TO_MANY: weight}
