"""YOLO detectors as a meta architecture."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.config import CfgNode, configurable
from detectron2.layers.wrappers import move_device_like
from detectron2.modeling.meta_arch.build import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch.inputs import ground_truth, register_pixel_statistics, rescaled_to_inputs
from detectron2.modeling.meta_arch.training_images import is_due, put_boxes_image
from detectron2.structures import ImageList, Instances

from .build import build_detection_network
from .criteria import build_criterion, loss_scale
from .decode import decode
from .detection_network import DetectionNetwork
from .losses.targets import Targets
from .postprocessing import Postprocessing

__all__ = ["YOLO"]


@META_ARCH_REGISTRY.register()
class YOLO(nn.Module):
    """A YOLO network with its loss and its way from raw predictions to detections."""

    num_classes_key = "MODEL.YOLO.NUM_CLASSES"  # of the config, judged against the data

    pixel_mean: Tensor
    pixel_std: Tensor

    @configurable
    def __init__(
        self,
        *,
        network: DetectionNetwork,
        criterion: nn.Module,
        postprocessing: Postprocessing,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        pad_value: float = 114.0,
        loss_scale: float = 1.0,
        vis_period: int = 0,
        input_format: str = "RGB",
    ) -> None:
        """
        Args:
            network: from images to raw predictions.
            criterion: from (raw predictions, :class:`Targets`) to a dict of losses, means over the images.
            postprocessing: from boxes and scores to detections.
            pixel_mean, pixel_std: one value for each channel, in the units of the input images.
            pad_value: of the padding, in the units of the input images.
            loss_scale: factor of all losses.
            vis_period: iterations between pictures of a training batch; 0 for none.
            input_format: order of the channels, for these pictures.

        Raises:
            ValueError: pixel statistics that do not have one value for each channel.
        """
        super().__init__()
        self.network = network
        self.criterion = criterion
        self.postprocessing = postprocessing
        register_pixel_statistics(self, pixel_mean, pixel_std)
        self.pad_value = pad_value
        self.loss_scale = loss_scale
        self.vis_period = vis_period
        self.input_format = input_format

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Read ``MODEL.YOLO``, the pixel statistics, ``TEST.DETECTIONS_PER_IMAGE`` and the images of a step.

        Raises:
            KeyError: ``MODEL.YOLO`` is not there, or names an unknown family or size.
        """
        if "YOLO" not in cfg.MODEL:
            raise KeyError("MODEL.YOLO: call detectron2.projects.yolo.add_yolo_config(cfg) before reading the config")
        network = build_detection_network(cfg)
        return {
            "network": network,
            "criterion": build_criterion(cfg, network.head),
            "postprocessing": Postprocessing.from_config(cfg, network.head_kind),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "pad_value": cfg.MODEL.YOLO.PAD_VALUE,
            "loss_scale": loss_scale(cfg),
            "vis_period": cfg.VIS_PERIOD,
            "input_format": cfg.INPUT.FORMAT,
        }

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    @property
    def size_divisibility(self) -> int:
        """Height and width of the network's input are multiples of this many pixels."""
        return self.network.size_divisibility

    def forward(self, batched_inputs: list[dict[str, Any]]) -> dict[str, Tensor] | list[dict[str, Instances]]:
        """Losses in training, detections otherwise.

        Args:
            batched_inputs: for each image a dict with "image" ``Tensor[C, H, W]``; in training also "instances" with
                ``gt_boxes`` and ``gt_classes``; in inference optionally "height" and "width", the size of the wanted
                output in pixels.

        Returns:
            In training, a dict of scalar losses; else for each image ``{"instances": Instances}`` with
            ``pred_boxes``, ``scores`` and ``pred_classes``.

        Raises:
            ValueError: no input, a wrong number of channels, or no ground truth in training.
            FloatingPointError: predictions that are not finite.
        """
        images = self.preprocess_image(batched_inputs)
        if not self.training:
            results = self.inference(images)
            return [{"instances": r} for r in rescaled_to_inputs(results, batched_inputs, images.image_sizes)]
        targets = Targets.from_instances(ground_truth(batched_inputs, self.device))
        raw = self.network(images.tensor)
        losses = {name: loss * self.loss_scale for name, loss in self.criterion(raw, targets).items()}
        if is_due(self.vis_period):
            self.visualize_training(batched_inputs, raw, images.image_sizes)
        return losses

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Pad at the right and bottom, batch and normalise the images.

        Raises:
            ValueError: no input, a wrong number of channels, or an image without pixels.
        """
        if not batched_inputs:
            raise ValueError("the model was called with an empty list of inputs")
        pixels = [move_device_like(inputs["image"], self.pixel_mean) for inputs in batched_inputs]
        channels = len(self.pixel_mean)
        for image in pixels:
            if image.dim() != 3 or image.shape[0] != channels:
                raise ValueError(
                    f"input image has shape {tuple(image.shape)}; expected ({channels}, H, W) "
                    "as MODEL.PIXEL_MEAN has that many channels"
                )
            if not image.numel():
                raise ValueError(f"input image has shape {tuple(image.shape)}: there is no pixel in it")
        padded = ImageList.from_tensors(pixels, self.size_divisibility, self.pad_value)
        return ImageList(in_fast_layout(self.normalize(padded.tensor)), padded.image_sizes)

    def normalize(self, pixels: Tensor) -> Tensor:
        """``Tensor[N, C, H, W]`` of pixel values -> the same, with the mean subtracted, over the deviation."""
        return (pixels - self.pixel_mean) / self.pixel_std

    def predict_dense(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and scores of all predictions; a function of a tensor that compiles and exports whole.

        Args:
            images: normalised, ``Tensor[N, C, H, W]``; H and W are multiples of :attr:`size_divisibility`.

        Returns:
            boxes ``Tensor[N, P, 4]`` (x1, y1, x2, y2 in pixels, not clipped) and scores ``Tensor[N, P, K]`` in 0..1.
        """
        return self.decode(self.network(images))

    def decode(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """:func:`.decode.decode` in float32: half precision cannot hold coordinates beyond 2048 to a pixel."""
        return decode(self.network.head, [level.float() for level in raw])

    def inference(self, images: ImageList) -> list[Instances]:
        """Detections of normalised images, at their size in the batch."""
        return self.postprocessing(*self.predict_dense(images.tensor), images.image_sizes)

    @torch.no_grad()
    def visualize_training(
        self, batched_inputs: list[dict[str, Any]], raw: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]]
    ) -> None:
        """Put a picture of the first image's ground truth and best 20 detections into the event storage.

        Args:
            batched_inputs: the training batch.
            raw: raw predictions for it.
            image_sizes: (height, width) of each image in pixels.
        """
        boxes, scores = self.decode(raw)
        first = self.postprocessing(boxes[:1], scores[:1], image_sizes[:1])[0]
        tag = "Left: GT bounding boxes;  Right: predicted boxes"
        put_boxes_image(batched_inputs[0], first.pred_boxes.tensor[:20], self.input_format, tag)


def in_fast_layout(images: Tensor) -> Tensor:
    """``Tensor[N, C, H, W]`` with the channels of a pixel side by side on the CPU, where convolutions are faster so."""
    return images.contiguous(memory_format=torch.channels_last) if images.device.type == "cpu" else images
