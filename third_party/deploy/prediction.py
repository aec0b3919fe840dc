"""An exported file in the place of its model: from the loader's inputs to ``Instances``."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from detectron2.modeling.meta_arch.inputs import rescaled_to_inputs
from detectron2.structures import Boxes, Instances

from .parts import DetectorParts, InputFacts
from .selection import PaddedDetections

BatchedInputs = list[dict[str, Any]]


class Session(Protocol):
    """A file that an engine has loaded."""

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs, in the order of the file."""


def pixel_batch(parts: DetectorParts | InputFacts, batched_inputs: BatchedInputs) -> tuple[Tensor, Tensor]:
    """The images of a batch in one tensor.

    Args:
        parts: says how to pad.
        batched_inputs: dicts with "image", ``Tensor[C, h, w]`` of pixel values.

    Returns:
        float32 ``Tensor[N, C, H, W]``, padded at the right and bottom, and float32 ``Tensor[N, 2]``, height and width
        of each image without padding.

    Raises:
        ValueError: no input, or a wrong number of channels.
    """
    if not batched_inputs:
        raise ValueError("a batch without images was to be predicted")
    channels = len(parts.pad_values)
    images = [inputs["image"] for inputs in batched_inputs]
    for image in images:
        if image.dim() != 3 or image.shape[0] != channels:
            raise ValueError(f"input image has shape {tuple(image.shape)}; expected ({channels}, H, W)")
    sizes = torch.tensor([list(image.shape[1:]) for image in images])
    unit = parts.size_divisibility
    height, width = (-(-int(largest) // unit) * unit for largest in sizes.amax(dim=0))
    pixels = torch.tensor(parts.pad_values).view(1, -1, 1, 1).repeat(len(images), 1, height, width)
    for place, image in zip(pixels, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    return pixels, sizes.float()


def predict(session: Session, parts: DetectorParts, batched_inputs: BatchedInputs) -> list[dict[str, Instances]]:
    """What the model would return for these inputs, by its exported file.

    Args:
        session: the file, of the form "detector" or "suppressed"; the number of its outputs tells which.
        parts: of the model that was exported.
        batched_inputs: as for the model: "image", optionally "height" and "width", the size of the wanted output.

    Returns:
        for each image ``{"instances": Instances}``, on the CPU.

    Raises:
        ValueError: inputs that fit no model, or a file with another number of outputs.
        FloatingPointError: scores, or boxes of detections, are not finite.
    """
    pixels, sizes = pixel_batch(parts, batched_inputs)
    inputs = [pixels.numpy(), sizes.numpy()] if parts.takes_sizes else [pixels.numpy()]
    outputs = [torch.from_numpy(np.ascontiguousarray(output)) for output in session.run(inputs)]
    forms = {len(parts.output_names(form) or ()): form for form in ("detector", "suppressed")}
    form = forms.get(len(outputs))
    if form is None:
        raise ValueError(
            f"the file has {len(outputs)} outputs, but those of {parts.name} have "
            + " or ".join(f"{count} ({name!r})" for count, name in forms.items())
        )
    if form == "detector":
        boxes, scores = (output.float() for output in outputs)
        outputs = list(parts.select(boxes, scores, sizes, (pixels.shape[2], pixels.shape[3])))
    return to_instances(outputs, batched_inputs)


def to_instances(outputs: Sequence[Tensor], batched_inputs: BatchedInputs) -> list[dict[str, Instances]]:
    """Padded detections, with or without masks, as ``Instances`` at the size that each input asks for.

    Raises:
        FloatingPointError: boxes or scores that are not finite.
    """
    found = PaddedDetections(*outputs[:4])
    if not (torch.isfinite(found.boxes).all() and torch.isfinite(found.scores).all()):
        raise FloatingPointError("the exported file gave boxes or scores that are not finite")
    results = []
    for index, (inputs, count) in enumerate(zip(batched_inputs, found.counts.tolist(), strict=True)):
        instances = Instances(tuple(inputs["image"].shape[1:]))
        instances.pred_boxes = Boxes(found.boxes[index, :count].float())
        instances.scores = found.scores[index, :count].float()
        instances.pred_classes = found.classes[index, :count].long()
        if len(outputs) > 4:
            instances.pred_masks = outputs[4][index, :count].float()
        results.append(instances)
    sizes = [instances.image_size for instances in results]
    return [{"instances": one} for one in rescaled_to_inputs(results, batched_inputs, sizes)]


class ExportedDetector:
    """An exported file that is called like its model, so that evaluators can rate it.

    Args:
        session: the file, see :func:`predict`.
        parts: of the model that was exported.
    """

    def __init__(self, session: Session, parts: DetectorParts) -> None:
        self.session = session
        self.parts = parts

    def __call__(self, batched_inputs: BatchedInputs) -> list[dict[str, Instances]]:
        """See :func:`predict`."""
        return predict(self.session, self.parts, batched_inputs)


class TorchSession:
    """A form of the model itself as a session: the reference that files are compared with.

    Args:
        parts: of the model.
        form: "detector" or "suppressed".
    """

    def __init__(self, parts: DetectorParts, form: str = "suppressed") -> None:
        self.module = parts.form(form)

    @torch.no_grad()
    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See :class:`Session`."""
        outputs = self.module(*(torch.from_numpy(array) for array in inputs))
        return [output.cpu().numpy() for output in outputs]
