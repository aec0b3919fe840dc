"""Loss of the anchor-based heads of YOLOv3 (as retrained), YOLOv5 and YOLOv7."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...assigners.anchor_matching import AnchorMatcher, AnchorMatches
from ...assigners.ota import OTAAssigner
from ..bce import binary_cross_entropy, smoothed_one_hot
from ..iou import OVERLAPS
from ..targets import Targets
from .reduction import finish

BALANCE = {3: (4.0, 1.0, 0.4), 4: (4.0, 1.0, 0.25, 0.06), 5: (4.0, 1.0, 0.25, 0.06, 0.02)}


class AnchorDetectionLoss(nn.Module):
    """Box, objectness and class losses, summed over levels.

    On each level, over its pairs: ``box = mean (1 - CIoU)`` and ``cls = mean BCE(class logits, one_hot)``; over all
    anchors ``obj = balance mean BCE(objectness, o)`` where o is the overlap of the pair's prediction (0 without one;
    the last pair counts where a prediction has several). A level without pairs gives objectness only. Class logits are
    trained with one class too, so that ``p_class p_object`` is a score for any number of classes.

    Args:
        num_classes: K.
        matcher: pairs objects with anchors.
        ota: keeps the cheapest pairs (YOLOv7), or None for all (YOLOv5).
        box_gain: weight of the overlap term.
        obj_gain: weight of the objectness term.
        cls_gain: weight of the class term.
        smoothing: of the class targets.
        cls_positive_weight: weight of the positive part of the class term.
        obj_positive_weight: weight of the positive part of the objectness term.
        balance: weight of each level's objectness; None takes ``BALANCE`` by the number of levels, ones otherwise.
        overlap: name in ``OVERLAPS``.
        batch_scaled: multiply by the number of images.

    Raises:
        ValueError: an unknown overlap, or ``balance`` of another length than there are levels.
    """

    def __init__(
        self,
        num_classes: int,
        matcher: AnchorMatcher,
        *,
        ota: OTAAssigner | None = None,
        box_gain: float = 0.05,
        obj_gain: float = 1.0,
        cls_gain: float = 0.5,
        smoothing: float = 0.0,
        cls_positive_weight: float = 1.0,
        obj_positive_weight: float = 1.0,
        balance: Sequence[float] | None = None,
        overlap: str = "ciou",
        batch_scaled: bool = True,
    ) -> None:
        super().__init__()
        levels = len(matcher.strides)
        balance = BALANCE.get(levels, (1.0,) * levels) if balance is None else tuple(balance)
        if len(balance) != levels:
            raise ValueError(f"balance has {len(balance)} values for {levels} levels")
        if overlap not in OVERLAPS:
            raise ValueError(f"overlap is {overlap!r}; allowed are {sorted(OVERLAPS)}")
        self.num_classes = num_classes
        self.matcher = matcher
        self.ota = ota
        self.gains = {"loss_box": box_gain, "loss_obj": obj_gain, "loss_cls": cls_gain}
        self.smoothing = smoothing
        self.positive_weights = (cls_positive_weight, obj_positive_weight)
        self.balance = balance
        self.overlap = OVERLAPS[overlap]
        self.batch_scaled = batch_scaled

    def forward(
        self, predictions: Sequence[Tensor], targets: Targets, guide: Sequence[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            predictions: per level ``Tensor[N, anchors * (5 + K), H, W]``: for each anchor box, objectness and class
                outputs.
            targets: the objects.
            guide: predictions of a lead head, of the same shapes, whose costs OTA uses in place of ``predictions``.

        Returns:
            Scalars "loss_box", "loss_obj", "loss_cls", weighted; their sum is the loss.

        Raises:
            ValueError: another number of levels, or a level with another number of channels.
        """
        levels = self._by_anchor(predictions)
        matches = self.matcher(targets, [(level.shape[2], level.shape[3]) for level in levels])
        if self.ota is not None:
            matches = self.ota(levels if guide is None else self._by_anchor(guide), matches, targets)
        terms = {name: levels[0].new_zeros(()) for name in self.gains}
        for level, pairs, balance in zip(levels, matches, self.balance, strict=True):
            box, objectness, classes = self._level(level, pairs, targets)
            terms["loss_box"] = terms["loss_box"] + box
            terms["loss_obj"] = terms["loss_obj"] + balance * objectness
            terms["loss_cls"] = terms["loss_cls"] + classes
        return finish(terms, self.gains, len(levels[0]) if self.batch_scaled else None)

    def _by_anchor(self, predictions: Sequence[Tensor]) -> list[Tensor]:
        """Levels as ``Tensor[N, anchors, H, W, 5 + K]`` in float32."""
        if len(predictions) != len(self.balance):
            raise ValueError(f"{len(predictions)} levels of predictions for {len(self.balance)} levels of anchors")
        levels = []
        for index, (level, anchors) in enumerate(zip(predictions, self.matcher.anchors, strict=True)):
            channels = len(anchors) * (5 + self.num_classes)
            if level.shape[1] != channels:
                raise ValueError(
                    f"level {index} has {level.shape[1]} channels; "
                    f"{len(anchors)} anchors x (5 + {self.num_classes} classes) need {channels}"
                )
            levels.append(level.float().unflatten(1, (len(anchors), -1)).permute(0, 1, 3, 4, 2))
        return levels

    def _level(self, level: Tensor, pairs: AnchorMatches, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """The three means. Sums over no pair are zeros that still reach the predictions."""
        _, labels, boxes = targets.flat()
        outputs = pairs.outputs(level)
        overlap = self.overlap(pairs.decode(outputs[:, :4]), pairs.boxes(boxes))
        count = max(len(overlap), 1)
        wanted = smoothed_one_hot(labels[pairs.target], self.num_classes, self.smoothing)
        cls_weight, obj_weight = self.positive_weights
        classes = binary_cross_entropy(outputs[:, 5:], wanted, cls_weight).sum() / (count * self.num_classes)
        present = _objectness(level.shape[:4], pairs, overlap.detach().clamp(min=0))
        objectness = binary_cross_entropy(level[..., 4], present, obj_weight).mean()
        return (1 - overlap).sum() / count, objectness, classes


def _objectness(shape: Sequence[int], pairs: AnchorMatches, overlap: Tensor) -> Tensor:
    """Target of every prediction. Which of several pairs counts must not hang on the order of writes of a device."""
    _, anchors, height, width = shape
    place = ((pairs.image * anchors + pairs.anchor) * height + pairs.row) * width + pairs.column
    order = torch.arange(len(place), device=place.device)
    last = place.new_full((shape[0] * anchors * height * width,), -1).scatter_reduce(0, place, order, "amax")
    padded = torch.cat((overlap, overlap.new_zeros(1)))
    return padded[last].view(shape[0], anchors, height, width)
