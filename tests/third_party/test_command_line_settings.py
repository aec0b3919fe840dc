"""Every setting of MODEL.QUANTIZATION can be given as KEY VALUE, and a misspelt one is refused."""

import inspect

import pytest

from detectron2.config import get_cfg
from detectron2.modeling import build_model
from tests.modeling.tiny_models import tiny_config
from tests.third_party.quantization.spec.cases import FULL
from third_party.convert_to_quantization import quantization_config
from third_party.quantization import QuantConfig
from third_party.quantization.spec import METHODS, Role
from third_party.quantization.spec.sections import write_spec

NODE = "MODEL.QUANTIZATION"
PARTS = {Role.WEIGHT: "WEIGHT", Role.ACTIVATION: "ACTIVATION"}


def _leaves(mapping, path=NODE):
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", value


def _merged(pairs, cfg=None):
    cfg = cfg or get_cfg()
    cfg.merge_from_list([part for key, value in pairs for part in (key, str(value))])
    return cfg


def test_all_settings_at_once_and_in_any_order():
    pairs = list(_leaves(FULL))
    assert len(pairs) > 25
    for some in (pairs, pairs[::-1]):
        assert quantization_config(_merged(some)) == QuantConfig.from_mapping(FULL)


def test_all_settings_survive_being_written_and_read(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(_merged(_leaves(FULL)).dump())
    cfg = get_cfg()
    cfg.merge_from_file(str(file))
    assert quantization_config(cfg) == QuantConfig.from_mapping(FULL)


def _complete(method):
    """Whether a method can do without any setting: "image" cannot, it takes the model's mean."""
    parameters = inspect.signature(METHODS[method]).parameters.values()
    return all(parameter.default is not parameter.empty for parameter in parameters)


@pytest.mark.parametrize(
    ("method", "role"), [(m, role) for m in METHODS if _complete(m) for role in PARTS if role in METHODS[m].roles]
)
def test_all_settings_of_every_method(method, role):
    spec = METHODS[method]()
    written = {"ENABLED": True, PARTS[role]: write_spec(spec)}
    config = quantization_config(_merged(_leaves(written)))
    assert (config.weight if role is Role.WEIGHT else config.activation) == spec


def test_a_number_of_groups_follows_a_name_and_the_other_way_round():
    key = f"{NODE}.WEIGHT.GRANULARITY"
    cfg = _merged([(f"{NODE}.ENABLED", True), (key, 4)])
    assert quantization_config(cfg).weight.granularity == 4
    assert quantization_config(_merged([(key, "tensor")], cfg)).weight.granularity == "tensor"


def test_a_setting_beside_those_of_a_file(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("MODEL: {QUANTIZATION: {ENABLED: true, TRAINING: {DISTILLATION: {WEIGHT: 1.0, KIND: outputs}}}}")
    cfg = get_cfg()
    cfg.merge_from_file(str(file))
    _merged([(f"{NODE}.TRAINING.DISTILLATION.TEACHER", "float.pth")], cfg)
    found = quantization_config(cfg).training.distillation
    assert (found.weight, found.kind, found.teacher) == (1.0, "outputs", "float.pth")


@pytest.mark.parametrize("key", [key for key, _ in _leaves(FULL)])
def test_a_misspelt_setting_is_refused_by_the_model(key):
    section, _, name = key.rpartition(".")
    cfg = _merged([(f"{section}.{name}S", "1")], tiny_config("retinanet_tiny"))
    with pytest.raises(ValueError, match=f"{key}S: no such setting") as caught:
        build_model(cfg)
    assert "Did you mean" in str(caught.value) and name in str(caught.value)


def test_a_misspelt_section_is_refused_by_the_model():
    cfg = _merged([(f"{NODE}.TRAINING.DISTILATION.TEACHER", "float.pth")], tiny_config("retinanet_tiny"))
    with pytest.raises(ValueError, match=r"TRAINING\.DISTILATION: no such setting. Did you mean DISTILLATION"):
        build_model(cfg)


@pytest.mark.parametrize("key", ["MODEL.QUANTISATION.ENABLED", f"{NODE}.RULES.NAME", f"{NODE}.WEIGHT.BITS.MORE"])
def test_keys_outside_of_its_sections_do_not_exist(key):
    with pytest.raises(KeyError, match="Non-existent config key"):
        get_cfg().merge_from_list([key, "1"])


def test_a_wrong_type_is_told_by_the_reader():
    cfg = _merged([(f"{NODE}.WEIGHT.BITS", "many")], tiny_config("retinanet_tiny"))
    with pytest.raises(ValueError, match=r"MODEL\.QUANTIZATION\.WEIGHT\.BITS.*'many'"):
        build_model(cfg)
