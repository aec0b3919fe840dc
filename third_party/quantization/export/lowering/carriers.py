"""Which integer type of ONNX carries a grid, and how its codes are numbered."""

from dataclasses import dataclass

from ..nodes import TensorGrid
from .targets import Target

# Lowest and highest code of the types of QuantizeLinear.
CODE_RANGES = {
    "UINT4": (0, 15),
    "INT4": (-8, 7),
    "UINT8": (0, 255),
    "INT8": (-128, 127),
    "UINT16": (0, 2**16 - 1),
    "INT16": (-(2**15), 2**15 - 1),
}


@dataclass(frozen=True)
class Carrier:
    """A type, and the number that is added to numbers of levels to make codes of it.

    Attributes:
        data_type: name of the ONNX type.
        shift: added to a level's number, and to the zero-point.
        low, high: lowest and highest code in use.
    """

    data_type: str
    shift: int
    low: int
    high: int

    @property
    def is_wide(self) -> bool:
        """Whether the type has 16 bits: OpenVINO leaves out such a pair of nodes, and its clipping with it."""
        return self.data_type.endswith("16")

    @property
    def clips_low(self) -> bool:
        """Whether the type has codes below the lowest."""
        return self.low > CODE_RANGES[self.data_type][0]

    @property
    def clips_high(self) -> bool:
        """Whether the type has codes above the highest."""
        return self.high < CODE_RANGES[self.data_type][1]


def carrier_of(grid: TensorGrid, target: Target) -> Carrier:
    """The type for an activation.

    Raises:
        ValueError: no type of the target carries the grid.
    """
    zeros = set(grid.zero_point)
    lowest, highest = min(grid.low, *zeros), max(grid.high, *zeros)
    for name, shift in _candidates(grid, target):
        low, high = CODE_RANGES[name]
        if low <= lowest + shift and highest + shift <= high:
            return Carrier(name, shift, grid.low + shift, grid.high + shift)
    if target.symmetric_activations:
        raise ValueError(
            f"{grid.describe()}: {target.name} takes activations as INT8 with zero-point 0 only; train or calibrate "
            "them with symmetric: True and signed: True (unsigned ones with at most 7 bits), and leave NONLINEAR out"
        )
    raise ValueError(f"{grid.describe()}: codes {lowest} to {highest} do not fit into 16 bits")


def _candidates(grid: TensorGrid, target: Target) -> list[tuple[str, int]]:
    """Types with the shift that they need, in the order of preference."""
    if target.symmetric_activations:
        zeros = set(grid.zero_point)
        return [("INT8", -grid.zero_point[0])] if len(zeros) == 1 else []
    unsigned = [("UINT8", -grid.low), ("UINT16", -grid.low)]
    signed = [("INT8", 0), ("INT16", 0)]
    if target.packed_activations:
        unsigned, signed = [("UINT4", -grid.low), *unsigned], [("INT4", 0), *signed]
    if target.unsigned_activations or grid.low >= 0:
        return unsigned
    return [pair for pairs in zip(signed, unsigned, strict=True) for pair in pairs]
