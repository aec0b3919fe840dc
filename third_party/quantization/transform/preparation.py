"""From a float model to one that is trained, or calibrated, with quantizers."""

from dataclasses import replace

import torch
from torch import nn

from ..modules import ConvertedLayer, LayerOptions, QuantElementwise, QuantLayer, QuantNonlinear
from ..modules.adopt import type_names
from ..modules.nonlinear import is_nonlinear
from ..quantizers.quantizer import Quantizer
from ..spec import LayerPlan, QuantConfig
from ..spec.plan import PARTS_OF_KINDS
from .layers import Layer, survey
from .norm_pairs import norms_beside
from .report import Report
from .rows import RowMaker, norm_note


def prepare(model: nn.Module, config: QuantConfig, *, dry_run: bool = False) -> Report:
    """Replace layers of a model, in place, by their quantized forms.

    Parameters stay the same objects under the same names, so that optimizers made before and float checkpoints still
    fit; mode, device, hooks and sharing stay, too. Ranges come from the first data. A model that is prepared already
    is left as it is.

    Args:
        model: the model; it must not be a layer that would itself be replaced.
        config: what is quantized, and how.
        dry_run: only report what would be done.

    Returns:
        a row for every layer; the same from a dry run and from a second call.

    Raises:
        ValueError: before anything is changed: rules or steps that mean no layer, settings that do not suit a layer
            (it is named), or a model that is prepared already in another way.
    """
    layers = survey(model, nonlinear=config.quantizes_nonlinear)
    options = LayerOptions(config.batch_norm, config.weight_standardization)
    plans = _plans(layers, config)
    modules = _quantized_forms(layers, plans, options, _device(model))
    if "" in (name for layer in layers for name in layer.names if modules[layer.name] is not layer.module):
        raise ValueError(f"the model itself is a {type(model).__name__}: put it into a container to quantize it")
    report = _report(model, layers, modules, plans, options)
    if not dry_run:
        for layer in layers:
            put(model, layer.names, modules[layer.name])
    return report


def put(model: nn.Module, names: tuple[str, ...], module: nn.Module) -> None:
    """Set ``module`` in the model under all of these names."""
    for name in names:
        parent, _, leaf = name.rpartition(".")
        if name and (owner := model.get_submodule(parent))._modules[leaf] is not module:
            owner._modules[leaf] = module


def _plans(layers: list[Layer], config: QuantConfig) -> dict[str, LayerPlan]:
    """The plan of each layer that can be quantized, by its first name."""
    layers = [layer for layer in layers if layer.kind in PARTS_OF_KINDS]
    kinds = {id(layer): type_names(layer.module) for layer in layers}
    config.check_matches({name: kinds[id(layer)] for layer in layers for name in layer.names})
    plans: dict[str, LayerPlan] = {}
    for layer in layers:
        plan = config.resolve(layer.name, kinds[id(layer)], layer.kind)
        for name in layer.names[1:]:
            other = config.resolve(name, kinds[id(layer)], layer.kind)
            if replace(other, why=plan.why) != plan:
                raise ValueError(
                    f"layer {layer.name!r} is also {name!r}, but settings differ: {plan.why} against {other.why}"
                )
        plans[layer.name] = plan
    config.check_plans(plans)
    return plans


def _quantized_forms(
    layers: list[Layer], plans: dict[str, LayerPlan], options: LayerOptions, device: torch.device
) -> dict[str, nn.Module]:
    """What each layer will be, by its first name: itself if it stays."""
    modules: dict[str, nn.Module] = {}
    problems: list[str] = []
    for layer in layers:
        modules[layer.name] = layer.module
        plan = plans.get(layer.name)
        if plan is None:
            continue
        if layer.done:
            problems += _disagreements(layer, plan, options)
        elif layer.converter is not None and not plan.skip:
            try:
                made = layer.converter.build(layer.module, plan.weight, plan.activation, options)
                if plan.nonlinear is not None and isinstance(made, QuantLayer):
                    made.quantize_activation(plan.nonlinear)
            except ValueError as error:
                problems.append(f"layer {layer.name!r} ({type_names(layer.module)[0]}): {error}")
                continue
            if isinstance(made, (QuantElementwise, QuantNonlinear)):
                made.to(device)  # it has no weight to tell where it works
            modules[layer.name] = made
    if problems:
        raise ValueError("\n".join(problems))
    return modules


def _disagreements(layer: Layer, plan: LayerPlan, options: LayerOptions) -> list[str]:
    """In what a layer that is quantized already differs from its plan."""
    if isinstance(layer.module, ConvertedLayer):
        return []
    parts: dict[str, tuple[object, object]] = {
        "activation": (_spec(layer.module.input_quantizer), plan.activation),
    }
    if isinstance(layer.module, QuantLayer):
        parts["weight"] = (_spec(layer.module.weight_quantizer), plan.weight)
        parts["options"] = (layer.module.options, options)
        if is_nonlinear(layer.module.activation):
            function = layer.module.activation
            quantizer = function.input_quantizer if isinstance(function, QuantNonlinear) else None
            parts["activation function"] = (_spec(quantizer), plan.nonlinear)
    return [
        f"layer {layer.name!r} is quantized already, its {part} by {has}; the settings ask for {wanted}. Prepare the "
        "float model anew"
        for part, (has, wanted) in parts.items()
        if has != wanted
    ]


def _spec(quantizer: object) -> object:
    return quantizer.spec if isinstance(quantizer, Quantizer) else None


def _report(
    model: nn.Module,
    layers: list[Layer],
    modules: dict[str, nn.Module],
    plans: dict[str, LayerPlan],
    options: LayerOptions,
) -> Report:
    maker, rows = RowMaker(), []
    for layer in layers:
        module = modules[layer.name]
        why = plans[layer.name].why if layer.name in plans else layer.why
        rows.append(maker.row(layer, module, why + norm_note(module)))
    quantized = [name for layer in layers if isinstance(modules[layer.name], QuantLayer) for name in layer.names]
    notes = []
    if options.batch_norm != "float" and (beside := norms_beside(model, quantized)):
        notes.append(
            f"batch_norm {options.batch_norm!r} concerns norms that a quantized layer carries as its own `norm`; these "
            f"stay in float: {', '.join(beside)}"
        )
    return maker.report(rows, model, notes)


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
