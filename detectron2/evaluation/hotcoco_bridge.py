"""From pycocotools' objects to hotcoco's.

hotcoco evaluates as pycocotools does, ties and crowds included. What the two treat differently is refused here by
``Unsupported``, so that the caller takes pycocotools: annotation ids of 0 (pycocotools reads a match with id 0 as no
match), repeated ids, ids that are not numbers, and NaN scores.
"""

from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from pycocotools.coco import COCO

MIN_VERSION = (1, 3)
# larger integers are not exact in the float64 columns
_LARGEST_EXACT = 2**53
_TABLE_COLUMNS = ("score", "image_id", "category_id", "area")


class Unsupported(Exception):
    """Why hotcoco cannot be used; the text is for the log."""


class DetectionList:
    """Stands in for ``coco_gt.loadRes(results)``, and only runs it when something of the ``COCO`` object is asked for.

    The fast evaluation needs no index of the detections, and building it takes longer than the evaluation.
    """

    def __init__(self, coco_gt: COCO, results: list[dict[str, Any]]) -> None:
        """
        Args:
            coco_gt: the ground truth.
            results: detections in COCO's result format; not changed.

        Raises:
            ValueError: a detection is of an image that the ground truth lacks.
        """
        self._coco_gt = coco_gt
        self.results = results
        self._index: COCO | None = None
        unknown = set(map(itemgetter("image_id"), results)) - coco_gt.imgs.keys()
        if unknown:
            some = ", ".join(map(repr, sorted(unknown, key=str)[:5]))
            raise ValueError(f"detections for {len(unknown)} images that the ground truth does not have, e.g. {some}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_coco_gt" not in self.__dict__:
            raise AttributeError(name)
        if self._index is None:
            self._index = self._coco_gt.loadRes([dict(result) for result in self.results])
        return getattr(self._index, name)


def load() -> Any:
    """The hotcoco package.

    Raises:
        Unsupported: it is missing or too old.
    """
    try:
        import hotcoco
    except ImportError as error:
        raise Unsupported(
            f"hotcoco cannot be imported ({error}); `pip install hotcoco` makes it much faster"
        ) from error
    version = tuple(int(part) for part in hotcoco.__version__.split(".")[:2])
    if version < MIN_VERSION:
        raise Unsupported(f"hotcoco {hotcoco.__version__} is too old, {'.'.join(map(str, MIN_VERSION))} is needed")
    return hotcoco


def build(coco_gt: COCO, coco_dt: COCO | DetectionList, params: Any) -> Any:
    """hotcoco's evaluator over the same data.

    Args:
        coco_gt: ground truth.
        coco_dt: detections.
        params: pycocotools' parameters; ``iouType`` is used here, the rest by ``configure``.

    Raises:
        Unsupported: pycocotools has to do it.
    """
    if len(params.imgIds) == 0 or len(params.catIds) == 0:
        raise Unsupported("params.imgIds or params.catIds is empty, which hotcoco takes for all of them")
    hotcoco = load()
    _check_ids(coco_gt, "ground truth")
    try:
        gt = hotcoco.COCO(coco_gt.dataset)
        dt = _load_detections(hotcoco, gt, coco_dt, params.iouType)
        return hotcoco.COCOeval(gt, dt, params.iouType)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise Unsupported(f"hotcoco does not read this data: {error}") from error


def _check_ids(coco: COCO, what: str) -> None:
    if 0 in coco.anns:
        raise Unsupported(f"the {what} has an annotation with id 0, which COCO's protocol cannot match; count from 1")
    if len(coco.anns) != len(coco.dataset.get("annotations", ())):
        raise Unsupported(f"the {what} has annotations that share an id")


def _load_detections(hotcoco: Any, gt: Any, coco_dt: COCO | DetectionList, iou_type: str) -> Any:
    listed = isinstance(coco_dt, DetectionList)
    records = coco_dt.results if listed else coco_dt.dataset.get("annotations", [])
    as_table = iou_type == "bbox" and not listed
    columns = _columns(records, *(_TABLE_COLUMNS if as_table else ("score",)))
    if np.isnan(columns[:, 0]).any():
        raise Unsupported("there are detections with a score of NaN, which have no place in the ranking")
    if listed:
        return gt.load_res(records)
    _check_ids(coco_dt, "detections")
    table = _box_table(records, columns) if as_table else None
    return hotcoco.COCO(coco_dt.dataset) if table is None else gt.load_res(table)


def _columns(records: list[dict[str, Any]], *names: str) -> np.ndarray:
    """Float64[N, len(names)]; all names at once, since going over the records is what takes the time."""
    values = map(itemgetter(*names), records)
    flat = values if len(names) == 1 else chain.from_iterable(values)
    return np.fromiter(flat, np.float64, len(names) * len(records)).reshape(-1, len(names))


def _box_table(records: list[dict[str, Any]], columns: np.ndarray) -> np.ndarray | None:
    """Float64[N, 7] of image id, x, y, width, height, score, class id: read faster than annotations with polygons.

    Returns:
        None where a table cannot stand for the records: ids that floats cannot carry, or areas that are not the box's.
    """
    boxes = np.fromiter(chain.from_iterable(map(itemgetter("bbox"), records)), np.float64)
    if boxes.size != 4 * len(records):
        return None
    boxes = boxes.reshape(-1, 4)
    scores, images, classes, areas = columns.T
    largest = max(np.abs(images).max(initial=0), np.abs(classes).max(initial=0))
    if largest >= _LARGEST_EXACT or not np.array_equal(areas, boxes[:, 2] * boxes[:, 3]):
        return None
    return np.column_stack([images, boxes, scores, classes])


def settings(params: Any) -> dict[str, Any]:
    """pycocotools' parameters under hotcoco's names, as plain lists that can be compared."""
    area_ranges = [[float(low), float(high)] for low, high in params.areaRng]
    labels = [str(label) for label in params.areaRngLbl]
    plain = {
        "img_ids": [int(i) for i in params.imgIds],
        "cat_ids": [int(i) for i in params.catIds],
        "iou_thrs": [float(t) for t in params.iouThrs],
        "rec_thrs": [float(t) for t in params.recThrs],
        "max_dets": [int(n) for n in params.maxDets],
        "area_rng": area_ranges,
        "area_rng_lbl": labels if len(labels) == len(area_ranges) else [str(r) for r in area_ranges],
        "use_cats": bool(params.useCats),
    }
    if params.iouType == "keypoints":
        plain["kpt_oks_sigmas"] = [float(s) for s in params.kpt_oks_sigmas]
    return plain


def configure(evaluator: Any, params: Any) -> dict[str, Any]:
    """Hand pycocotools' parameters to hotcoco's evaluator.

    Returns:
        The settings made.
    """
    plain = settings(params)
    for name, value in plain.items():
        setattr(evaluator.params, name, value)
    return plain
