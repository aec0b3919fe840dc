"""Settings of learned rounding."""

import math
from dataclasses import dataclass

from ...spec.choices import check_bool, check_number, check_whole


@dataclass(frozen=True)
class LearningSettings:
    """How roundings and ranges are learned.

    Attributes:
        iterations: steps of Adam for each block.
        rows: images of a step.
        largest: quantized layers of a block at most; 1 learns layer by layer (AdaRound), more block by block (BRECQ).
        drop: share of activations that stay in floating point in a step (QDrop); 0 for none, 1 for all.
        learn_ranges: learn the steps of activations, too.
        rate: of the rounding's variables.
        range_rate: of the activations' steps, as a share of them.
        penalty: weight of the term that makes roundings decide, relative to the block's error at the start.
        warmup: share of the steps before that term comes in.
        first_beta, last_beta: its exponent, large at first, so that only weights near a decision feel it.
        memory: bytes of inputs and outputs that are held at a time; more batches are captured in turns.
        seed: of all that is random.

    Raises:
        ValueError: a value that is not allowed.
    """

    iterations: int = 1000
    rows: int = 8
    largest: int = 8
    drop: float = 0.5
    learn_ranges: bool = True
    rate: float = 1e-2
    range_rate: float = 1e-3
    penalty: float = 1.0
    warmup: float = 0.2
    first_beta: float = 20.0
    last_beta: float = 2.0
    memory: int = 2**30
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("iterations", "rows", "largest", "memory"):
            check_whole(name, getattr(self, name), at_least=1)
        check_whole("seed", self.seed, at_least=0)
        check_bool("learn_ranges", self.learn_ranges)
        for name in ("drop", "warmup"):
            check_number(name, getattr(self, name), at_least=0.0, at_most=1.0)
        for name in ("rate", "range_rate", "penalty", "first_beta", "last_beta"):
            check_number(name, getattr(self, name), above=0.0)

    def beta(self, progress: float) -> float:
        """The exponent at a share of all steps: from first to last by a half cosine (AdaRound, section 3.2)."""
        done = min(max((progress - self.warmup) / max(1 - self.warmup, 1e-9), 0.0), 1.0)
        return self.last_beta + (self.first_beta - self.last_beta) * 0.5 * (1 + math.cos(math.pi * done))
