"""Parameter names of Caffe2 and Detectron, turned into the names of this package."""

import re
from collections.abc import Iterable

import torch

_NORMS = ("bn", "gn")
_NORM_PARAMETERS = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
_PARAMETERS = {"w": "weight", "b": "bias"}
_BRANCHES = {"branch1": "shortcut", "branch2a": "conv1", "branch2b": "conv2", "branch2c": "conv3"}

# Regular expressions over the dotted names, for the parts around the backbone. The first that matches counts.
_DETECTOR_PARTS = [
    (r"conv\.rpn(?:\.fpn2)?", "proposal_generator.rpn_head.conv"),
    (r"rpn\.cls\.logits(?:\.fpn2)?", "proposal_generator.rpn_head.objectness_logits"),
    (r"rpn\.bbox\.pred(?:\.fpn2)?", "proposal_generator.rpn_head.anchor_deltas"),
    (r"bbox\.pred", "bbox_pred"),
    (r"cls\.score", "cls_score"),
    (r"fc6", "box_head.fc1"),
    (r"fc7", "box_head.fc2"),
    (r"head\.conv(\d)", r"box_head.conv\1"),
    (r"fpn\.inner\.res(\d)\.\d+\.sum(?:\.lateral)?", r"fpn_lateral\1"),
    (r"fpn\.res(\d)\.\d+\.sum", r"fpn_output\1"),
    (r"\.?\[?mask\]?\.fcn(\d)", r"mask_head.mask_fcn\1"),
    (r"conv5\.mask", "mask_head.deconv"),
    (r"mask\.fcn\.logits", "mask_head.predictor"),
    (r"conv\.fcn(\d)", r"roi_heads.keypoint_head.conv_fcn\1"),
    (r"kps\.score\.lowres", "roi_heads.keypoint_head.score_lowres"),
    (r"kps\.score", "roi_heads.keypoint_head.score"),
]


def convert_basic_c2_names(original_keys: Iterable[str]) -> list[str]:
    """Dotted names for Caffe2 blobs, and this package's names for the parts of a ResNet.

    Args:
        original_keys: e.g. ``"res2_0_branch2a_bn_s"``.

    Returns:
        the new names in the same order, e.g. ``"res2.0.conv1.norm.weight"``.
    """
    return [_dotted_name(key.split("_")) for key in original_keys]


def _dotted_name(words: list[str]) -> str:
    *body, leaf = words
    if body and body[-1] in _NORMS:
        body, leaf = [*body[:-1], "norm"], _NORM_PARAMETERS.get(leaf, leaf)
    else:
        leaf = _PARAMETERS.get(leaf, leaf)
    if body[:2] == ["res", "conv1"]:
        body[0] = "stem"
    elif body[:1] == ["conv1"]:
        body.insert(0, "stem")
    elif body == ["pred"]:
        body = ["linear"]
    return ".".join([_BRANCHES.get(word, word) for word in body] + [leaf])


def _detector_name(name: str) -> str:
    for pattern, replacement in _DETECTOR_PARTS:
        new, count = re.subn(rf"^{pattern}(?=\.)", replacement, name)
        if count:
            return new
    return name


def convert_c2_detectron_names(
    weights: dict[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Rename the weights of a Detectron (Caffe2) model, with the classes in this package's order.

    Detectron counts the background as class 0. Here it is the last score, and it has no box.

    Args:
        weights: Caffe2 name to tensor.

    Returns:
        new name to tensor, and new name to Caffe2 name.

    Raises:
        ValueError: two names become the same one.
    """
    converted: dict[str, torch.Tensor] = {}
    originals: dict[str, str] = {}
    for original, basic in sorted(zip(weights, convert_basic_c2_names(weights), strict=True)):
        name = _detector_name(basic)
        if name in originals:
            raise ValueError(f"Caffe2 weights '{originals[name]}' and '{original}' both become '{name}'")
        originals[name] = original
        converted[name] = _background_last(name, weights[original])
    return converted, originals


def _background_last(name: str, weight: torch.Tensor) -> torch.Tensor:
    part = name.rsplit(".", 1)[0]
    if part == "bbox_pred":
        return weight[4:]
    if part == "cls_score":
        return torch.cat([weight[1:], weight[:1]])
    return weight
