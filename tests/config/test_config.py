import io
import logging

import pytest

from detectron2 import config
from detectron2.config import CfgNode, get_cfg, global_cfg, set_global_cfg
from detectron2.utils.file_io import PathHandler, PathManager


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def load(path, text, **kwargs):
    cfg = get_cfg()
    cfg.merge_from_file(write(path, text), **kwargs)
    return cfg


def test_base_chain(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write(tmp_path / "home/root.yaml", "MODEL: {MASK_ON: true, WEIGHTS: root, RPN: {NMS_THRESH: 0.1}}")
    write(tmp_path / "sub/middle.yaml", "_BASE_: ~/root.yaml\nMODEL: {WEIGHTS: middle}\nSEED: 3")
    cfg = load(tmp_path / "top.yaml", "_BASE_: sub/middle.yaml\nMODEL: {RPN: {NMS_THRESH: 0.2}}")
    assert (cfg.MODEL.MASK_ON, cfg.MODEL.WEIGHTS, cfg.MODEL.RPN.NMS_THRESH, cfg.SEED) == (True, "middle", 0.2, 3)


def test_several_bases_and_absolute_paths(tmp_path):
    a = write(tmp_path / "a.yaml", "SEED: 1\nVIS_PERIOD: 1")
    write(tmp_path / "b.yaml", "SEED: 2")
    cfg = load(tmp_path / "c.yaml", f"_BASE_: [{a}, b.yaml]\nOUTPUT_DIR: c")
    assert (cfg.SEED, cfg.VIS_PERIOD, cfg.OUTPUT_DIR) == (2, 1, "c")


def test_bases_behind_a_path_handler(tmp_path):
    class Store(PathHandler):
        def _get_supported_prefixes(self):
            return ["teststore://"]

        def _open(self, path, mode="r", **kwargs):
            return io.StringIO(
                {"teststore://x/base.yaml": "SEED: 5", "teststore://x/top.yaml": "_BASE_: base.yaml"}[path]
            )

    PathManager.register_handler(Store())
    assert load(tmp_path / "a.yaml", "_BASE_: teststore://x/top.yaml").SEED == 5


@pytest.mark.parametrize(
    "text, error, message",
    [
        ("_BASE_: nowhere.yaml", FileNotFoundError, r"nowhere\.yaml does not exist \(_BASE_ of .*bad\.yaml"),
        ("_BASE_: bad.yaml", ValueError, "circle.*bad.yaml -> .*bad.yaml"),
        ("SEED: [1", ValueError, r"bad\.yaml:1: not a valid config"),
        ("A:\n  b: 1\n c: 2", ValueError, r"bad\.yaml:3: not a valid config"),
        ("- 1\n- 2", ValueError, r"bad\.yaml: a config is a mapping.*list"),
        ("SEED: 1\nSEED: 2", ValueError, r"bad\.yaml:2: .*'SEED' is already given in line 1"),
        (
            "SEED: 1\nX: !!python/object/apply:os.getcwd []",
            ValueError,
            r"bad\.yaml:2: the tag !!python/object/apply:os.getcwd",
        ),
        ("X: !!python/tuple [1, 2]", ValueError, r"bad\.yaml:1: the tag !!python/tuple.*allow_unsafe=True"),
        ("X: !mine 3", ValueError, r"bad\.yaml:1: not a valid config"),
        ("SEED: '1'x", ValueError, r"bad\.yaml:1"),
        ("SEED: 2020-01-01", ValueError, r"bad\.yaml: Key SEED .*date.* is not a valid type"),
        ("1: x", KeyError, "Non-existent config key: 1"),
        ("VERSION: 3", ValueError, r"bad\.yaml: VERSION 3 is newer"),
        ("SOLVER: {BASE_LRR: 1}", KeyError, r"SOLVER\.BASE_LRR.*Did you mean SOLVER\.BASE_LR,"),
        ("NUM_CLASSES: 3", KeyError, r"Did you mean .*MODEL\.ROI_HEADS\.NUM_CLASSES"),
        ("MODEL: {RETINA: {NMS: 1}}", KeyError, r"Non-existent config key: MODEL\.RETINA"),
        ("SOLVER: {BASE_LR: fast}", ValueError, r"SOLVER\.BASE_LR"),
        ("SOLVER: {MAX_ITER: 1.5}", ValueError, r"SOLVER\.MAX_ITER"),
        ("MODEL: 3", ValueError, "MODEL"),
    ],
)
def test_bad_files_are_refused_and_nothing_is_merged(tmp_path, text, error, message):
    cfg = get_cfg()
    with pytest.raises(error, match=message):
        cfg.merge_from_file(write(tmp_path / "bad.yaml", text))
    assert cfg == get_cfg()


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no.yaml does not exist"):
        get_cfg().merge_from_file(str(tmp_path / "no.yaml"))


def test_binary_file(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ValueError, match="a.yaml: not a text file"):
        get_cfg().merge_from_file(str(tmp_path / "a.yaml"))


def test_unknown_key_beside_good_ones_merges_nothing(tmp_path):
    cfg = get_cfg()
    with pytest.raises(KeyError):
        cfg.merge_from_file(write(tmp_path / "a.yaml", "SEED: 7\nSEEED: 8"))
    assert cfg.SEED == -1


def test_section_replaced_by_value_in_a_chain(tmp_path):
    write(tmp_path / "base.yaml", "MODEL: {RPN: {NMS_THRESH: 0.5}}")
    with pytest.raises(ValueError, match=r"top\.yaml: 'MODEL\.RPN' is a value here but a section"):
        load(tmp_path / "top.yaml", "_BASE_: base.yaml\nMODEL: {RPN: 3}")


def test_python_tags_run_only_by_the_flag_and_with_a_warning(tmp_path, caplog):
    text = "MODEL: {ANCHOR_GENERATOR: {SIZES: !!python/object/apply:eval ['[[x] for x in (8, 16)]']}}"
    with pytest.raises(ValueError, match="apply:eval"):
        load(tmp_path / "a.yaml", text)
    with caplog.at_level(logging.WARNING, logger="detectron2"):
        cfg = load(tmp_path / "a.yaml", text, allow_unsafe=True)
    assert cfg.MODEL.ANCHOR_GENERATOR.SIZES == [[8], [16]]
    assert "a.yaml:1" in caplog.text and "without protection" in caplog.text


def test_yaml_merge_keys_and_anchors(tmp_path):
    text = "MODEL:\n  RPN: &r {NMS_THRESH: 0.5}\n  ROI_HEADS: {<<: {NUM_CLASSES: 4}, NUM_CLASSES: 5}"
    cfg = load(tmp_path / "a.yaml", text)
    assert (cfg.MODEL.RPN.NMS_THRESH, cfg.MODEL.ROI_HEADS.NUM_CLASSES) == (0.5, 5)


def test_empty_file_changes_nothing(tmp_path):
    assert load(tmp_path / "a.yaml", "") == get_cfg()


def test_bare_data_set_name_is_one_name(tmp_path):
    cfg = load(tmp_path / "a.yaml", "DATASETS: {TRAIN: coco_2017_train, TEST: [a, b]}")
    assert (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == (("coco_2017_train",), ("a", "b"))
    cfg.merge_from_list(["DATASETS.TEST", "coco_2017_val"])
    assert cfg.DATASETS.TEST == ("coco_2017_val",)
    cfg.merge_from_list(["DATASETS.TEST", "('a', 'b')"])
    assert cfg.DATASETS.TEST == ("a", "b")


def test_overrides_from_a_list():
    cfg = get_cfg()
    overrides = ["SOLVER.BASE_LR", "1e-2", "SOLVER.GAMMA", 1, "MODEL.MASK_ON", "True", "SOLVER.STEPS", "[3, 4]"]
    cfg.merge_from_list([*overrides, "MODEL.WEIGHTS", "a/b.pth", "SOLVER.WEIGHT_DECAY_BIAS", "0.5"])
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.GAMMA, cfg.MODEL.MASK_ON, cfg.SOLVER.STEPS) == (0.01, 1.0, True, (3, 4))
    assert (type(cfg.SOLVER.GAMMA), cfg.MODEL.WEIGHTS, cfg.SOLVER.WEIGHT_DECAY_BIAS) == (float, "a/b.pth", 0.5)


@pytest.mark.parametrize(
    "overrides, error, message",
    [
        (["SEED"], ValueError, "pairs"),
        (["SED", 1], KeyError, "SED.*SEED"),
        (["MODEL.RPN.NMS_TRESH", "0.5"], KeyError, r"MODEL\.RPN\.NMS_THRESH"),
        (["SEED.X", 1], KeyError, r"SEED\.X"),
        (["_BASE_", "x.yaml"], KeyError, "only be given in a file"),
        (["SEED", "abc"], ValueError, "SEED"),
        (["MODEL.MASK_ON", 1], ValueError, "MASK_ON"),
    ],
)
def test_bad_overrides(overrides, error, message):
    with pytest.raises(error, match=message):
        get_cfg().merge_from_list(overrides)


def test_merge_from_other_cfg_leaves_the_other_alone():
    cfg, other = get_cfg(), CfgNode({"SOLVER": {"BASE_LR": 1}})
    cfg.merge_from_other_cfg(other)
    assert (cfg.SOLVER.BASE_LR, other.SOLVER.BASE_LR) == (1.0, 1)
    assert type(other.SOLVER.BASE_LR) is int


def test_new_renamed_and_deprecated_keys():
    cfg = get_cfg()
    cfg.MODEL.MINE = CfgNode(new_allowed=True)
    cfg.register_deprecated_key("OLD")
    cfg.register_renamed_key("MODEL.OLD_SEED", "SEED")
    cfg.merge_from_other_cfg(CfgNode({"MODEL": {"MINE": {"X": 1, "DEEP": {"Y": 2}}}, "OLD": 1}))
    assert cfg.MODEL.MINE.DEEP.Y == 2 and "OLD" not in cfg
    cfg.merge_from_list(["OLD", 1])
    with pytest.raises(KeyError, match="renamed to SEED"):
        cfg.merge_from_list(["MODEL.OLD_SEED", 1])


def test_frozen_config_cannot_be_set():
    cfg = get_cfg()
    cfg.freeze()
    with pytest.raises(AttributeError, match="SEED"):
        cfg.SEED = 1
    cfg.defrost()
    cfg.SEED = 1


def test_dump_to_a_stream():
    stream = io.StringIO()
    cfg = CfgNode({"A": (1, 2), "B": {"C": "x"}})
    assert cfg.dump(stream) is None
    assert stream.getvalue() == cfg.dump() == "A:\n- 1\n- 2\nB:\n  C: x\n"


def test_dump_gives_every_key_its_own_value():
    pair = (1, 2)
    cfg = CfgNode({"A": pair, "B": {"C": pair, "D": (pair, pair)}})
    text = cfg.dump()
    assert "&" not in text and "*" not in text
    again = CfgNode({"A": (), "B": {"C": (), "D": ((0,),)}})
    again.merge_from_other_cfg(CfgNode.load_cfg(text))
    assert again == cfg
    again.merge_from_list(["B.D", [[3], [4]]])
    assert again.B.D == ((3,), (4,))


def test_global_cfg_is_one_object_for_all_importers():
    assert global_cfg is config.config.global_cfg
    set_global_cfg(CfgNode({"GLOBAL": {"HACK": 2.0}}))
    assert global_cfg.GLOBAL.HACK == 2.0
    set_global_cfg(CfgNode())
    assert len(global_cfg) == 0


def test_overrides_add_keys_where_a_section_takes_new_ones():
    cfg = CfgNode({"FIXED": {"A": 1}})
    cfg.OPEN = CfgNode({"A": 1}, new_allowed=True)
    cfg.merge_from_list(["OPEN.B", "[1, 2]", "OPEN.A", "3"])
    assert cfg.OPEN == {"A": 3, "B": [1, 2]}
    with pytest.raises(KeyError, match="FIXED.B"):
        cfg.merge_from_list(["OPEN.C", "1", "FIXED.B", "2"])
    assert "C" not in cfg.OPEN


def test_sections_that_are_added_to_an_open_one_take_new_keys():
    cfg = CfgNode({"FIXED": {"A": 1}})
    cfg.OPEN = CfgNode({"A": 1}, new_allowed=True)
    cfg.merge_from_list(["OPEN.DEEP.B", "2", "OPEN.DEEP.C", "'3'"])
    cfg.merge_from_other_cfg(CfgNode({"OPEN": {"DEEP": {"D": 4}, "OTHER": {"E": {"F": 5}}}}))
    cfg.merge_from_list(["OPEN.OTHER.E.G", 6])
    assert cfg.OPEN == {"A": 1, "DEEP": {"B": 2, "C": "3", "D": 4}, "OTHER": {"E": {"F": 5, "G": 6}}}
    for wrong in (["FIXED.DEEP.B", 1], ["OPEN.A.B", 1], ["OPEN.NEW", 1, "OPEN.NEW.B", 1]):
        with pytest.raises(KeyError, match="Non-existent"):
            cfg.merge_from_list(wrong)
    with pytest.raises(ValueError, match="OPEN.DEEP is a section"):
        cfg.merge_from_list(["OPEN.A", 2, "OPEN.DEEP", 1])
    assert cfg.OPEN.A == 1 and "NEW" not in cfg.OPEN


def test_values_of_open_sections_may_change_their_type():
    cfg = CfgNode({"FIXED": {"A": "text"}})
    cfg.OPEN = CfgNode({"A": "text", "B": {"C": None}}, new_allowed=True)
    cfg.merge_from_list(["OPEN.A", "4", "OPEN.B", "{'C': {'D': 1}}"])
    assert cfg.OPEN == {"A": 4, "B": {"C": {"D": 1}}}
    for merge in (
        lambda: cfg.merge_from_list(["OPEN.A", "other", "FIXED.A", "4"]),
        lambda: cfg.merge_from_other_cfg(CfgNode({"OPEN": {"A": "other"}, "FIXED": {"A": 4}})),
    ):
        with pytest.raises(ValueError, match="FIXED.A"):
            merge()
        assert cfg.OPEN.A == 4
