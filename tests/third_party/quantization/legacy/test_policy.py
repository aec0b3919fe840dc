import pytest

from third_party.quantization.legacy.policy import parse_policy
from third_party.quantization.spec import Role

BOTH = (Role.ACTIVATION, Role.WEIGHT)


def parse(text):
    return [
        (
            block.section,
            block.triggers,
            block.indices,
            block.roles,
            {name: word.value for name, word in block.words.items()},
        )
        for block in parse_policy(text, "p.txt")
    ]


@pytest.mark.parametrize(
    "text, blocks",
    [
        ("on init:\nby_index: all\nbit: 8", [("init", (), None, (), {"bit": 8})]),
        (
            "# x\n\n  on init :  # y\n by_index : 8 36  37 # z\n by_tag: fm\n bit : 8\n",
            [("init", (), (8, 36, 37), (Role.ACTIVATION,), {"bit": 8})],
        ),
        (
            "on init:\nby_tag: wt\nby_index: 0\nbit: 8\nenable: true",
            [("init", (), (0,), (Role.WEIGHT,), {"bit": 8, "enable": True})],
        ),
        ("on init:\nby_index: 1\nby_tag: fm wt\nbit: 8", [("init", (), (1,), BOTH, {"bit": 8})]),
        (
            "on init:\nby_index: 1\nby_tag: fm\nbit: 8\nby_tag: wt\nbit: 4\nby_index: all\nby_tag: fm\nbit: 2",
            [
                ("init", (), (1,), (Role.ACTIVATION,), {"bit": 8}),
                ("init", (), (1,), (Role.WEIGHT,), {"bit": 4}),
                ("init", (), None, (Role.ACTIVATION,), {"bit": 2}),
            ],
        ),
        (
            "on init:\nby_index: 1\nbit: 8\nby_index: 2\nbit: 4",
            [("init", (), (1,), (), {"bit": 8}), ("init", (), (2,), (), {"bit": 4})],
        ),
        ("on epoch 3 6:\nby_index: all\nbit: 2", [("epoch", (3, 6), None, (), {"bit": 2})]),
        ("on epoch 3, 6:\nby_index: all\nbit: 2", [("epoch", (3, 6), None, (), {"bit": 2})]),
        (
            "on norm:\nenable: False\non eltwise:\nbit: 8",
            [("norm", (), None, (), {"enable": False}), ("eltwise", (), None, (), {"bit": 8})],
        ),
        (
            "on init:\nby_index: all\nscale: 0.25\ngrad_type: 'STE'",
            [("init", (), None, (), {"scale": 0.25, "grad_type": "STE"})],
        ),
    ],
)
def test_grammar(text, blocks):
    assert parse(text) == blocks


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "p.txt: the policy file says nothing"),
        ("# only this", "p.txt: the policy file says nothing"),
        ("bit: 8", "p.txt, line 1: 'bit: 8' stands before the first section"),
        ("\non start:\nbit: 8", "p.txt, line 2: section 'start' is not one of init, norm, eltwise, epoch"),
        ("on epochs 3:", "section 'epochs' is not one of init, norm, eltwise, epoch. Did you mean epoch"),
        ("on init:", "p.txt, line 1: section init ends without a 'name: value' line"),
        ("on init:\nby_index: all", "section init ends without"),
        ("on init:\nby_index: all\nbit: 8\nby_index: 3", "p.txt, line 4: section init ends without"),
        ("on init:\non norm:\nenable: True", "p.txt, line 1: section init ends without"),
        ("on epoch:\nby_index: all\nbit: 8", "section epoch needs epochs, such as 'on epoch 3 6:'"),
        ("on epoch three:", "triggers must be whole numbers, 0 or more; got 'three'"),
        ("on epoch -1:", "got '-1'"),
        ("on init 3:\nby_index: all\nbit: 8", "section init takes no triggers; got '3'"),
        ("on init:\nbit: 8", "p.txt, line 2: 'bit' is for which layers? Put 'by_index: all'"),
        ("on init:\nby_index: first\nbit: 8", r"by_index (or 'all') must be whole numbers, 0 or more; got 'first'"),
        ("on init:\nby_index: all\nby_tag: weight\nbit: 8", "by_tag must be fm or wt; got 'weight'"),
        (
            "on init:\nby_index: all\nby_tag: fm\nbit: 8\nby_index: 3\nbit: 2",
            "p.txt, line 6: 'bit' is for fm, wt or both?",
        ),
        ("on init:\nby_index: all\nbit: 8\nbit: 4", "p.txt, line 4: 'bit' was set before, in p.txt, line 3"),
        ("on init:\nby_index: all\nbit 8", "p.txt, line 3: 'bit 8' is neither 'on <section>:' nor 'name: value'"),
        ("on init:\nby_index: all\nbit:", "'bit:' is neither"),
        ("on init\nby_index: all\nbit: 8", "p.txt, line 1: 'on init' is neither"),
    ],
)
def test_refusals_name_file_and_line(text, message):
    with pytest.raises(ValueError) as refused:
        parse_policy(text, "p.txt")
    assert message in str(refused.value)
