"""Make report.html of the results of a run, or of steps by themselves."""

import argparse
from pathlib import Path

from ..arguments import add_out
from ..output import check_file
from ..results import write_page

FILE = "report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See the package."""
    files = "report.json of tools/quantize.py, or what steps wrote by --json"
    parser.add_argument("--json", nargs="+", required=True, metavar="FILE", help=files)
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    """Write the page.

    Raises:
        OSError: a file is missing, or the page cannot be written.
        ValueError: a file is no JSON of a result.
    """
    path = Path(args.out) / FILE
    check_file(str(path), "--out")
    write_page([Path(file) for file in args.json], path)
    print(path)
