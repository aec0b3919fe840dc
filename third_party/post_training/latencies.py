"""Put measured latencies into the report of a run.

Usage: ``python -m third_party.post_training.latencies DIR FILE``: a folder of results, and the JSON file of
``tools/benchmark_deploy.py``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .reporting import write_reports
from .results import read_json, read_result
from .running import run_command


def add_latencies(folder: str | Path, benchmark: str | Path) -> None:
    """Write the reports of a folder again, with the rows of a benchmark in the place of any before.

    Raises:
        OSError: a file is missing, or cannot be written.
        ValueError: a file is no JSON of its kind.
    """
    result, rows = read_result(Path(folder) / "report.json"), read_json(benchmark)
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise ValueError(f"{benchmark} is no list of measurements with engine and precision")
    write_reports({**result, "latencies": rows}, Path(folder))


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and {"engine", "precision"} <= set(row)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="that tools/quantize.py has written")
    parser.add_argument("benchmark", help="that tools/benchmark_deploy.py has written")
    return run_command(parser, lambda args: add_latencies(args.folder, args.benchmark), arguments)


if __name__ == "__main__":
    sys.exit(main())
