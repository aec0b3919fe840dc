"""Exported files: size, speed, and whether they compute what they should."""

from dataclasses import dataclass

from .accuracy import Number


@dataclass(frozen=True)
class FileSize:
    """A file, or the weights alone.

    Attributes:
        name: of the file.
        bytes: its size.
        note: what it is for.
    """

    name: str
    bytes: int
    note: str = ""


@dataclass(frozen=True)
class Sizes:
    """Sizes.

    Attributes:
        files: exported files.
        weights_float, weights_quantized: bytes of all parameters.
    """

    files: tuple[FileSize, ...] = ()
    weights_float: int | None = None
    weights_quantized: int | None = None

    @property
    def ratio(self) -> Number:
        """Quantized weights over those in float32."""
        if not self.weights_float or self.weights_quantized is None:
            return None
        return self.weights_quantized / self.weights_float


@dataclass(frozen=True)
class Latency:
    """One measurement of an exported file.

    Attributes:
        engine, precision: "onnxruntime", "int8".
        scope: "model", or "end to end" with decoding, pre- and post-processing.
        threads: of the engine; 0 for all.
        median_ms, p90_ms: wall time of an image in milliseconds.
        images_per_second: throughput.
        memory_mib, file_mib: peak memory and size of the file in MiB.
        watts: mean power.
        height, width: of the input in pixels.
        error: why there is no result.
    """

    engine: str
    precision: str
    scope: str = "model"
    threads: int = 1
    median_ms: Number = None
    p90_ms: Number = None
    images_per_second: Number = None
    memory_mib: Number = None
    file_mib: Number = None
    watts: Number = None
    height: int | None = None
    width: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Finding:
    """Something a check of the exported model says.

    Attributes:
        severity: "error", "warning" or "note".
        layer: where.
        rule: name of the rule.
        message: what was found.
        remedy: what to do.
        targets: engines that it concerns; empty for all.
    """

    severity: str
    layer: str
    rule: str
    message: str
    remedy: str = ""
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParityTensor:
    """How far an engine is from the model at one tensor.

    Attributes:
        name: of the tensor.
        equal, within: shares of the values that are equal, and at most one step apart.
        largest, mean: differences; in steps of the grid, of outputs in their own unit.
        ratio: of the differences' root mean square to that of the values.
    """

    name: str
    equal: Number = None
    within: Number = None
    largest: Number = None
    mean: Number = None
    ratio: Number = None


@dataclass(frozen=True)
class Parity:
    """An engine against the model, on the same images.

    Attributes:
        engine: its name.
        passed: whether it keeps the tolerance.
        failure: the first tensor that does not, in a sentence.
        tensors: quantized tensors, in the order of computation.
        outputs: outputs.
    """

    engine: str
    passed: bool
    failure: str | None = None
    tensors: tuple[ParityTensor, ...] = ()
    outputs: tuple[ParityTensor, ...] = ()
