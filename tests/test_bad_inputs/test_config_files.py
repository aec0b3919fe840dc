"""Config files and overrides, through ``merge_from_file`` and ``merge_from_list``."""

import pytest

from detectron2 import model_zoo
from detectron2.config import get_cfg

RUN = "!!python/object/apply:os.mkdir"

FILES = {
    "unknown key": ("SOLVER:\n  MAX_ITERS: 5\n", KeyError, "SOLVER.MAX_ITERS. Did you mean SOLVER.MAX_ITER"),
    "unknown section": ("MODEL:\n  RESNET:\n    DEPTH: 50\n", KeyError, "MODEL.RESNET. Did you mean MODEL.RESNETS"),
    "lower case": ("solver:\n  base_lr: 1\n", KeyError, "solver. Did you mean SOLVER"),
    "key that is a number": ("1: 2\n", KeyError, "key: 1"),
    "text for a number": ("SOLVER:\n  MAX_ITER: many\n", ValueError, "many.* key: SOLVER.MAX_ITER"),
    "list for a number": ("SOLVER:\n  MAX_ITER: [1]\n", ValueError, "key: SOLVER.MAX_ITER"),
    "fraction for a count": ("SOLVER:\n  MAX_ITER: 1.5\n", ValueError, "key: SOLVER.MAX_ITER"),
    "number for a switch": ("MODEL:\n  MASK_ON: 1\n", ValueError, "key: MODEL.MASK_ON"),
    "good, then wrong type": ("SOLVER:\n  MAX_ITER: 5\nSEED: abc\n", ValueError, "abc.* key: SEED"),
    "value for a section": ("SOLVER: 3\n", ValueError, "SOLVER is a section"),
    "nothing for a section": ("SOLVER:\n", ValueError, "SOLVER is a section"),
    "section for a value": ("SOLVER:\n  MAX_ITER:\n    A: 1\n", ValueError, "key: SOLVER.MAX_ITER"),
    "date": ("MODEL:\n  WEIGHTS: 2020-01-01\n", ValueError, "MODEL.WEIGHTS.*date"),
    "key twice": ("SEED: 1\nSEED: 2\n", ValueError, "a.yaml:2: .*'SEED' is already given in line 1"),
    "tab": ("MODEL:\n\tMASK_ON: true\n", ValueError, "a.yaml:2: not a valid config"),
    "unclosed list": ("SOLVER:\n  STEPS: [1, 2\n", ValueError, r"a\.yaml:\d: not a valid config"),
    "two documents": ("SEED: 1\n---\nSEED: 2\n", ValueError, "another document"),
    "unknown alias": ("SEED: *seed\n", ValueError, "undefined alias"),
    "alias of itself": ("SOLVER: &s\n  AMP: *s\n", ValueError, "contains itself"),
    "a list": ("- SEED\n", ValueError, "a config is a mapping.*list"),
    "plain text": ("hello", ValueError, "a config is a mapping.*str"),
    "binary": (b"\xff\xfe\x00\x81", ValueError, "not a text file"),
    "Python call": (
        f"MODEL:\n  WEIGHTS: {RUN} [ran]\n",
        ValueError,
        "a.yaml:2: the tag !!python/object/apply:os.mkdir",
    ),
    "Python tuple": ("DATASETS:\n  TRAIN: !!python/tuple [a]\n", ValueError, "a.yaml:2: the tag !!python/tuple"),
    "Python name": ("SEED: !!python/name:os.system\n", ValueError, "a.yaml:1: the tag !!python/name:os.system"),
    "unknown tag": ("SEED: !mine 3\n", ValueError, "a.yaml:1: .*'!mine'"),
    "newer version": ("VERSION: 9\n", ValueError, "VERSION 9 is newer"),
    "version as text": ("VERSION: two\n", ValueError, "VERSION is 'two'"),
    "negative version": ("VERSION: -1\n", ValueError, "VERSION is -1"),
    "base that is not there": (
        "_BASE_: b.yaml\n",
        FileNotFoundError,
        r"b\.yaml does not exist \(_BASE_ of .*a\.yaml\)",
    ),
    "base of itself": ("_BASE_: a.yaml\n", ValueError, "_BASE_ goes round in a circle: .*a.yaml -> .*a.yaml"),
    "base in a circle": ("_BASE_: round.yaml\n", ValueError, "a.yaml -> .*round.yaml -> .*a.yaml"),
    "base that is a number": ("_BASE_: 3\n", ValueError, "_BASE_ must be a path or a list of paths, but is 3"),
    "base that is empty": ("_BASE_: ''\n", ValueError, "_BASE_ must be a path"),
    "broken base": ("_BASE_: broken.yaml\n", ValueError, r"broken\.yaml:2: not a valid config"),
    "base with Python tag": ("_BASE_: tag.yaml\n", ValueError, r"tag\.yaml:1: the tag !!python/name:os.system"),
}


