"""Settings of what goes along with quantization-aware training."""

from dataclasses import dataclass, field

from .choices import check_bool, check_number, check_type
from .training_groups import (
    DistillationConfig,
    OscillationConfig,
    ProgressiveConfig,
    ProxConfig,
    QuantizationLossConfig,
)

TRAINING_GROUPS: dict[str, type] = {
    "oscillation": OscillationConfig,
    "quantization_loss": QuantizationLossConfig,
    "distillation": DistillationConfig,
    "prox": ProxConfig,
    "progressive": ProgressiveConfig,
}


@dataclass(frozen=True)
class TrainingConfig:
    """What goes along with training.

    Attributes:
        ema_decay: of the moving average of weights and step sizes over iterations; 0 for none.
        ema_evaluate: evaluate with the averages.
        correction: estimate the statistics of batch norms anew before evaluation and conversion.
        reset_momentum: forget the optimizer's momentum of ranges whose width ``progressive`` changes.
        oscillation, quantization_loss, distillation, prox, progressive: groups of their own.
    """

    ema_decay: float = 0.0
    ema_evaluate: bool = True
    correction: bool = False
    reset_momentum: bool = True
    oscillation: OscillationConfig = field(default_factory=OscillationConfig)
    quantization_loss: QuantizationLossConfig = field(default_factory=QuantizationLossConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    prox: ProxConfig = field(default_factory=ProxConfig)
    progressive: ProgressiveConfig = field(default_factory=ProgressiveConfig)

    def __post_init__(self) -> None:
        check_number("ema_decay", self.ema_decay, at_least=0.0)
        if self.ema_decay >= 1:
            raise ValueError(f"ema_decay must be below 1: at 1 the average never moves; got {self.ema_decay}")
        for name in ("ema_evaluate", "correction", "reset_momentum"):
            check_bool(name, getattr(self, name))
        for name, group in TRAINING_GROUPS.items():
            check_type(name, getattr(self, name), group)
