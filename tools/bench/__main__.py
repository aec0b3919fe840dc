"""Time operators, models, the loader, evaluation and imports of whatever package answers to ``detectron2``.

Usage: ``python -m tools.bench [--only PATTERN] [--against FILE] [--out FILE]``. Every row runs in a process of
its own with one thread; the CPU minimum is the figure to compare. Only public names are used, so the same script
measures any package that offers the interface (put it first on PYTHONPATH).
"""

import argparse
import fnmatch
import importlib
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

from .timing import CASES, measure

IMPORTS = ("pass", "import torch", "import torch, torchvision", "import detectron2", "import detectron2.structures",
           "import detectron2.modeling", "import detectron2.engine")  # fmt: skip
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def load_cases() -> None:
    for module in ("operators", "models", "evaluation", "loader"):
        importlib.import_module(f"{__package__}.{module}")


def import_seconds(statement: str, repeat: int = 5) -> dict[str, float]:
    """CPU seconds of a fresh interpreter that runs ``statement``."""
    times = []
    for _ in range(repeat + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", statement], check=True, env={**os.environ, **ONE_THREAD})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    times = sorted(times[1:])
    return {"cpu_min_s": round(times[0], 3), "cpu_median_s": round(times[len(times) // 2], 3), "n": repeat}


def run_case(name: str) -> dict:
    """One row in a fresh process; a failure becomes the row's ``error``."""
    if name.startswith("import: "):
        return import_seconds(name.removeprefix("import: "))
    command = [sys.executable, "-m", __package__, "--case", name]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ONE_THREAD})
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(lines[-1])


def reference_seconds(reference: dict, name: str) -> float | None:
    """CPU seconds of a row in a reference file.

    A row may be written as ``cpu_min_s``, as ``cpu_total_s`` of one call, or, for the loader, beside its name as
    ``{"max": images/s}`` under ``<name without its image count>_images_per_s``.
    """
    loaded = re.fullmatch(r"(loader_.*)_(\d+)_images", name)
    if loaded and (rate := reference.get(f"{loaded[1]}_images_per_s")):
        return int(loaded[2]) / rate["max"]
    row = reference.get(name)
    if isinstance(row, dict):
        return row.get("cpu_min_s", row.get("cpu_total_s"))
    return row if isinstance(row, float) else None


def print_row(name: str, rows: dict[str, dict], reference: dict) -> None:
    row = rows[name]
    if "error" in row:
        print(f"{name:56} {row['error']}", flush=True)
        return
    text = f"{name:56} {row['cpu_min_s']:10.5f}"
    compared = reference_seconds(reference, name)
    text += f" {compared:10.5f} {row['cpu_min_s'] / compared:7.2f}" if compared else " " * 19
    peer = CASES.rows[name].peer if name in CASES.rows else ""
    if "cpu_min_s" in rows.get(peer, {}):
        text += f"   {row['cpu_min_s'] / rows[peer]['cpu_min_s']:.3f} x {peer}"
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", help="shell pattern of row names")
    parser.add_argument("--against", type=Path, help="JSON with cpu_min_s by row name to compare with")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    load_cases()
    if args.case:
        import torch

        torch.set_num_threads(1)
        print(json.dumps(measure(CASES.rows[args.case])))
        return
    names = [n for n in [*CASES.rows, *(f"import: {s}" for s in IMPORTS)] if fnmatch.fnmatch(n, args.only)]
    if not names:
        parser.error(f"--only {args.only!r} matches no row; rows are: {', '.join(CASES.rows)}")
    wanted = [CASES.rows[n].peer for n in names if n in CASES.rows and CASES.rows[n].peer]
    names = list(dict.fromkeys([*wanted, *names]))
    reference = json.loads(args.against.read_text()) if args.against else {}
    rows: dict[str, dict] = {}
    print(f"{'row, one thread':56} {'CPU s':>10} {'reference':>10} {'ratio':>7}   peer measured in this run")
    for name in names:
        rows[name] = run_case(name)
        print_row(name, rows, reference)
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
