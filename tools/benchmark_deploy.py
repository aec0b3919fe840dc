#!/usr/bin/env python
r"""Measure exported detectors: latency, throughput, memory, size, each row in a process of its own.

Example::

    python tools/benchmark_deploy.py --file float32=out/float.onnx --file int8=out/model.onnx --float16 \
        --size 640 640 --images photo.jpg --threads 1 0 --out benchmark.json
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from third_party.deploy.benchmark import engines_here, plan, run_in_child
from third_party.deploy.benchmark_rows import table
from third_party.deploy.half import to_float16
from third_party.deploy.parts import InputFacts
from third_party.post_training.running import run_command


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument(
        "--file",
        action="append",
        required=True,
        metavar="PRECISION=PATH",
        help="an ONNX file, or a .pt2 program for PyTorch; may be given several times",
    )
    result.add_argument("--float16", action="store_true", help="make a float16 file of the one called float32, too")
    result.add_argument("--engines", nargs="+", default=None, help=f"default all that run here: {engines_here()}")
    result.add_argument("--threads", nargs="+", type=int, default=[1, 0], help="numbers of threads; 0 for all")
    result.add_argument("--size", nargs=2, type=int, default=[640, 640], metavar=("HEIGHT", "WIDTH"))
    result.add_argument("--images", nargs="*", default=[], help="pictures, for the rows end to end")
    result.add_argument("--runs", type=int, default=20, help="calls that count, for each row")
    result.add_argument("--takes-sizes", action="store_true", help="the file wants sizes of images: two-stage models")
    result.add_argument("--size-divisibility", type=int, default=32)
    result.add_argument("--pad-values", nargs="+", type=float, default=[114.0, 114.0, 114.0])
    result.add_argument("--input-format", choices=["BGR", "RGB"], default="BGR")
    result.add_argument("--out", type=Path, help="write the rows as JSON")
    return result


def named_files(texts: list[str]) -> dict[str, Path]:
    """``PRECISION=PATH`` of every ``--file``.

    Raises:
        ValueError: another form, or the same precision twice.
    """
    files: dict[str, Path] = {}
    for text in texts:
        precision, separator, path = text.partition("=")
        if not (separator and precision and path):
            raise ValueError(f"--file {text}: the form is PRECISION=PATH, such as int8=model.onnx")
        if precision in files:
            raise ValueError(f"--file {text}: there is a file {files[precision]} of that precision already")
        files[precision] = Path(path)
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 1 after a mistake, which is one line on the error stream."""
    return run_command(parser(), run, arguments)


def run(options: argparse.Namespace) -> None:
    """Do what a command line stands for; raises as :func:`plan` and :func:`run_in_child`."""
    if options.out and not options.out.parent.is_dir():
        raise FileNotFoundError(f"--out {options.out}: there is no folder {options.out.parent}")
    files = named_files(options.file)
    with tempfile.TemporaryDirectory() as folder:
        if options.float16:
            if "float32" not in files:
                raise ValueError("--float16 needs a file called float32: --file float32=PATH")
            files["float16"] = to_float16(files["float32"], Path(folder) / "float16.onnx")
        tasks = plan(
            files,
            InputFacts(tuple(options.pad_values), options.size_divisibility, options.takes_sizes, options.input_format),
            engines=options.engines or engines_here(),
            threads=options.threads,
            size=tuple(options.size),
            images=options.images,
            runs=options.runs,
        )
        rows = []
        for number, task in enumerate(tasks, 1):
            print(f"{number} of {len(tasks)}: {task.precision} on {task.engine}", file=sys.stderr, flush=True)
            rows.append(run_in_child(task))
    print(table(rows))
    if options.out:
        options.out.write_text(json.dumps([row.to_dict() for row in rows], indent=1))


if __name__ == "__main__":
    sys.exit(main())
