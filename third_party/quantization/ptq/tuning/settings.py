"""Settings of joint fine-tuning."""

import math
from dataclasses import dataclass

from ...spec.choices import check_number, check_whole


@dataclass(frozen=True)
class TuningSettings:
    """How weights, biases and ranges are tuned together.

    Attributes:
        iterations: steps of Adam; 0 for none.
        images: of a step, at least.
        weight_rate: of weights, as a share of the distance of their levels, the mean of all channels.
        range_rate: of the steps of activations below 8 bits, as a share of them.
        bias_rate: of biases, as a share of their root mean square.
        lesson: weight of the lesson's loss against the error of the last layers, both relative to where they start.
        warmup: iterations in which the rates rise from 0, while all fall by a half cosine.

    Raises:
        ValueError: a value that is not allowed.
    """

    iterations: int = 0
    images: int = 4
    weight_rate: float = 0.05
    range_rate: float = 0.01
    bias_rate: float = 0.01
    lesson: float = 1.0
    warmup: int = 20

    def __post_init__(self) -> None:
        for name in ("iterations", "warmup"):
            check_whole(name, getattr(self, name), at_least=0)
        check_whole("images", self.images, at_least=1)
        for name in ("weight_rate", "range_rate", "bias_rate", "lesson"):
            check_number(name, getattr(self, name), at_least=0.0)

    def factor(self, iteration: int) -> float:
        """What the rates are multiplied by in an iteration, counted from 0."""
        rise = min(1.0, (iteration + 1) / (self.warmup + 1))
        return rise * 0.5 * (1 + math.cos(math.pi * iteration / max(self.iterations, 1)))
