"""Running a command: its arguments, its log, and mistakes in a line."""

import argparse
import sys
from collections.abc import Callable, Sequence

from detectron2.utils.logger import setup_logger

from ..deploy.compiled import CompileError
from ..quantization.export import ParityError

_MISTAKES = (OSError, ValueError, KeyError, ImportError, FloatingPointError, ParityError, CompileError)


def run_command(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], object],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse, run, and tell mistakes of the user on the error stream.

    Args:
        parser: of the arguments.
        run: what is done with them.
        arguments: of the command line; None for those of this process.

    Returns:
        the exit status: 1 after a mistake.
    """
    args = parser.parse_intermixed_args(arguments)
    setup_logger(name="third_party")
    try:
        run(args)
    except _MISTAKES as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    return 0
