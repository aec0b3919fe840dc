"""How layers are quantized besides the specs of their tensors."""

from dataclasses import dataclass

from ..spec.choices import check_choice
from ..spec.config import BATCH_NORMS


@dataclass(frozen=True)
class LayerOptions:
    """Settings that all layers of a model share.

    Attributes:
        batch_norm: what becomes of a batch norm that a layer carries as ``norm``.
            "float": it runs after the layer, in float, and goes into scale and bias when the model is converted.
            "fold": the weight is multiplied by the norm's factor and then quantized (arXiv 1712.05877, section 3.2).
            "fixed_point": it runs after the layer as an integer multiply-add (AQD, arXiv 2007.06919, section 3.3).
        standardize: bring every output channel of the weight to mean 0 and variance 1 before it is quantized.

    Raises:
        ValueError: an unknown ``batch_norm``.
    """

    batch_norm: str = "float"
    standardize: bool = False

    def __post_init__(self) -> None:
        check_choice("batch_norm", self.batch_norm, BATCH_NORMS)
