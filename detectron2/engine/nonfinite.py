"""Says where a loss that is not finite came from."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from detectron2.utils import comm

from .model_state import no_trace, unwrap
from .rng import set_rng_state

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ForwardRecord:
    """What one forward pass of a training step was given.

    Attributes:
        data: the batch.
        rng_state: the random generators right before the pass, see :func:`.rng.get_rng_state`.
    """

    data: Any
    rng_state: dict[str, Any]


def explain_non_finite_loss(
    model: nn.Module,
    records: list[ForwardRecord],
    autocast: Callable[[], AbstractContextManager],
    stepped: bool = False,
) -> str:
    """Runs the forward passes of a step once more and names the first module with a non-finite output.

    Args:
        model: the model as it was for the step, before the optimizer changed it.
        records: the forward passes of the step.
        autocast: gives the precision context of the step.
        stepped: the optimizer has changed the model since, so that running it again would tell nothing.

    Returns:
        Lines that name the images and the module.
    """
    lines = []
    for record in records:
        images = _image_names(record.data)
        if stepped:
            culprit = "not known, the optimizer has stepped already; train without async_write_metrics to learn it"
        else:
            culprit = _try_first_non_finite_module(model, record, autocast)
        lines.append(f"  images: {', '.join(images)}\n  first non-finite module: {culprit}")
    return "\n".join(lines)


def _image_names(data: Any) -> list[str]:
    samples = data if isinstance(data, (list, tuple)) else [data]
    names = []
    for index, sample in enumerate(samples):
        fields = sample if isinstance(sample, dict) else {}
        names.append(str(fields.get("file_name", fields.get("image_id", f"sample {index} of the batch"))))
    return names


def _try_first_non_finite_module(
    model: nn.Module, record: ForwardRecord, autocast: Callable[[], AbstractContextManager]
) -> str:
    try:
        return _first_non_finite_module(model, record, autocast)
    except Exception as error:  # the report must not replace the message about the loss
        logger.exception("The forward pass of the report on a non-finite loss failed:")
        return f"not found, the second forward pass failed: {error}"


def _first_non_finite_module(
    model: nn.Module, record: ForwardRecord, autocast: Callable[[], AbstractContextManager]
) -> str:
    """Submodules finish before the modules that contain them, so the first hit is the innermost."""
    model = unwrap(model)
    hits: list[str] = []

    def look(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not hits and not _all_finite(output):
                hits.append(_describe(name, module, inputs))

        return hook

    handles = [m.register_forward_hook(look(name or "the model itself")) for name, m in model.named_modules()]
    try:
        with no_trace(model), _without_statistics_exchange(model):
            set_rng_state(record.rng_state)
            with autocast():
                model(record.data)
    except FloatingPointError:
        # A detector that checks its own predictions stops here, after the module that is looked for.
        pass
    finally:
        for handle in handles:
            handle.remove()
    return hits[0] if hits else "none, all outputs are finite in a second run"


def _describe(name: str, module: nn.Module, inputs: Any) -> str:
    weights = [key for key, value in module.named_parameters() if not _all_finite(value)]
    cause = ""
    if weights:
        cause = f"; its parameter {weights[0]!r} is not finite"
    elif not _all_finite(inputs):
        cause = "; its input is not finite already"
    return f"{name} ({type(module).__name__}{cause})"


def _all_finite(value: Any) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in _float_tensors(value))


def _float_tensors(value: Any) -> Iterator[torch.Tensor]:
    """Floating-point tensors inside containers and inside structures such as Instances and ImageList."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _float_tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _float_tensors(item)
    elif hasattr(value, "get_fields"):
        yield from _float_tensors(value.get_fields())
    elif isinstance(getattr(value, "tensor", None), torch.Tensor):
        yield from _float_tensors(value.tensor)


@contextmanager
def _without_statistics_exchange(model: nn.Module) -> Iterator[None]:
    """Keeps norms that talk to other processes quiet: only the processes with a bad loss run the report."""
    exchanging = []
    if comm.get_world_size() > 1:
        from detectron2.layers import NaiveSyncBatchNorm

        kinds = (nn.SyncBatchNorm, NaiveSyncBatchNorm)
        exchanging = [m for m in model.modules() if isinstance(m, kinds) and m.training]
    for module in exchanging:
        module.eval()
    try:
        yield
    finally:
        for module in exchanging:
            module.train()
