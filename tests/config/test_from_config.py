import pytest
from yacs.config import CfgNode as YacsNode

from detectron2.config import CfgNode, configurable
from detectron2.config.config import _called_with_cfg, _get_args_from_config

CFG = CfgNode({"A": 1, "B": 2})


class Part:
    @configurable
    def __init__(self, a, b=5, *, c=0):
        self.args = (a, b, c)

    @classmethod
    def from_config(cls, cfg, scale=1):
        return {"a": cfg.A * scale, "b": cfg.B}


class PartWithKeywords(Part):
    @classmethod
    def from_config(cls, cfg, **kwargs):
        return {**super().from_config(cfg), "c": kwargs.get("extra", -1)}


class SubPart(Part):
    def __init__(self, cfg, tag):
        super().__init__(cfg, c=tag)


@pytest.mark.parametrize(
    "part, args",
    [
        (lambda: Part(1, 2, c=3), (1, 2, 3)),
        (lambda: Part(a=7), (7, 5, 0)),
        (lambda: Part(CFG), (1, 2, 0)),
        (lambda: Part(cfg=CFG), (1, 2, 0)),
        (lambda: Part(CFG, 10), (10, 2, 0)),
        (lambda: Part(CFG, scale=10, c=4), (10, 2, 4)),
        (lambda: Part(CFG, b=9), (1, 9, 0)),
        (lambda: Part(YacsNode({"A": 3, "B": 4})), (3, 4, 0)),
        (lambda: PartWithKeywords(CFG, extra=8), (1, 2, 8)),
        (lambda: SubPart(CFG, 6), (1, 2, 6)),
    ],
)
def test_class_form(part, args):
    assert part().args == args


@configurable(from_config=lambda cfg, scale=1: {"a": cfg.A * scale})
def make(a, b=2):
    """Make it."""
    return a, b


def test_function_form():
    assert make(4) == (4, 2)
    assert make(CFG) == (1, 2)
    assert make(CFG, scale=3, b=7) == (3, 7)
    assert make.__doc__ == "Make it." and make.__name__ == "make"
    assert make.from_config(CFG) == {"a": 1}


def test_dict_config_counts_as_a_config():
    omegaconf = pytest.importorskip("omegaconf")
    assert make(omegaconf.OmegaConf.create({"A": 11})) == (11, 2)


def test_called_with_cfg():
    assert _called_with_cfg(CFG) and _called_with_cfg(cfg=CFG) and _called_with_cfg(CFG, 1)
    assert not _called_with_cfg() and not _called_with_cfg(1, CFG) and not _called_with_cfg({"A": 1}, cfg=None)


def test_arguments_that_from_config_does_not_take_win():
    assert _get_args_from_config(Part.from_config, CFG, c=1, b=3, scale=2) == {"a": 2, "b": 3, "c": 1}


class NoFromConfig:
    @configurable
    def __init__(self, a): ...


class PlainFromConfig(NoFromConfig):
    def from_config(self, cfg):
        return {}


class WrongFirstArgument(NoFromConfig):
    @classmethod
    def from_config(cls, config):
        return {}


@pytest.mark.parametrize("cls", [NoFromConfig, PlainFromConfig])
def test_class_without_from_config_is_refused(cls):
    with pytest.raises(TypeError, match=f"{cls.__name__}.*classmethod 'from_config"):
        cls(CFG)


def test_first_argument_must_be_cfg():
    with pytest.raises(TypeError, match="WrongFirstArgument must take 'cfg'"):
        WrongFirstArgument(CFG)


@pytest.mark.parametrize(
    "wrong", [lambda: configurable(3), lambda: configurable(make), lambda: configurable(from_config=3)]
)
def test_wrong_use_of_the_decorator(wrong):
    with pytest.raises(TypeError, match="@configurable"):
        wrong()
