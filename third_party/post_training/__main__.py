"""A step of quantizing a detector by itself: ``python -m third_party.post_training STEP ...``.

``tools/quantize.py`` takes all of them at once.
"""

import argparse
import sys
from collections.abc import Sequence

from .running import run_command
from .steps import STEPS

_PROGRAM = "python -m third_party.post_training"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the step that the first argument names; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = _parser().parse_args(given[:1]).step
    step = STEPS[name]
    parser = argparse.ArgumentParser(prog=f"{_PROGRAM} {name}", description=step.__doc__)
    step.add_arguments(parser)
    return run_command(parser, step.run, given[1:])


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, STEPS))
    steps = "\n".join(f"  {name:{width}}  {_first_line(step.__doc__)}" for name, step in STEPS.items())
    made = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Take one step of quantizing a detector; STEP --help tells of its arguments.",
        epilog=f"steps:\n{steps}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("step", choices=STEPS, metavar="STEP", help="one of those below")
    return made


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
