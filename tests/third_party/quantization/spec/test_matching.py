import pytest

from third_party.quantization.spec import (
    Freeze,
    LSQSpec,
    ProgressiveConfig,
    QuantConfig,
    Role,
    Rule,
    SetBits,
    Step,
    TrainingConfig,
    XNORSpec,
)

MODEL = {
    "backbone.stem.conv1": ("Conv2d", "Module"),
    "backbone.res2.0.conv1": ("Conv2d", "Module"),
    "head.fc": ("Linear", "Module"),
}


def refusal(config):
    with pytest.raises(ValueError) as refused:
        config.check_matches(MODEL)
    return str(refused.value)


def test_what_matches_passes():
    QuantConfig(
        rules=(
            Rule(name="backbone.*", skip=True),
            Rule(module_type="Linear", skip=True),
            Rule(name="head.fc", skip=False),
        ),
        schedule=(Step(0, Freeze()), Step(1, Freeze(), name="head.*")),
        training=TrainingConfig(progressive=ProgressiveConfig(enabled=True, steps=(1,), name="re:head.*")),
    ).check_matches(MODEL)


@pytest.mark.parametrize(
    "rule, message",
    [
        (
            Rule(name="backbone.stem.conv2", skip=True),
            "rule 1 (name backbone.stem.conv2) matches no layer. Nearest names: backbone.stem.conv1",
        ),
        (
            Rule(name="backbone.stemm.*", skip=True),
            "rule 1 (name backbone.stemm.*) matches no layer. Nearest names: backbone.stem",
        ),
        (
            Rule(name="head", skip=True),
            "rule 1 (name head) matches no layer. It holds layers and is none itself: write 'head.*'",
        ),
        (Rule(module_type="Conv3d", skip=True), "rule 1 (type Conv3d) matches no layer. Did you mean Conv2d?"),
        (Rule(module_type="Zzz", skip=True), "rule 1 (type Zzz) matches no layer. Types there: Conv2d, Module, Linear"),
        (
            Rule(name="head.*", module_type="Conv2d", skip=True),
            "rule 1 (name head.*, type Conv2d) matches no layer. Types there: Linear, Module",
        ),
    ],
)
def test_a_rule_that_matches_nothing(rule, message):
    assert message in refusal(QuantConfig(rules=(rule,)))


def test_a_step_that_matches_nothing():
    message = refusal(QuantConfig(schedule=(Step(3, Freeze(), name="heads.*"),)))
    assert "step 1 (freeze at iteration 3, name heads.*) matches no layer. Nearest names: head" in message


def test_a_progression_that_matches_nothing_unless_it_is_off():
    for enabled in (True, False):
        group = ProgressiveConfig(enabled=enabled, steps=(1,), name="heads.*")
        config = QuantConfig(training=TrainingConfig(progressive=group))
        if enabled:
            assert "progressive (name heads.*) matches no layer" in refusal(config)
        else:
            config.check_matches(MODEL)


def test_all_are_listed_at_once():
    config = QuantConfig(
        rules=(Rule(name="a", skip=True), Rule(name="*", weight="float"), Rule(name="b", skip=True)),
        schedule=(Step(0, Freeze(), name="c"),),
    )
    message = refusal(config)
    assert [text in message for text in ("rule 1 (", "rule 2 (", "rule 3 (", "step 1 (")] == [True, False, True, True]


def plans(config):
    return {name: config.resolve(name, types) for name, types in MODEL.items()}


def test_steps_that_can_be_done_pass():
    config = QuantConfig(weight=XNORSpec(), schedule=(Step(0, SetBits(4), role=Role.ACTIVATION), Step(1, Freeze())))
    config.check_plans(plans(config))


def test_a_step_for_tensors_in_float_is_refused():
    config = QuantConfig(weight=None, schedule=(Step(0, Freeze(), role=Role.WEIGHT),))
    with pytest.raises(ValueError, match="step 1 .* means no quantized tensor"):
        config.check_plans(plans(config))


def test_a_width_that_a_method_does_not_have_is_refused_before_training():
    config = QuantConfig(weight=XNORSpec(), activation=LSQSpec(), schedule=(Step(0, SetBits(4), name="head.*"),))
    with pytest.raises(ValueError) as refused:
        config.check_plans(plans(config))
    assert "weight of 'head.fc' has method xnor, which has no 4 bits" in str(refused.value)
    assert "lsq" not in str(refused.value)
