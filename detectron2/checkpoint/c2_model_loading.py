"""Weights whose names only end like those of the model: matching by the longest common ending."""

import logging
import os
from collections.abc import Iterator

import torch

from .c2_names import convert_basic_c2_names, convert_c2_detectron_names

__all__ = ["align_and_update_state_dicts", "convert_basic_c2_names", "convert_c2_detectron_names"]


def align_and_update_state_dicts(
    model_state_dict: dict[str, torch.Tensor],
    ckpt_state_dict: dict[str, torch.Tensor],
    c2_conversion: bool = True,
) -> dict[str, torch.Tensor]:
    """Give the weights of a checkpoint the names that the model has for them.

    A weight belongs to the model's name that equals its own or ends with it after a dot; where several weights fit
    one name, the longest counts. ``res2.0.conv1.weight`` so finds ``backbone.bottom_up.res2.0.conv1.weight``.

    Args:
        model_state_dict: names and tensors of the model.
        ckpt_state_dict: names and tensors of the checkpoint.
        c2_conversion: the checkpoint has Caffe2 names.

    Returns:
        weights by the model's names, and under their own names those that fit nowhere. A weight of another
        shape is left out and logged.

    Raises:
        ValueError: one weight fits several names of the model.
    """
    logger = logging.getLogger(__name__)
    if c2_conversion:
        weights, originals = convert_c2_detectron_names(ckpt_state_dict)
    else:
        weights, originals = dict(ckpt_state_dict), {name: name for name in ckpt_state_dict}

    matched: dict[str, str] = {}  # name in the checkpoint -> name in the model
    result: dict[str, torch.Tensor] = {}
    for model_name, tensor in model_state_dict.items():
        name = next((ending for ending in _endings(model_name) if ending in weights), None)
        if name is None:
            continue
        shape, wanted = tuple(weights[name].shape), tuple(tensor.shape)
        if shape != wanted:
            logger.warning(
                "'%s' of the checkpoint has shape %s and is left out: '%s' of the model has %s",
                originals[name],
                shape,
                model_name,
                wanted,
            )
            matched.setdefault(name, model_name)
            continue
        if name in matched and matched[name] in result:
            raise ValueError(
                f"'{originals[name]}' of the checkpoint fits both '{matched[name]}' and '{model_name}' of the model"
            )
        matched[name] = model_name
        result[model_name] = weights[name]

    _log_matches(logger, {new: originals[old] for old, new in matched.items() if new in result})
    result.update({originals[name]: weights[name] for name in weights if name not in matched})
    return result


def _endings(name: str) -> Iterator[str]:
    """``name`` and what is left of it after each dot, the longest first."""
    yield name
    for position, character in enumerate(name):
        if character == ".":
            yield name[position + 1 :]


def _log_matches(logger: logging.Logger, originals: dict[str, str]) -> None:
    """Log which weights of the checkpoint (values) went where (keys), one line a module."""
    groups = _group_keys_by_module(list(originals), originals)
    lines = []
    for names in {tuple(names): names for names in groups.values()}.values():
        lines.append(f"  {_group_str(names)} <- {_group_str([originals[name] for name in names])}")
    if lines:
        logger.info("Weights matched by the ends of their names:\n%s", "\n".join(lines))


def _group_keys_by_module(keys: list[str], original_names: dict[str, str]) -> dict[str, list[str]]:
    """Put the parameters of one layer together.

    A layer is the outermost module that owns one of the parameters itself, so that a convolution and the norm
    inside it are one group. Parameters whose original names have no common beginning stay alone.

    Args:
        keys: parameter names.
        original_names: their names in the checkpoint.

    Returns:
        for each name the sorted names of its group, itself among them.
    """
    owners = {key.rpartition(".")[0] for key in keys}
    members: dict[str, list[str]] = {}
    for key in sorted(keys):
        parts = key.split(".")
        prefixes = (".".join(parts[:end]) for end in range(1, len(parts)))
        owner = next((prefix for prefix in prefixes if prefix in owners), key)
        members.setdefault(owner, []).append(key)
    grouped: dict[str, list[str]] = {}
    for names in members.values():
        together = bool(_longest_common_prefix_str([original_names[name] for name in names]))
        grouped.update({name: names if together else [name] for name in names})
    return grouped


def _longest_common_prefix(names: list[str]) -> str:
    """The dotted beginning that all names share: ``"a.b."`` for ``["a.b.weight", "a.b.bias"]``."""
    shared = os.path.commonprefix([name.split(".")[:-1] for name in names])
    return "".join(f"{part}." for part in shared)


def _longest_common_prefix_str(names: list[str]) -> str:
    """The beginning that all names share, letter by letter."""
    return os.path.commonprefix(names)


def _group_str(names: list[str]) -> str:
    """Several names in short: ``"a.b.{bias,weight}"``."""
    if len(names) == 1:
        return names[0]
    prefix = _longest_common_prefix(names) or _longest_common_prefix_str(names)
    return f"{prefix}{{{','.join(name.removeprefix(prefix) for name in names)}}}"
