"""From the loader's list of dicts to normalised image batches and ground truth, and back to results per image."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detectron2.layers.wrappers import move_device_like
from detectron2.modeling.backbone.backbone import Backbone
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures.image_list import ImageList
from detectron2.structures.instances import Instances


def register_pixel_statistics(module: nn.Module, pixel_mean: Sequence[float], pixel_std: Sequence[float]) -> None:
    """Give ``module`` the buffers ``pixel_mean`` and ``pixel_std``, ``Tensor[C, 1, 1]`` outside of its state dict.

    Raises:
        ValueError: when they do not have one value for each channel.
    """
    if len(pixel_mean) != len(pixel_std):
        raise ValueError(
            f"pixel_mean has {len(pixel_mean)} channels but pixel_std has {len(pixel_std)}: "
            "MODEL.PIXEL_MEAN and MODEL.PIXEL_STD need one value for each image channel"
        )
    for name, values in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
        buffer = torch.tensor(list(values), dtype=torch.float32).view(-1, 1, 1)
        module.register_buffer(name, buffer, persistent=False)


def normalized_image_list(
    batched_inputs: list[dict[str, Any]], pixel_mean: Tensor, pixel_std: Tensor, backbone: Backbone
) -> ImageList:
    """Normalise the images of a batch and pad them to one size that suits the backbone.

    Args:
        batched_inputs: dicts with "image", ``Tensor[C, H, W]`` in the range of ``pixel_mean``.
        pixel_mean, pixel_std: ``Tensor[C, 1, 1]``; their device is the batch's.
        backbone: gives ``size_divisibility`` and ``padding_constraints``.

    Raises:
        ValueError: for an empty batch or a wrong number of channels.
    """
    if not batched_inputs:
        raise ValueError("the model was called with an empty list of inputs")
    images = [move_device_like(inputs["image"], pixel_mean) for inputs in batched_inputs]
    for image in images:
        if image.dim() != 3 or image.shape[0] != pixel_mean.shape[0]:
            raise ValueError(
                f"input image has shape {tuple(image.shape)}; expected ({pixel_mean.shape[0]}, H, W) "
                "as MODEL.PIXEL_MEAN has that many channels"
            )
    return ImageList.from_tensors(
        [(image - pixel_mean) / pixel_std for image in images],
        backbone.size_divisibility,
        padding_constraints=backbone.padding_constraints,
    )


def ground_truth(batched_inputs: list[dict[str, Any]], device: torch.device) -> list[Instances]:
    """The "instances" of every input, on ``device``.

    Raises:
        ValueError: naming the inputs that have none.
    """
    missing = [str(x.get("file_name", i)) for i, x in enumerate(batched_inputs) if "instances" not in x]
    if missing:
        raise ValueError(
            f"training needs the key 'instances' in every input; missing for {', '.join(missing)} "
            "(the dataset mapper adds it when is_train=True; an image without objects has empty Instances)"
        )
    return [inputs["instances"].to(device) for inputs in batched_inputs]


def rescaled_to_inputs(
    results: list[Instances], batched_inputs: list[dict[str, Any]], image_sizes: list[tuple[int, int]]
) -> list[Instances]:
    """Results at the resolution each input asks for by "height" and "width"; without them, its own size."""
    return [
        detector_postprocess(result, inputs.get("height", size[0]), inputs.get("width", size[1]))
        for result, inputs, size in zip(results, batched_inputs, image_sizes, strict=True)
    ]
