#!/usr/bin/env python
"""Report on COCO json files before training: ids, boxes, files, sizes, duplicates, classes, train against test.

Example: ``python tools/check_dataset.py train.json --images DIR --test val.json --test-images DIR``

The exit status is 1 when there are errors; warnings alone leave it 0.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from detectron2.data.checks import DatasetReport, check_coco_json, compare_train_test
from detectron2.data.findings import ERROR, Finding


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, metavar="JSON", help="annotations to train on, in COCO's format")
    parser.add_argument("--images", type=Path, metavar="DIR", help="their images; without it, files are not checked")
    parser.add_argument("--test", type=Path, metavar="JSON", help="annotations to test on")
    parser.add_argument("--test-images", type=Path, metavar="DIR", help="their images; by default those of --images")
    parser.add_argument("--fast", action="store_true", help="headers of images only: no truncated or duplicate ones")
    parser.add_argument("--json", action="store_true", help="write the report as JSON")
    return parser.parse_args(argv)


def print_report(report: DatasetReport) -> None:
    from tabulate import tabulate

    print(f"{report.file}: {report.images} images, {report.images_without_annotations} of them without annotations")
    rows = [(name, count, f"{count / max(1, report.annotations):.1%}") for name, count in report.histogram.items()]
    rows.append(("all", report.annotations, ""))
    print(tabulate(rows, headers=["class", "annotations", "share"]))
    print_findings(report.findings)


def print_findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"{finding.severity.upper()} {finding.check}: {finding.count}")
        for example in finding.examples:
            print(f"    {example}")
        if finding.count > len(finding.examples):
            print(f"    and {finding.count - len(finding.examples)} more")
    if not findings:
        print("nothing wrong")
    print()


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    reports = {}
    try:
        reports["train"] = check_coco_json(args.train, args.images, args.fast)
        if args.test is not None:
            reports["test"] = check_coco_json(args.test, args.test_images or args.images, args.fast)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    between = compare_train_test(reports["train"], reports["test"]) if "test" in reports else ()
    ok = all(report.ok for report in reports.values()) and all(f.severity != ERROR for f in between)
    if args.json:
        shown = {name: report.as_dict() for name, report in reports.items()}
        findings = [finding.__dict__ for finding in between]
        print(json.dumps({**shown, "train_against_test": findings, "ok": ok}, indent=1))
        return not ok
    for report in reports.values():
        print_report(report)
    if "test" in reports:
        print("Train against test")
        print_findings(between)
    return not ok


if __name__ == "__main__":
    sys.exit(main())