@pytest.mark.parametrize("case", FILES)
def test_files(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, kind, message = FILES[case]
    (tmp_path / "round.yaml").write_text("_BASE_: a.yaml\n")
    (tmp_path / "broken.yaml").write_text("SEED: [\n")
    (tmp_path / "tag.yaml").write_text("SEED: !!python/name:os.system\n")
    path = tmp_path / "a.yaml"
    path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text)
    cfg = get_cfg()
    with pytest.raises(kind, match=f"(?s){message}") as error:
        cfg.merge_from_file(str(path))
    assert str(tmp_path) in str(error.value)
    assert cfg == get_cfg()
    assert not (tmp_path / "ran").exists()


LISTS = {
    "unknown key": (["SOLVER.BASE_LRR", "1"], KeyError, "SOLVER.BASE_LRR. Did you mean SOLVER.BASE_LR,"),
    "key below a value": (["SOLVER.BASE_LR.X", "1"], KeyError, "SOLVER.BASE_LR.X"),
    "key that is a number": ([3, 4], KeyError, "key: 3"),
    "no value": (["SOLVER.BASE_LR"], ValueError, "pairs of key and value.*SOLVER.BASE_LR"),
    "text for a number": (["SOLVER.BASE_LR", "high"], ValueError, "high.* key: SOLVER.BASE_LR"),
    "code for a number": (["SEED", "__import__('os').mkdir('ran')"], ValueError, "key: SEED"),
    "yes for a switch": (["MODEL.MASK_ON", "yes"], ValueError, "key: MODEL.MASK_ON"),
    "number for a list": (["MODEL.RPN.IOU_THRESHOLDS", "0.3"], ValueError, "key: MODEL.RPN.IOU_THRESHOLDS"),
    "unclosed tuple": (["SOLVER.STEPS", "(1, 2"], ValueError, "key: SOLVER.STEPS"),
    "value for a section": (["SOLVER", "3"], ValueError, "SOLVER is a section"),
    "base": (["_BASE_", "a.yaml"], KeyError, "_BASE_ can only be given in a file"),
    "good, then unknown key": (["SEED", "5", "SEEDS", "6"], KeyError, "SEEDS. Did you mean SEED"),
    "good, then wrong type": (["SEED", "5", "SOLVER.MAX_ITER", "x"], ValueError, "key: SOLVER.MAX_ITER"),
}


@pytest.mark.parametrize("case", LISTS)
def test_overrides(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs, kind, message = LISTS[case]
    cfg = get_cfg()
    with pytest.raises(kind, match=message):
        cfg.merge_from_list(pairs)
    assert cfg == get_cfg()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("path", ["absent.yaml", ""])
def test_paths_that_are_no_file(path, tmp_path):
    with pytest.raises(OSError, match=str(tmp_path / path)):
        get_cfg().merge_from_file(str(tmp_path / path))


def test_zoo_names_that_are_almost_right():
    with pytest.raises(FileNotFoundError, match="retinanet_R_50_FPN_1.yaml.*COCO-Detection/retinanet_R_50_FPN_1x.yaml"):
        model_zoo.get_config("COCO-Detection/retinanet_R_50_FPN_1.yaml")
    with pytest.raises(KeyError, match="no weights for 'COCO-Detection/retinanet_R_18.yaml'"):
        model_zoo.get_checkpoint_url("COCO-Detection/retinanet_R_18.yaml")
