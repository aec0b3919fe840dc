"""A form of a detector as a program."""

import logging

from torch.export import ExportedProgram

from ..quantization.export import trace
from .parts import DetectorParts

logger = logging.getLogger(__name__)


def traced_form(parts: DetectorParts, form: str) -> ExportedProgram:
    """A form of a detector as a program; number, height and width of the images stay free.

    Args:
        parts: of the model, float or converted.
        form: "dense", "detector" or "suppressed".

    Raises:
        ValueError: an unknown form, layers that are not converted, levels that Q/DQ nodes cannot carry, or code that
            torch.export does not take.
    """
    logger.info("Export: tracing %s, form %s ...", parts.name, form)
    module, example, sizes = parts.form(form), parts.example(form), parts.dynamic_shapes(form)
    try:
        return trace(module, example, sizes)
    except RuntimeError as error:  # all that torch.export raises is one
        logger.warning("torch.export: %s", error)  # says where, on many lines
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"{parts.name}, form {form}, cannot be traced by torch.export: {reason}") from error
