"""What detectors with one fully-convolutional head over a feature pyramid have in common."""

from typing import Any

import torch
from torch import Tensor, nn

from detectron2.layers.nms import batched_nms
from detectron2.layers.wrappers import move_device_like
from detectron2.modeling.backbone.backbone import Backbone
from detectron2.modeling.postprocessing import detector_postprocess  # noqa: F401  (public name of this module)
from detectron2.structures.boxes import Boxes
from detectron2.structures.image_list import ImageList
from detectron2.structures.instances import Instances
from detectron2.utils.events import get_event_storage, has_event_storage

from .inputs import ground_truth, normalized_image_list, register_pixel_statistics, rescaled_to_inputs
from .training_images import is_due, put_boxes_image


def __getattr__(name: str) -> Any:
    if name == "convert_image_to_rgb":  # at first use, as the data package is expensive to import
        from detectron2.data.detection_utils import convert_image_to_rgb

        return convert_image_to_rgb
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def permute_to_N_HWA_K(tensor: Tensor, K: int) -> Tensor:
    """Lay out a head's output by anchor: ``Tensor[N, A * K, H, W]`` to ``Tensor[N, H * W * A, K]``."""
    if tensor.dim() != 4:
        raise ValueError(f"expected a tensor of shape (N, A * {K}, H, W), got {tuple(tensor.shape)}")
    by_anchor = tensor.unflatten(1, (-1, K))
    return by_anchor.permute(0, 3, 4, 1, 2).flatten(1, 3)


