"""Rows of a report, from the layers themselves."""

from torch import nn

from ..modules import ConvertedLayer, QuantElementwise, QuantLayer, QuantNonlinear
from ..modules.adopt import type_names
from ..modules.norms import split_norm
from ..quantizers.quantizer import Quantizer
from .layers import Layer
from .report import Report, Row


class RowMaker:
    """Makes rows one after the other, and remembers which parameters are counted."""

    def __init__(self) -> None:
        self._counted: dict[int, str] = {}

    def row(self, layer: Layer, module: nn.Module, why: str) -> Row:
        """The row of ``layer``, which is, or will be, ``module``."""
        weight, rest, tied = self._own(layer.name, module)
        bits = _weight_bits(module)
        count = weight + rest
        packed = 4 * weight if bits is None else (weight * bits + 7) // 8
        if len(layer.names) > 1:
            why = f"{why}; also named {', '.join(layer.names[1:])}"
        return Row(
            name=layer.name,
            type=type_names(module)[0],
            weight=_weight_text(module, layer),
            activation=_activation_text(module, layer),
            why=f"{why}; weight shared with {tied}" if tied else why,
            num_parameters=count,
            bytes_float=4 * count,
            bytes_quantized=packed + 4 * rest + _bytes_of_ranges(module),
        )

    def report(self, rows: list[Row], model: nn.Module, notes: list[str]) -> Report:
        """All rows together with the parameters that none of them has counted."""
        of_quantizers = {id(p) for q in model.modules() if isinstance(q, Quantizer) for p in q.parameters()}
        skip = of_quantizers | set(self._counted)
        others = sum(p.numel() for p in model.parameters() if id(p) not in skip)
        return Report(tuple(rows), others, tuple(notes))

    def _own(self, name: str, module: nn.Module) -> tuple[int, int, str]:
        """Elements of the weight and of the other parameters, and the layer that has counted the weight before."""
        if isinstance(module, ConvertedLayer):
            return module.weight_codes.numel(), 0 if module.bias is None else module.bias.numel(), ""
        sizes, tied = {True: 0, False: 0}, ""
        for key, parameter in module._parameters.items():
            if parameter is None:
                continue
            earlier = self._counted.setdefault(id(parameter), name)
            if earlier == name:
                sizes[key == "weight"] += parameter.numel()
            elif key == "weight":
                tied = earlier
        return sizes[True], sizes[False], tied


def norm_note(module: nn.Module) -> str:
    """A remark on a norm that a layer carries, but cannot treat as its options ask."""
    if not isinstance(module, QuantLayer) or module.options.batch_norm == "float" or module.norm is None:
        return ""
    if split_norm(module.norm)[0] is not None:
        return ""
    return f"; norm {type(module.norm).__name__} stays in float"


def _weight_bits(module: nn.Module) -> int | None:
    if isinstance(module, ConvertedLayer):
        return module.weight_bits
    quantizer = getattr(module, "weight_quantizer", None) if isinstance(module, QuantLayer) else None
    return None if quantizer is None else quantizer.bits


def _weight_text(module: nn.Module, layer: Layer) -> str:
    if isinstance(module, ConvertedLayer):
        return module.weight_text
    if isinstance(module, QuantLayer) and module.weight_quantizer is not None:
        return module.weight_quantizer.extra_repr()
    return "float" if layer.kind in ("weighted", "float") else "-"


def _activation_text(module: nn.Module, layer: Layer) -> str:
    quantizer, function = _input_quantizer(module), _function_of(module)
    text = "-" if layer.kind == "pass" else "float"
    if quantizer is not None:
        text = quantizer.extra_repr()
    if function is None or function.input_quantizer is None:
        return text
    return f"{text}; of {function.extra_repr()} {function.input_quantizer.extra_repr()}"


def _input_quantizer(module: nn.Module | None) -> Quantizer | None:
    is_ours = isinstance(module, (QuantLayer, QuantElementwise, QuantNonlinear, ConvertedLayer))
    quantizer = getattr(module, "input_quantizer", None) if is_ours else None
    return quantizer if isinstance(quantizer, Quantizer) else None


def _function_of(module: nn.Module) -> QuantNonlinear | None:
    """The activation function that a layer carries, if it reads quantized values."""
    function = getattr(module, "activation", None)
    return function if isinstance(function, QuantNonlinear) and function.input_quantizer is not None else None


def _bytes_of_ranges(module: nn.Module) -> int:
    """Scales and zero-points."""
    numbers = 0
    if isinstance(module, ConvertedLayer):
        numbers += module.weight_scale.numel()
        numbers += module.weight_zero_point.numel() if bool(module.weight_zero_point.any()) else 0
    elif isinstance(module, QuantLayer) and module.weight_quantizer is not None:
        numbers += _numbers_of_range(module.weight_quantizer)
    quantizers = (_input_quantizer(module), _input_quantizer(_function_of(module)))
    return 4 * (numbers + sum(_numbers_of_range(quantizer) for quantizer in quantizers if quantizer is not None))


def _numbers_of_range(quantizer: Quantizer) -> int:
    return quantizer.num_groups * (1 if quantizer.spec.symmetric else 2)
