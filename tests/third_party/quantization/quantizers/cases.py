"""Every registered method in its variants, with data that suit it."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from third_party.quantization.quantizers import QUANTIZERS, AffineQuantizer, Quantizer, build_quantizer
from third_party.quantization.spec import ImageSpec, LearnedThresholdSpec, QuantSpec, Role

CHANNELS = 4

Case = tuple[QuantSpec, Role]


def channel_axis(role: Role) -> int:
    return 0 if role is Role.WEIGHT else 1


def make(spec: QuantSpec, role: Role) -> Quantizer:
    return build_quantizer(spec, role, CHANNELS, channel_axis(role))


def make_spec(spec_type: type[QuantSpec], bits: int, **settings: Any) -> QuantSpec:
    """A spec with what the method cannot do without."""
    if spec_type is LearnedThresholdSpec:
        settings["levels"] = 2**bits
    if spec_type is ImageSpec:
        mean = (104.0, 117.0, 124.0, 100.0) if settings.get("granularity") == "channel" else (128.0,) * CHANNELS
        settings |= {"mean": mean, "std": (1.0,) * CHANNELS}
    return spec_type(bits=bits, **settings)


def data(spec: QuantSpec, role: Role, seed: int = 0) -> Tensor:
    """A weight of 4 outputs, or an activation of 4 channels with negative values."""
    generator = torch.Generator().manual_seed(seed)
    if role is Role.WEIGHT:
        return 0.2 * torch.randn(CHANNELS, 3, 3, 3, generator=generator)
    if isinstance(spec, ImageSpec):
        pixels = torch.randint(0, 256, (2, CHANNELS, 5, 5), generator=generator)
        return pixels - torch.tensor(spec.mean).view(1, -1, 1, 1)
    return torch.randn(2, CHANNELS, 5, 5, generator=generator)


def name_of(case: Case) -> str:
    spec, role = case
    kind = spec.grid if spec.symmetric else "zero-point"
    return f"{spec.method}-{role.value}-{spec.bits}bits-{spec.granularity}-{kind}"


def _variants() -> Iterator[Case]:
    for spec_type, role in sorted(QUANTIZERS, key=lambda key: (key[0].method, key[1].value)):
        affine = issubclass(QUANTIZERS[spec_type, role], AffineQuantizer)
        widths = [bits for bits in (1, 2, 4, 8) if bits in spec_type.supported_bits]
        for bits, granularity, (grid, symmetric) in itertools.product(
            widths, ("tensor", "channel", 2), (("integer", True), ("interval", True), ("integer", False))
        ):
            if not (affine or symmetric):
                continue
            settings = {"granularity": granularity, "grid": grid, "symmetric": symmetric}
            try:
                # One signed bit has no levels on the integer grid, which activations learn from their first data.
                if bits == 1 and grid == "integer" and symmetric and spec_type.needs_zero():
                    continue
                spec = make_spec(spec_type, bits, **settings)
                make(spec, role)
            except ValueError:  # the method does not have this variant
                continue
            yield spec, role


CASES = list(_variants())
AFFINE_CASES = [case for case in CASES if isinstance(make(*case), AffineQuantizer)]
# One for each method and role, with as many bits as it has, up to 4.
ONE_EACH = list({(type(s), r): (s, r) for s, r in CASES if s.bits <= 4 or type(s) is ImageSpec}.values())

all_cases = pytest.mark.parametrize("case", CASES, ids=name_of)
affine_cases = pytest.mark.parametrize("case", AFFINE_CASES, ids=name_of)
one_case_each = pytest.mark.parametrize("case", ONE_EACH, ids=name_of)
