"""Auxiliary heads guided by the lead head (YOLOv7, 2207.02696, section 4.3)."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ..targets import Targets
from .anchor_based import AnchorDetectionLoss
from .branches import split_branches

MAIN = "main"
AUX = "aux"


class LeadGuidedLoss(nn.Module):
    """``fine(main) + weight coarse(aux)``; the labels of both are chosen by the costs of the lead head's predictions.

    Args:
        fine: loss of the lead head.
        coarse: loss of the auxiliary head; its matcher has a larger ``reach``, so that it takes more positives.
        weight: of the auxiliary loss.
    """

    def __init__(self, fine: AnchorDetectionLoss, coarse: AnchorDetectionLoss, weight: float = 0.25) -> None:
        super().__init__()
        self.fine = fine
        self.coarse = coarse
        self.weight = weight

    def forward(
        self, predictions: Mapping[str, Sequence[Tensor]] | Sequence[Tensor], targets: Targets
    ) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            predictions: "main" and "aux", each per level ``Tensor[N, anchors * (5 + K), H, W]``, or in one sequence.
            targets: the objects.

        Returns:
            "<term>_main" and "<term>_aux", weighted; their sum is the loss.

        Raises:
            ValueError: predictions of other branches.
        """
        split = split_branches(predictions, (MAIN, AUX))
        fine = self.fine(split[MAIN], targets)
        coarse = self.coarse(split[AUX], targets, guide=split[MAIN])
        losses = {f"{name}_{MAIN}": value for name, value in fine.items()}
        return losses | {f"{name}_{AUX}": self.weight * value for name, value in coarse.items()}
