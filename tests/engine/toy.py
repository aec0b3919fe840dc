"""A model with a detector's interface, small enough for thousands of steps, and its data."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from detectron2.structures import Boxes, Instances, PolygonMasks


class ToyDetector(nn.Module):
    """Regresses the mean colour of an image.

    Batch norm, dropout and a running normalizer give it all kinds of state. The weights are always the same.
    """

    def __init__(self, norm: bool = True, dropout: float = 0.0, red: bool = True):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.head = nn.Linear(4, 3)
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.drop = nn.Dropout(dropout)
        self.red = red
        self.normalizer = 1.0

    def training_state(self) -> dict[str, float]:
        return {"normalizer": self.normalizer}

    def load_training_state(self, state: dict[str, float]) -> None:
        self.normalizer = state["normalizer"]

    def forward(self, batch: list[dict[str, Any]]):
        images = torch.stack([sample["image"] for sample in batch])
        features = self.drop(self.norm(self.conv(images)).relu().mean((2, 3)))
        colors = self.head(features)
        if not self.training:
            return [{"color": color} for color in colors]
        target = images.mean((2, 3))
        self.normalizer = 0.9 * self.normalizer + 0.1 * float(target.abs().mean())
        error = (colors - target) ** 2
        losses = {"loss_color": error.mean()}
        if self.red:
            losses["loss_red"] = error[:, 0].mean() / (1.0 + self.normalizer)
        return losses


def detection_sample(seed: int, num_boxes: int) -> dict[str, Any]:
    """A random image for a real detector, with boxes and square masks."""
    generator = torch.Generator().manual_seed(seed)
    height, width = 96, 128
    corners = torch.rand(num_boxes, 2, generator=generator) * 50
    boxes = torch.cat([corners, corners + 20 + 20 * torch.rand(num_boxes, 2, generator=generator)], dim=1)
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(boxes)
    instances.gt_classes = torch.randint(0, 3, (num_boxes,), generator=generator)
    polygons = [[box[[0, 1, 2, 1, 2, 3, 0, 3]].double().numpy()] for box in boxes]
    instances.gt_masks = PolygonMasks(polygons)
    image = (torch.rand(3, height, width, generator=generator) * 255).to(torch.uint8)
    return {"image": image, "height": height, "width": width, "file_name": f"{seed}.png", "instances": instances}


def batches(size: int = 4, seed: int = 0, constant: bool = False) -> Iterator[list[dict[str, Any]]]:
    """An endless stream of random images."""
    generator = torch.Generator().manual_seed(seed)
    index = 0
    while True:
        batch = []
        for _ in range(size):
            image = torch.rand(3, 8, 8, generator=generator)
            batch.append({"image": image, "file_name": f"image_{index}.png", "image_id": index})
            index += 1
        yield batch
        if constant:
            generator.manual_seed(seed)
