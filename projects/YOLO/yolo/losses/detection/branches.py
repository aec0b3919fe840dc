"""One loss a branch: heads that are trained with an auxiliary or a second head beside the main one."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ..targets import Targets


class BranchesLoss(nn.Module):
    """``sum_b weight_b loss_b`` over the branches b of a head.

    YOLOv9 trains a main and an auxiliary branch, weights 1 and 0.25 (2402.13616, programmable gradient information);
    YOLOv10 a one-to-many and a one-to-one head, weights 1 and 1 (2405.14458).

    Args:
        losses: branch name to its loss, in the order of the head's predictions: what inference reads comes first.
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

    def forward(
        self, predictions: Mapping[str, Sequence[Tensor]] | Sequence[Tensor], targets: Targets
    ) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            predictions: branch name to its levels, or the levels of all branches in one sequence.
            targets: the objects, the same for every branch.

        Returns:
            "<term>_<branch>", weighted; their sum is the loss.

        Raises:
            ValueError: predictions of other branches.
        """
        split = split_branches(predictions, tuple(self.losses))
        return {
            f"{name}_{branch}": value * self.weights[branch]
            for branch, loss in self.losses.items()
            for name, value in loss(split[branch], targets).items()
        }


def split_branches(
    predictions: Mapping[str, Sequence[Tensor]] | Sequence[Tensor], names: Sequence[str]
) -> Mapping[str, Sequence[Tensor]]:
    """Name the branches of a head.

    Args:
        predictions: branch name to its levels, or the levels of all branches in one sequence, branch after branch.
        names: of the branches, in that order.

    Returns:
        Branch name to its levels.

    Raises:
        ValueError: other branches, or a number of maps that does not divide evenly.
    """
    if isinstance(predictions, Mapping):
        if set(predictions) != set(names):
            raise ValueError(f"predictions are of {sorted(predictions)}; the branches are {sorted(names)}")
        return predictions
    levels, rest = divmod(len(predictions), len(names))
    if rest or not levels:
        raise ValueError(f"{len(predictions)} maps do not divide over the branches {list(names)}")
    return {name: predictions[index * levels : (index + 1) * levels] for index, name in enumerate(names)}
