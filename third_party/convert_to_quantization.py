"""The layer swapper: from ``MODEL.QUANTIZATION`` of a config to a quantized model.

``build_model`` calls it. As a command it shows what would be done::

    python -m third_party.convert_to_quantization --config-file X --dry-run
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from detectron2.config import CfgNode, get_cfg
from detectron2.layers.deform_conv import DeformConv, ModulatedDeformConv
from detectron2.layers.elementwise import Add, Concat, UpsampleTo
from detectron2.layers.wrappers import Conv2d
from detectron2.projects import read_config

from .quantization import QuantConfig, Report, prepare, register_converter, register_pass_through
from .quantization.legacy import split_legacy, translate_legacy
from .quantization.modules import QuantAdd, QuantConcat, QuantConv2d, QuantDeformConv
from .quantization.transform import survey

# Keys of the node that are not the engine's.
_FRAMEWORK_KEYS = ("BACKBONE_WEIGHTS",)

register_converter(Conv2d, QuantConv2d.from_float)
register_converter(DeformConv, QuantDeformConv.from_float)
register_converter(ModulatedDeformConv, QuantDeformConv.from_float)
register_converter(Add, QuantAdd.from_float, kind="elementwise")
register_converter(Concat, QuantConcat.from_float, kind="elementwise")
register_pass_through(UpsampleTo, lambda module: module.mode == "nearest")


def convert_to_quantization(model: nn.Module, cfg: CfgNode) -> Report | None:
    """Quantize the layers of a model, in place, as ``MODEL.QUANTIZATION`` says.

    The model gets an attribute ``quantization``, its :class:`QuantConfig`.

    Args:
        model: a float model of any architecture.
        cfg: the whole config.

    Returns:
        what was done with which layer; None when quantization is off.

    Raises:
        ValueError: an unknown key (also when quantization is off), a value that is not allowed, or a rule that
            matches no layer.
    """
    config = quantization_config(cfg, model)
    return None if config is None else quantize_model(model, config)


def quantize_model(model: nn.Module, config: QuantConfig, *, dry_run: bool = False) -> Report:
    """:func:`prepare`, for models of detectron2's layers; the model remembers the config as ``quantization``."""
    report = prepare(model, config, dry_run=dry_run)
    if not dry_run:
        model.quantization = config
    return report


def quantization_config(cfg: CfgNode, model: nn.Module | None = None) -> QuantConfig | None:
    """The engine's settings from a config; None when quantization is off.

    Settings of the first quantization fork (``keyword``, ``scope``, policy files) are translated.

    Args:
        cfg: the whole config.
        model: names its layers to policies that count them.

    Raises:
        ValueError: an unknown key or a value that is not allowed.
        FileNotFoundError: a policy file is missing.
    """
    old, node = split_legacy(_plain(cfg.MODEL.QUANTIZATION))
    if old:
        _refuse_mixture(old, node)
        names = None if model is None else [layer.name for layer in survey(model) if layer.kind == "weighted"]
        node = translate_legacy(old, layer_names=names)
    mapping = {key: value for key, value in node.items() if key not in _FRAMEWORK_KEYS}
    _fill_in_image(mapping, cfg)
    config = QuantConfig.from_mapping(mapping)  # checked also when it is switched off
    return config if mapping["ENABLED"] else None


def _refuse_mixture(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    defaults = _plain(get_cfg().MODEL.QUANTIZATION)
    changed = [key for key, value in new.items() if value != defaults.get(key)]
    if changed:
        raise ValueError(
            f"MODEL.QUANTIZATION has keys of the first quantization fork ({', '.join(old)}) beside today's "
            f"({', '.join(changed)}): use either"
        )


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(item) for item in node] if isinstance(node, (list, tuple)) else node


def _fill_in_image(mapping: dict[str, Any], cfg: CfgNode) -> None:
    """Tell the method "image" how the model normalises its images."""
    rules = [rule for rule in mapping.get("RULES", []) if isinstance(rule, dict)]
    for section in (mapping, *rules):
        settings = section.get("ACTIVATION")
        if isinstance(settings, dict) and settings.get("METHOD") == "image" and "MEAN" not in settings:
            settings["MEAN"], settings["STD"] = list(cfg.MODEL.PIXEL_MEAN), list(cfg.MODEL.PIXEL_STD)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: build the model of a config without weights and print what quantization does to it."""
    parser = argparse.ArgumentParser(
        prog="python -m third_party.convert_to_quantization",
        description="Show which layers MODEL.QUANTIZATION of a config quantizes, how and why, and what they weigh.",
    )
    parser.add_argument("--config-file", required=True, metavar="FILE")
    parser.add_argument("--dry-run", action="store_true", help="only look (the command never writes anything)")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="overrides of the config")
    parsed = parser.parse_args(arguments)
    if not os.path.isfile(parsed.config_file):
        parser.error(f"--config-file {parsed.config_file}: there is no such file")
    try:
        cfg = read_config(parsed.config_file, [part for part in parsed.opts if part != "--"])
        print(describe(cfg, dry_run=parsed.dry_run))
    except (ValueError, KeyError) as mistake:
        parser.error(str(mistake.args[0]))


def describe(cfg: CfgNode, *, dry_run: bool = True) -> str:
    """The report on the model that a config describes.

    Raises:
        ValueError: quantization is off, or its settings are wrong.
    """
    from detectron2.modeling import build_model

    float_cfg = cfg.clone()
    float_cfg.defrost()
    float_cfg.MODEL.QUANTIZATION = get_cfg().MODEL.QUANTIZATION
    float_cfg.MODEL.DEVICE = "cpu"
    model = build_model(float_cfg)
    config = quantization_config(cfg, model)
    if config is None:
        raise ValueError("MODEL.QUANTIZATION.ENABLED is False: this config quantizes nothing")
    return str(quantize_model(model, config, dry_run=dry_run))


if __name__ == "__main__":
    main()
