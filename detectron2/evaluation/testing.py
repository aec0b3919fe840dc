"""Results of evaluators: printing them, flattening them, and comparing them with what a config expects."""

import logging
import math
import pprint
import sys
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)


def print_csv_format(results: Mapping[str, Any]) -> None:
    """Log the main metrics in lines that can be copied into a spreadsheet.

    Args:
        results: task to metric to number. Metrics with a ``-`` in the name (those of one class) are left out.

    Raises:
        ValueError: ``results`` is empty or no mapping.
    """
    if not isinstance(results, Mapping) or not results:
        raise ValueError(f"print_csv_format needs a non-empty dict of results, not {results!r}")
    for task, metrics in results.items():
        if not isinstance(metrics, Mapping):
            logger.info("copypaste: %s=%s", task, metrics)
            continue
        main = {name: value for name, value in metrics.items() if "-" not in name}
        logger.info("copypaste: Task: %s", task)
        logger.info("copypaste: %s", ",".join(main))
        logger.info("copypaste: %s", ",".join(f"{value:.4f}" for value in main.values()))


def verify_results(cfg: Any, results: Mapping[str, Any]) -> bool:
    """Compare results with ``cfg.TEST.EXPECTED_RESULTS``, and leave the program with status 1 if they differ.

    Args:
        cfg: its TEST.EXPECTED_RESULTS is a list of (task, metric, expected value, tolerance).
        results: task to metric to number.

    Returns:
        True; also when nothing is expected.
    """
    expected = cfg.TEST.EXPECTED_RESULTS
    failures = []
    for task, metric, value, tolerance in expected:
        actual = results.get(task, {}).get(metric)
        # written this way round so that NaN fails
        if actual is None or not math.isfinite(actual) or not abs(actual - value) <= tolerance:
            failures.append(f"{task}/{metric}: expected {value} +- {tolerance}, got {actual}")
    if failures:
        logger.error("Results differ from TEST.EXPECTED_RESULTS:\n%s", "\n".join(failures))
        logger.error("All results:\n%s", pprint.pformat(results))
        sys.exit(1)
    if expected:
        logger.info("Results agree with TEST.EXPECTED_RESULTS.")
    return True


def flatten_results_dict(results: Mapping[str, Any]) -> dict[str, Any]:
    """Nested results as one level, e.g. ``{"bbox": {"AP": 1.0}}`` -> ``{"bbox/AP": 1.0}``."""
    flat: dict[str, Any] = {}
    for name, value in results.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}/{inner}": v for inner, v in flatten_results_dict(value).items()})
        else:
            flat[name] = value
    return flat
