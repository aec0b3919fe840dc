"""One loss a branch: heads that are trained with an auxiliary or a second head beside the main one."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ..targets import Targets


class BranchesLoss(nn.Module):
    """``sum_b weight_b loss_b`` over the branches b of a head.

    YOLOv9 trains a main and an auxiliary branch, weights 1 and 0.25 (2402.13616, programmable gradient information);
    YOLOv10 a one-to-many and a one-to-one head, weights 1 and 1 (2405.14458).

    Args:
        losses: branch name to its loss.
        weights: branch name to its weight.

    Raises:
        ValueError: names that differ.
    """

    def __init__(self, losses: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        if set(losses) != set(weights):
            raise ValueError(f"weights are for {sorted(weights)}; the branches are {sorted(losses)}")
        self.losses = nn.ModuleDict(losses)
        self.weights = dict(weights)

    def forward(self, predictions: Mapping[str, Sequence[Tensor]], targets: Targets) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            predictions: branch name to its levels.
            targets: the objects, the same for every branch.

        Returns:
            "<term>_<branch>", weighted; their sum is the loss.

        Raises:
            ValueError: predictions of other branches.
        """
        if set(predictions) != set(self.weights):
            raise ValueError(f"predictions are of {sorted(predictions)}; the branches are {sorted(self.weights)}")
        return {
            f"{name}_{branch}": value * self.weights[branch]
            for branch, loss in self.losses.items()
            for name, value in loss(predictions[branch], targets).items()
        }
