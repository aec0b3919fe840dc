"""The part of a quantizer that travels with a checkpoint: width, sign, switches."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..spec.quant_spec import QuantSpec
from ..spec.roles import Role

# Places in the buffer `state`, which travels with the weights: what a resumed or loaded model must know.
_BITS, _SEEN, _SIGNED, _ENABLED, _FROZEN = range(5)


class QuantizerState(nn.Module):
    """Width, sign and switches of a quantizer, kept in a buffer and, for quick reading, in plain attributes.

    Attributes:
        spec: the settings it was built from. ``bits`` may have been changed since.
        role: weight or activation.
        state: int32 ``Tensor[5]``: bits, batches seen, signed, enabled, frozen. Kept in the state dict.
    """

    state: Tensor

    def __init__(self, spec: QuantSpec, role: Role) -> None:
        super().__init__()
        self.spec = spec
        self.role = role
        signed = self._signed_before_data()
        self.register_buffer("state", torch.tensor([spec.bits, 0, int(signed), 1, 0], dtype=torch.int32))
        self._read_state()

    def _read_state(self) -> None:
        # Plain attributes: reading a tensor in every forward would wait for the GPU and break compiled graphs.
        bits, seen, signed, enabled, frozen = self.state.tolist()
        self.bits: int = bits
        self.batches_seen: int = seen
        self.signed: bool = bool(signed)
        self.enabled: bool = bool(enabled)
        self.frozen: bool = bool(frozen)

    def _write_state(self, index: int, value: int) -> None:
        self.state[index] = value
        self._read_state()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        frozen_before = self.frozen
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._read_state()
        if self.frozen != frozen_before:
            self.set_frozen(self.frozen)
        self.on_bits_changed()

    def _signed_before_data(self) -> bool:
        return self.role is Role.WEIGHT if self.spec.signed is None else self.spec.signed

    @property
    def initialized(self) -> bool:
        """Whether the range comes from data (or a checkpoint)."""
        return self.batches_seen > 0

    def set_bits(self, bits: int) -> None:
        """Change the width; the clipping range stays where it is.

        Raises:
            ValueError: the method does not have this width.
        """
        if bits not in self.spec.supported_bits:
            low, high = self.spec.supported_bits[0], self.spec.supported_bits[-1]
            raise ValueError(f"method {self.spec.method} has {low} to {high} bits, not {bits}")
        self.check_levels(bits, self.signed)
        before = self.bits
        self._write_state(_BITS, bits)
        self.rescale(before)
        self.on_bits_changed()

    def mark_initialized(self) -> None:
        """Declare that the range is known without data."""
        self._write_state(_SEEN, max(self.batches_seen, 1))

    def set_enabled(self, enabled: bool) -> None:
        """Switch quantization on or off; off hands tensors through."""
        self._write_state(_ENABLED, int(enabled))

    def set_frozen(self, frozen: bool) -> None:
        """Stop or allow changes of the range, by gradients as by data."""
        self._write_state(_FROZEN, int(frozen))
        for parameter in self.parameters(recurse=False):
            parameter.requires_grad_(not frozen)

    def reset_range(self) -> None:
        """Forget the range, and the sign where data decide on it; the next data set them anew."""
        self._write_state(_SEEN, 0)
        self._write_state(_SIGNED, int(self._signed_before_data()))
        self.on_bits_changed()

    def become_signed(self) -> None:
        """Take levels on both sides of zero; the clipping range stays.

        Raises:
            ValueError: the method has no such levels.
        """
        self.check_levels(self.bits, True)
        self._write_state(_SIGNED, 1)
        self.rescale(self.bits)
        self.on_bits_changed()

    def count_batch(self) -> None:
        """One more batch has taken part in the range."""
        self._write_state(_SEEN, self.batches_seen + 1)

    # -- for subclasses -----------------------------------------------------------------------------------------

    def check_levels(self, bits: int, signed: bool) -> None:
        """Raise ``ValueError`` if the method has no levels for this width and sign; called before either changes."""

    def rescale(self, bits_before: int) -> None:
        """Keep the clipping range after a change of bits or sign; methods whose parameter is a step override this.

        Called before :meth:`on_bits_changed`: derived constants still are those of before.
        """

    def on_bits_changed(self) -> None:
        """Called when bits or sign may have changed; for derived constants."""
