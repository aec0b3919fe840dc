"""Optimizer parameter groups: which learning rate and weight decay each parameter gets."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

ParamGroup = dict[str, Any]

NORM_TYPES = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)


def get_default_optimizer_params(
    model: nn.Module,
    base_lr: float | None = None,
    weight_decay: float | None = None,
    weight_decay_norm: float | None = None,
    bias_lr_factor: float | None = 1.0,
    weight_decay_bias: float | None = None,
    lr_factor_func: Callable | None = None,
    overrides: dict[str, dict[str, float]] | None = None,
) -> list[ParamGroup]:
    """Groups the trainable parameters of a model by their options.

    An option left at None falls back to the optimizer's own default. Later rules win: defaults, normalization
    layers, ``lr_factor_func``, ``overrides``.

    Args:
        model: its parameters with ``requires_grad`` are taken, shared ones once.
        base_lr: learning rate.
        weight_decay: weight decay.
        weight_decay_norm: weight decay of the parameters of normalization layers.
        bias_lr_factor: learning rate of parameters named ``bias`` relative to ``base_lr``.
        weight_decay_bias: weight decay of parameters named ``bias``.
        lr_factor_func: maps a parameter's qualified name to a factor on ``base_lr``, e.g. for layer-wise decay.
        overrides: options by a parameter's own name (its last part), e.g. ``{"embed": {"lr": 0.01}}``.

    Returns:
        Groups for a ``torch.optim`` optimizer, parameters with equal options together.

    Raises:
        ValueError: a factor on the learning rate without ``base_lr``, or two settings for ``bias``.

    Example::

        groups = get_default_optimizer_params(model, base_lr=0.02, bias_lr_factor=2.0)
        optimizer = torch.optim.AdamW(groups, lr=0.02)
    """
    defaults = {k: v for k, v in (("lr", base_lr), ("weight_decay", weight_decay)) if v is not None}
    by_name = dict(overrides or {})
    bias_options = _bias_options(base_lr, bias_lr_factor, weight_decay_bias)
    if bias_options:
        if "bias" in by_name:
            raise ValueError("'bias' in overrides conflicts with bias_lr_factor and weight_decay_bias")
        by_name["bias"] = bias_options
    if lr_factor_func is not None and base_lr is None:
        raise ValueError("lr_factor_func needs base_lr")

    groups = []
    for qualified_name, module, parameter in _trainable_parameters(model):
        options = dict(defaults)
        if weight_decay_norm is not None and isinstance(module, NORM_TYPES):
            options["weight_decay"] = weight_decay_norm
        if lr_factor_func is not None:
            options["lr"] *= lr_factor_func(qualified_name)
        options.update(by_name.get(qualified_name.rpartition(".")[2], {}))
        groups.append({"params": [parameter], **options})
    return reduce_param_groups(groups)


def reduce_param_groups(params: list[ParamGroup]) -> list[ParamGroup]:
    """Merges parameter groups that have the same options.

    Fewer groups mean fewer kernel launches in the multi-tensor optimizers. Groups keep the order in which their
    options first appear, parameters their order within a group. An option that several groups set for the same
    parameter takes the last value.

    Args:
        params: groups with a parameter, or any iterable of parameters, in ``"params"``.

    Returns:
        New groups; the input is not changed.
    """
    merged: dict[tuple, ParamGroup] = {}
    for group in _expand_param_groups(params):
        options = {k: v for k, v in group.items() if k != "params"}
        target = merged.setdefault(tuple(sorted(options.items())), {"params": [], **options})
        target["params"].extend(group["params"])
    return list(merged.values())


def _expand_param_groups(params: list[ParamGroup]) -> list[ParamGroup]:
    """One group a parameter, the options of later groups laid over those of earlier ones."""
    single: dict[torch.Tensor, ParamGroup] = {}
    for group in params:
        members = [group["params"]] if isinstance(group["params"], torch.Tensor) else group["params"]
        options = {k: v for k, v in group.items() if k != "params"}
        for parameter in members:
            single.setdefault(parameter, {"params": [parameter]}).update(options)
    return list(single.values())


def _bias_options(base_lr: float | None, lr_factor: float | None, weight_decay: float | None) -> dict[str, float]:
    options = {}
    if lr_factor is not None and lr_factor != 1.0:
        if base_lr is None:
            raise ValueError("bias_lr_factor needs base_lr")
        options["lr"] = base_lr * lr_factor
    if weight_decay is not None:
        options["weight_decay"] = weight_decay
    return options


def _trainable_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """(qualified name, owner, parameter) in the order of registration, each parameter once."""
    seen: set[nn.Parameter] = set()
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                yield f"{module_name}.{name}" if module_name else name, module, parameter