class DenseDetector(nn.Module):
    """Backbone, then a head that predicts for every anchor of every level.

    A subclass defines ``forward_training`` and ``scores_and_deltas``, and sets ``anchor_generator``,
    ``box2box_transform``, ``num_classes``, ``test_score_thresh``, ``test_topk_candidates``, ``test_nms_thresh``
    and ``max_detections_per_image``; or it overrides ``forward_inference`` whole.

    Args:
        backbone: gives a dict of feature maps.
        head: from the list of feature maps to one list of maps (one a level) for each kind of prediction.
        head_in_features: names of the feature maps; default all, finest first.
        pixel_mean, pixel_std: one value for each channel, in the units of the input images.
    """

    # Pictures of a training batch every so many iterations; 0 never.
    vis_period: int = 0
    input_format: str = "BGR"

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        head_in_features: list[str] | None = None,
        *,
        pixel_mean: tuple[float, ...],
        pixel_std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        if head_in_features is None:
            shapes = backbone.output_shape()
            head_in_features = sorted(shapes, key=lambda name: shapes[name].stride)
        self.head_in_features = list(head_in_features)
        register_pixel_statistics(self, pixel_mean, pixel_std)
        self._averages: dict[str, float] = {}

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, batched_inputs: list[dict[str, Any]]) -> dict[str, Tensor] | list[dict[str, Instances]]:
        """Losses in training, detections otherwise.

        Args:
            batched_inputs: for each image a dict with "image" ``Tensor[C, H, W]``; in training also "instances";
                in inference optionally "height" and "width", the size of the wanted output in pixels.

        Returns:
            In training, a dict of scalar losses; else for each image ``{"instances": Instances}`` with
            ``pred_boxes``, ``scores`` and ``pred_classes``.

        Raises:
            ValueError: when ground truth is missing in training.
        """
        images = self.preprocess_image(batched_inputs)
        features, predictions = self.predict_dense(images.tensor)
        if self.training:
            gt_instances = ground_truth(batched_inputs, self.device)
            losses = self.forward_training(images, features, predictions, gt_instances)
            if is_due(self.vis_period):
                with torch.no_grad():
                    self.visualize_training(batched_inputs, self.forward_inference(images, features, predictions))
            return losses
        results = self.forward_inference(images, features, predictions)
        return [{"instances": r} for r in rescaled_to_inputs(results, batched_inputs, images.image_sizes)]

    def predict_dense(self, images: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """The network proper, as one function of a tensor that compiles and exports whole.

        Args:
            images: normalised and padded, ``Tensor[N, C, H, W]``.

        Returns:
            The feature maps the head has used, and its predictions: for each kind a list over the levels.
        """
        feature_maps = self.backbone(images)
        features = [feature_maps[name] for name in self.head_in_features]
        return features, self.head(features)

    def forward_training(
        self,
        images: ImageList,
        features: list[Tensor],
        predictions: list[list[Tensor]],
        gt_instances: list[Instances],
    ) -> dict[str, Tensor]:
        """Losses of a batch; arguments as ``predict_dense`` returns them, and the ground truth of each image."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward_training")

    def scores_and_deltas(self, predictions: list[list[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
        """Final class scores and box deltas of every anchor.

        Args:
            predictions: what the head returned.

        Returns:
            For each level ``Tensor[N, A_l, K]`` of scores in [0, 1] and ``Tensor[N, A_l, 4]`` of deltas.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define scores_and_deltas")

    def forward_inference(
        self, images: ImageList, features: list[Tensor], predictions: list[list[Tensor]]
    ) -> list[Instances]:
        """Detections of every image, at the size of ``images``.

        Args:
            images: used for the size of each image without padding.
            features: feature maps of the head; their sizes place the anchors.
            predictions: what the head returned for them.
        """
        anchors = self.anchor_generator(features)
        scores, deltas = self.scores_and_deltas(predictions)
        return [
            self.inference_single_image(anchors, [level[i] for level in scores], [level[i] for level in deltas], size)
            for i, size in enumerate(images.image_sizes)
        ]

    def inference_single_image(
        self,
        anchors: list[Boxes],
        box_cls: list[Tensor],
        box_delta: list[Tensor],
        image_size: tuple[int, int],
    ) -> Instances:
        """Best candidates of each level, then non-maximum suppression by class over all levels.

        Args:
            anchors: for each level ``Boxes`` of A_l anchors.
            box_cls: for each level scores ``Tensor[A_l, K]`` in [0, 1].
            box_delta: for each level ``Tensor[A_l, 4]``.
            image_size: (height, width) of the image in pixels.

        Raises:
            FloatingPointError: when the scores or the boxes of candidates are not finite.
        """
        if any(torch.isnan(level.sum(dtype=torch.float32)) for level in box_cls):
            raise FloatingPointError(
                f"{type(self).__name__} predicted NaN scores: its weights are broken, or training has diverged"
            )
        candidates = self._decode_multi_level_predictions(
            anchors, box_cls, box_delta, self.test_score_thresh, self.test_topk_candidates, image_size
        )
        boxes = candidates.pred_boxes.tensor
        if not torch.isfinite(boxes).all():
            raise FloatingPointError(
                f"{type(self).__name__} predicted boxes that are not finite: training has diverged"
            )
        keep = batched_nms(boxes, candidates.scores, candidates.pred_classes, self.test_nms_thresh)
        return candidates[keep[: self.max_detections_per_image]]

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Normalise, pad and batch the input images."""
        return normalized_image_list(batched_inputs, self.pixel_mean, self.pixel_std, self.backbone)

    def visualize_training(self, batched_inputs: list[dict[str, Any]], results: list[Instances]) -> None:
        """Put a picture of the first image's ground truth and best 20 detections into the event storage.

        Args:
            batched_inputs: the training batch.
            results: detections of each image at the size of the network's input.
        """
        if len(batched_inputs) != len(results):
            raise ValueError(f"{len(results)} results for {len(batched_inputs)} images")
        boxes = results[0].pred_boxes.tensor[:20]
        tag = "Left: GT bounding boxes;  Right: predicted boxes"
        put_boxes_image(batched_inputs[0], boxes, self.input_format, tag)

    def training_state(self) -> dict[str, float]:
        """Running averages that are no part of the state dict; what an exact resume has to restore."""
        return dict(self._averages)

    def load_training_state(self, state: dict[str, float]) -> None:
        """Take back what :meth:`training_state` gave."""
        self._averages = {name: float(value) for name, value in state.items()}

    def _ema_update(self, name: str, value: float, initial_value: float, momentum: float = 0.9) -> float:
        """Move the running average ``name`` (``initial_value`` at first) towards ``value`` and return it."""
        old = self._averages.get(name, initial_value)
        self._averages[name] = momentum * old + (1 - momentum) * value
        return self._averages[name]

    def _log_positive_anchors(self, num_positive: int, num_images: int) -> None:
        if has_event_storage():
            get_event_storage().put_scalar("num_pos_anchors", num_positive / num_images)

    def _move_to_current_device(self, x: Tensor) -> Tensor:
        return move_device_like(x, self.pixel_mean)

    def _transpose_dense_predictions(
        self, predictions: list[list[Tensor]], dims_per_anchor: list[int]
    ) -> list[list[Tensor]]:
        """Each kind of prediction as ``Tensor[N, A_l, K]`` a level, K being its entry in ``dims_per_anchor``."""
        if len(predictions) != len(dims_per_anchor):
            raise ValueError(f"the head gave {len(predictions)} kinds of predictions, expected {len(dims_per_anchor)}")
        return [
            [permute_to_N_HWA_K(level, dim) for level in kind]
            for kind, dim in zip(predictions, dims_per_anchor, strict=True)
        ]

    def _decode_multi_level_predictions(
        self,
        anchors: list[Boxes],
        pred_scores: list[Tensor],
        pred_deltas: list[Tensor],
        score_thresh: float,
        topk_candidates: int,
        image_size: tuple[int, int],
    ) -> Instances:
        levels = zip(anchors, pred_scores, pred_deltas, strict=True)
        return Instances.cat(
            [self._decode_per_level_predictions(*level, score_thresh, topk_candidates, image_size) for level in levels]
        )

    def _decode_per_level_predictions(
        self,
        anchors: Boxes,
        pred_scores: Tensor,
        pred_deltas: Tensor,
        score_thresh: float,
        topk_candidates: int,
        image_size: tuple[int, int],
    ) -> Instances:
        """Boxes of the ``topk_candidates`` best (anchor, class) pairs above the threshold, best first."""
        # k pairs have at most k anchors, and these are among the k anchors of highest score in any class: only
        # their rows, not the millions of scores of a fine level, are searched.
        best_of_anchor = pred_scores.amax(dim=1)
        rows = best_of_anchor.topk(min(topk_candidates, len(best_of_anchor))).indices.sort().values
        flat = pred_scores[rows].flatten()
        above = (flat > score_thresh).nonzero()[:, 0]
        scores, best = flat[above].topk(min(topk_candidates, above.numel()))
        pair = above[best]
        anchor = rows[pair.div(self.num_classes, rounding_mode="floor")]
        boxes = self.box2box_transform.apply_deltas(pred_deltas[anchor], anchors.tensor[anchor])
        return Instances(image_size, pred_boxes=Boxes(boxes), scores=scores, pred_classes=pair % self.num_classes)
