"""The head of FCOS: RetinaNet's towers and a centre-ness branch."""

from typing import Any

from torch import Tensor, nn

from detectron2.layers.shape_spec import ShapeSpec

from .retinanet_head import RetinaNetHead, initialize_convolutions, run_tower


class FCOSHead(RetinaNetHead):
    """Class logits, distances to the sides and centre-ness for every location (FCOS, section 3.1 and 3.3).

    The centre-ness branch stands on the regression tower. Distances have no scale learned for each level, as they
    are divided by the stride.

    Args:
        input_shape: shapes of the feature maps, all with the same number of channels.
        conv_dims: output channels of the convolutions of each tower.
        kwargs: further arguments of :class:`RetinaNetHead` but ``num_anchors``, which is 1.
    """

    def __init__(self, *, input_shape: list[ShapeSpec], conv_dims: list[int], **kwargs: Any) -> None:
        super().__init__(input_shape=input_shape, conv_dims=conv_dims, num_anchors=1, **kwargs)
        last = conv_dims[-1] if conv_dims else input_shape[0].channels
        self.ctrness = nn.Conv2d(last, 1, kernel_size=3, padding=1)
        initialize_convolutions(self.ctrness)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Predict for every level.

        Args:
            features: for each level ``Tensor[N, C, H_l, W_l]``.

        Returns:
            For each level logits ``Tensor[N, K, H_l, W_l]``, distances ``Tensor[N, 4, H_l, W_l]`` in strides and
            centre-ness logits ``Tensor[N, 1, H_l, W_l]``.
        """
        self._check_levels(features)
        logits, distances, centerness = [], [], []
        for level, x in enumerate(features):
            logits.append(self.cls_score(run_tower(self.cls_subnet, x, level)))
            box_features = run_tower(self.bbox_subnet, x, level)
            distances.append(self.bbox_pred(box_features))
            centerness.append(self.ctrness(box_features))
        return logits, distances, centerness
