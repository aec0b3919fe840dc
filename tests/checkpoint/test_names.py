import logging

import numpy as np
import pytest
import torch

from detectron2.checkpoint.c2_model_loading import (
    _group_keys_by_module,
    _group_str,
    _longest_common_prefix,
    _longest_common_prefix_str,
    align_and_update_state_dicts,
    convert_basic_c2_names,
    convert_c2_detectron_names,
)
from detectron2.checkpoint.torchvision_names import convert_torchvision_names, is_torchvision_resnet
from tests.facts import fact, golden_json

GOLDEN = golden_json("c2_names")


def test_basic_names():
    assert convert_basic_c2_names(list(GOLDEN["basic"])) == list(GOLDEN["basic"].values())


@pytest.mark.parametrize("group", ["detectron_fpn", "detectron_c4", "detectron_keypoint", "detectron_retina"])
def test_detectron_names(group):
    names = GOLDEN[group]
    weights = {name: torch.zeros(8, 2) for name in names}
    converted, originals = convert_c2_detectron_names(weights)
    assert {old: new for new, old in originals.items()} == names
    assert set(converted) == set(names.values())


def test_background_goes_last():
    weights = {
        "bbox_pred_b": torch.arange(8.0),
        "bbox_pred_w": torch.arange(24.0).reshape(8, 3),
        "cls_score_b": torch.arange(3.0),
        "cls_score_w": torch.arange(6.0).reshape(3, 2),
    }
    converted, _ = convert_c2_detectron_names(weights)
    for name, (shape, values) in GOLDEN["reordered_values"].items():
        assert list(converted[name].shape) == shape
        assert converted[name].flatten().tolist() == values


def test_names_that_collide():
    with pytest.raises(ValueError, match="conv_rpn_fpn2_w.*conv_rpn_w|conv_rpn_w.*conv_rpn_fpn2_w"):
        convert_c2_detectron_names({"conv_rpn_w": torch.zeros(1), "conv_rpn_fpn2_w": torch.zeros(1)})


def model_shapes(config):
    return {name: torch.zeros(shape) for name, shape, _ in fact("state_dicts")[config]["entries"]}


def torchvision_resnet50():
    state = {
        "conv1.weight": torch.zeros(64, 3, 7, 7),
        "fc.weight": torch.zeros(1000, 2048),
        "fc.bias": torch.zeros(1000),
    }

    def norm(prefix, width):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            state[f"{prefix}.{leaf}"] = torch.zeros(width)
        state[f"{prefix}.num_batches_tracked"] = torch.zeros((), dtype=torch.long)

    norm("bn1", 64)
    channels = 64
    for layer, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], start=1):
        for block in range(blocks):
            prefix = f"layer{layer}.{block}"
            shapes = [(width, channels, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)]
            for index, shape in enumerate(shapes, start=1):
                state[f"{prefix}.conv{index}.weight"] = torch.zeros(shape)
                norm(f"{prefix}.bn{index}", shape[0])
            if block == 0:
                state[f"{prefix}.downsample.0.weight"] = torch.zeros(4 * width, channels, 1, 1)
                norm(f"{prefix}.downsample.1", 4 * width)
            channels = 4 * width
    return state


def test_torchvision_resnet_fills_the_whole_backbone():
    source = torchvision_resnet50()
    assert is_torchvision_resnet(source)
    model = model_shapes("COCO-Detection__faster_rcnn_R_50_FPN_1x")
    result = align_and_update_state_dicts(model, convert_torchvision_names(source), c2_conversion=False)
    bottom_up = {name for name in model if name.startswith("backbone.bottom_up.")}
    assert bottom_up and bottom_up <= set(result)
    left_over = set(result) - set(model)
    assert all(name.startswith("linear.") or name.endswith("num_batches_tracked") for name in left_over)
    assert "linear.weight" in left_over


def test_caffe2_resnet_fills_the_backbone_but_for_the_statistics():
    names = {old: new for old, new in GOLDEN["basic"].items() if old.startswith(("conv1", "res")) and "_gn_" not in old}
    model = {"backbone." + new: torch.zeros(1) for new in names.values()}
    blobs = {old: torch.full((1,), float(index)) for index, old in enumerate(names)}
    result = align_and_update_state_dicts(model, blobs)
    assert {name: result["backbone." + new].item() for name, new in names.items()} == {
        name: blob.item() for name, blob in blobs.items()
    }


def test_the_longest_ending_wins_and_leftovers_keep_their_names(caplog):
    model = {"a.b.conv.weight": torch.zeros(2), "a.conv.weight": torch.zeros(2), "head.weight": torch.zeros(3)}
    checkpoint = {
        "b.conv.weight": torch.ones(2),
        "conv.weight": torch.full((2,), 2.0),
        "head.weight": torch.zeros(4),
        "other": torch.zeros(1),
    }
    with caplog.at_level(logging.INFO, logger="detectron2"):
        result = align_and_update_state_dicts(model, checkpoint, c2_conversion=False)
    assert set(result) == {"a.b.conv.weight", "a.conv.weight", "other"}
    assert (result["a.b.conv.weight"][0], result["a.conv.weight"][0]) == (1, 2)
    assert "'head.weight' of the checkpoint has shape (4,)" in caplog.text
    assert "a.b.conv.weight <- b.conv.weight" in caplog.text


def test_a_weight_that_fits_two_names_is_refused():
    with pytest.raises(ValueError, match="'fc.weight'.*'x.fc.weight'.*'y.fc.weight'"):
        align_and_update_state_dicts(
            {"x.fc.weight": torch.zeros(1), "y.fc.weight": torch.zeros(1)}, {"fc.weight": torch.zeros(1)}, False
        )


def test_an_ending_must_begin_at_a_dot():
    result = align_and_update_state_dicts({"preconv.weight": torch.zeros(1)}, {"conv.weight": torch.zeros(1)}, False)
    assert set(result) == {"conv.weight"}


def test_empty_checkpoint():
    assert align_and_update_state_dicts({"a": torch.zeros(1)}, {}) == {}


def test_short_lists_for_the_log():
    names = ["res2.conv1.weight", "res2.conv1.norm.weight", "fc.bias"]
    originals = dict(zip(names, ["r2_w", "r2_bn_s", "fc_b"], strict=True))
    groups = _group_keys_by_module(names, originals)
    assert groups["res2.conv1.weight"] == ["res2.conv1.norm.weight", "res2.conv1.weight"]
    assert groups["fc.bias"] == ["fc.bias"]
    assert _group_str(groups["res2.conv1.weight"]) == "res2.conv1.{norm.weight,weight}"
    assert _group_str(["r2_bn_s", "r2_w"]) == "r2_{bn_s,w}"
    assert _longest_common_prefix(["a.b.c", "a.b.d"]) == "a.b."
    assert _longest_common_prefix(["abc.zfg", "abd.zef"]) == ""
    assert _longest_common_prefix_str(["m_tops_a", "m_tops_b"]) == "m_tops_"


def test_numpy_weights_are_kept_by_value():
    converted = convert_torchvision_names({"layer3.5.bn3.running_var": np.ones(2)})
    assert list(converted) == ["res4.5.conv3.norm.running_var"]
