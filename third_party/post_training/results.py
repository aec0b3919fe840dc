"""Results of runs and steps as JSON files, and the page that is made of them."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..quantization.report import write_html
from .reporting import report_from_result

logger = logging.getLogger(__name__)

# Lists to which every step adds; of others the last is meant.
_JOINED = ("warnings", "files", "engines")


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error


def read_result(path: str | Path) -> dict[str, Any]:
    """What a run, or a step by itself, has written.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no JSON of a result.
    """
    result = read_json(path)
    if not isinstance(result, dict) or "model" not in result:
        raise ValueError(f"{path} is no result of a run or of a step")
    return result


def merged(results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Results as one: groups are merged, warnings, files and engines joined; of anything else the last is taken."""
    found: dict[str, Any] = {}
    for result in results:
        for key, value in result.items():
            own = found.get(key)
            if isinstance(own, Mapping) and isinstance(value, Mapping):
                found[key] = merged([own, value])
            elif key in _JOINED and isinstance(own, list) and isinstance(value, list):
                found[key] = [*own, *value]
            else:
                found[key] = value
    return found


def write_page(files: Sequence[Path], path: Path) -> None:
    """Write ``report.html``.

    Args:
        files: ``report.json`` of a run, or results of steps, merged in this order.
        path: of the page. Pictures are in it if they are beside the JSON file that names them.

    Raises:
        OSError: a file cannot be read, or the page cannot be written.
        ValueError: a file is no JSON of a result.
    """
    results = [read_result(file) for file in files]
    named = [file.parent for file, one in zip(files, results, strict=True) if one.get("pictures")]
    folder, result = named[-1] if named else None, merged(results)
    if folder is not None and not _are_there(result["pictures"], folder):
        logger.warning("The page is without pictures: they are not in %s", folder)
        folder = None
    write_html(report_from_result({"warnings": [], **result}, folder), path)


def _are_there(pictures: Sequence[Mapping[str, str]], folder: Path) -> bool:
    return all((folder / row[name]).is_file() for row in pictures for name in ("before", "after"))
