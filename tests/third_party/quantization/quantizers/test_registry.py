"""Building quantizers from specs."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from third_party.quantization.quantizers import LSQ, QUANTIZERS, build_quantizer, register
from third_party.quantization.spec import LSQSpec, PACTSpec, QuantSpec, Role


@dataclass(frozen=True, kw_only=True)
class _OwnSpec(QuantSpec):
    method: ClassVar[str] = "own"


def test_the_type_of_the_spec_decides() -> None:
    quantizer = build_quantizer(LSQSpec(bits=4, granularity="channel"), Role.WEIGHT, 16, 0)
    assert isinstance(quantizer, LSQ) and quantizer.group_shape() == (16,) and quantizer.axis == 0
    assert [name for name, _ in quantizer.named_parameters()] == ["scale"]
    assert set(quantizer.state_dict()) == {"scale", "zero_point", "state"}


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(KeyError, match="no quantizer is registered for _OwnSpec.*LSQSpec"):
        build_quantizer(_OwnSpec(), Role.WEIGHT)
    with pytest.raises(ValueError, match="pact quantizes activation only"):
        build_quantizer(PACTSpec(), Role.WEIGHT)
    with pytest.raises(ValueError, match="needs the number of channels"):
        build_quantizer(LSQSpec(granularity="channel"), Role.WEIGHT)
    with pytest.raises(ValueError, match="3 groups does not divide 16 channels"):
        build_quantizer(LSQSpec(granularity=3), Role.WEIGHT, 16)


def test_methods_can_be_added_once() -> None:
    try:
        register(_OwnSpec, Role.WEIGHT)(LSQ)
        assert isinstance(build_quantizer(_OwnSpec(), Role.WEIGHT), LSQ)
        with pytest.raises(ValueError, match="_OwnSpec as weight has LSQ already"):
            register(_OwnSpec, Role.WEIGHT)(LSQ)
    finally:
        del QUANTIZERS[_OwnSpec, Role.WEIGHT]


def test_it_moves_with_its_module() -> None:
    quantizer = build_quantizer(LSQSpec(bits=4), Role.WEIGHT)
    quantizer(torch.ones(3))
    half = quantizer.half()
    assert half.state.dtype == torch.int32
    assert half(torch.ones(3, dtype=torch.float16)).dtype == torch.float16
