"""Run a benchmark of the quantization engine on one CPU thread and print its table.

Usage: ``python -m third_party.bench NAME [--repeat N] [--out FILE]``. A benchmark is a module of this package that
has a function ``rows(repeat: int) -> list[Row]``. It may have ``problem() -> str``, which says why it does not run
here, and ``CLOCK``, what its times are.
"""

import argparse
import dataclasses
import importlib
import json
import pkgutil
from pathlib import Path

import torch

from . import __path__ as package_path
from .timing import table

NO_BENCHMARKS = ("__main__", "deploy_files", "timing")


def benchmarks() -> list[str]:
    """Names of the modules that hold a benchmark; packages in here are commands of their own."""
    modules = [module.name for module in pkgutil.iter_modules(package_path) if not module.ispkg]
    return sorted(name for name in modules if name not in NO_BENCHMARKS)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=benchmarks())
    parser.add_argument("--repeat", type=int, default=15, help="calls that count, for each row")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    options = parser.parse_args(arguments)
    benchmark = importlib.import_module(f"{__package__}.{options.name}")
    problem = benchmark.problem() if hasattr(benchmark, "problem") else ""
    if problem:
        print(f"{options.name}: {problem}")
        return
    torch.set_num_threads(1)
    rows = benchmark.rows(options.repeat)
    print(table(rows, benchmark.CLOCK) if hasattr(benchmark, "CLOCK") else table(rows))
    if options.out:
        options.out.write_text(json.dumps([{**dataclasses.asdict(row), "ratio": row.ratio} for row in rows], indent=1))


if __name__ == "__main__":
    main()
