import logging

import pytest

from detectron2.config import CfgNode, downgrade_config, get_cfg, upgrade_config
from detectron2.config.compat import ConverterV1, ConverterV2, _rename, guess_version
from detectron2.config.keys import get_key, has_key


def test_down_and_up_is_the_identity():
    cfg = get_cfg()
    cfg.MODEL.WEIGHTS = "w.pkl"
    for version in (0, 1, 2):
        old = downgrade_config(cfg, version)
        assert old.VERSION == version
        assert upgrade_config(old) == cfg
    assert cfg.MODEL.WEIGHTS == "w.pkl"


@pytest.mark.parametrize("converter", [ConverterV1, ConverterV2])
def test_new_names_exist_and_old_ones_do_not(converter):
    for old, new in converter.RENAME:
        assert has_key(get_cfg(), new), new
        assert not has_key(get_cfg(), old), old
    old = downgrade_config(get_cfg(), 0)
    for old_name, new in converter.RENAME:
        assert get_key(old, old_name) == get_key(get_cfg(), new)
        assert not has_key(old, new)


def test_an_old_file_is_upgraded_while_it_is_merged(tmp_path, caplog):
    path = tmp_path / "old.yaml"
    path.write_text(
        "MODEL:\n  WEIGHT: old.pkl\n  CLS_AGNOSTIC_BBOX_REG: true\n"
        "  RPN: {ANCHOR_SIZES: [16, 32], ASPECT_RATIOS: [0.5, 1.0], FG_IOU_THRESHOLD: 0.8}\n"
    )
    cfg = get_cfg()
    with caplog.at_level(logging.WARNING, logger="detectron2"):
        cfg.merge_from_file(str(path))
    assert cfg.VERSION == 2 and cfg.MODEL.WEIGHTS == "old.pkl"
    assert cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG is True
    assert cfg.MODEL.ANCHOR_GENERATOR.SIZES == [[16], [32]]
    assert cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS == [[0.5, 1.0]]
    assert cfg.MODEL.RPN.IOU_THRESHOLDS == [0.3, 0.8]
    assert "old.yaml" in caplog.text and "version 0" in caplog.text


def test_a_given_version_needs_no_guess(tmp_path, caplog):
    path = tmp_path / "v1.yaml"
    path.write_text("VERSION: 1\nMODEL: {WEIGHT: x}")
    cfg = get_cfg()
    cfg.merge_from_file(str(path))
    assert cfg.MODEL.WEIGHTS == "x" and not caplog.text


def test_guess_version():
    assert guess_version(CfgNode({"MODEL": {"WEIGHTS": "a"}}), "a") == 2
    assert guess_version(CfgNode({"MODEL": {"WEIGHT": "a"}}), "a") == 1
    assert guess_version(CfgNode({"MODEL": {"CLS_AGNOSTIC_BBOX_REG": True}}), "a") == 0
    assert guess_version(CfgNode(), "a") == 2


def test_rename_moves_and_clears_empty_sections():
    cfg = CfgNode({"A": {"B": {"C": 1}}, "D": 2})
    _rename(cfg, "A.B.C", "X.Y")
    _rename(cfg, "A.B.NONE", "Z")
    assert cfg == CfgNode({"X": {"Y": 1}, "D": 2})


@pytest.mark.parametrize(
    "wrong", [lambda c: upgrade_config(c, 3), lambda c: upgrade_config(c, 1), lambda c: downgrade_config(c, -1)]
)
def test_impossible_versions(wrong):
    with pytest.raises(ValueError, match="VERSION 2"):
        wrong(get_cfg())
