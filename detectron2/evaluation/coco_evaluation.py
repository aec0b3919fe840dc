"""Detection and instance segmentation evaluated by COCO's protocol."""

import contextlib
import copy
import io
import itertools
import logging
import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from pycocotools.cocoeval import COCOeval

from detectron2.config import CfgNode
from detectron2.data.catalog import MetadataCatalog
from detectron2.evaluation import result_files
from detectron2.evaluation.box_proposals import _evaluate_box_proposals
from detectron2.evaluation.coco_protocol import COCOevalMaxDets, _evaluate_predictions_on_coco
from detectron2.evaluation.coco_results import instances_to_coco_json, summarize_coco_eval
from detectron2.evaluation.evaluator import DatasetEvaluator
from detectron2.evaluation.fast_eval_api import COCOeval_opt
from detectron2.structures.boxes import Boxes, BoxMode, pairwise_iou
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import create_small_table

__all__ = [
    "Boxes",
    "BoxMode",
    "COCOEvaluator",
    "COCOevalMaxDets",
    "COCOeval_opt",
    "CfgNode",
    "MetadataCatalog",
    "PathManager",
    "convert_to_coco_json",
    "create_small_table",
    "instances_to_coco_json",
    "pairwise_iou",
]


def convert_to_coco_json(dataset_name: str, output_file: str, allow_cached: bool = True) -> None:
    """See ``detectron2.data.datasets.coco.convert_to_coco_json``, which is imported when it is needed."""
    from detectron2.data.datasets.coco import convert_to_coco_json as convert

    convert(dataset_name, output_file, allow_cached=allow_cached)


class COCOEvaluator(DatasetEvaluator):
    """AP of boxes, masks and keypoints, and AR of proposals, by COCO's protocol, for any registered data set.

    The data set needs a COCO json file, which is written from its dicts where its metadata names none.
    """

    def __init__(
        self,
        dataset_name: str,
        tasks: Sequence[str] | None = None,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        max_dets_per_image: int | None = None,
        use_fast_impl: bool = True,
        kpt_oks_sigmas: Sequence[float] = (),
        allow_cached_coco: bool = True,
    ) -> None:
        """
        Args:
            dataset_name: a registered data set. Its metadata has ``json_file``, or it is converted into
                ``output_dir``.
            tasks: any of ``bbox``, ``segm`` and ``keypoints``; by default what the predictions hold.
            distributed: collect the predictions of all processes; otherwise each process evaluates its own.
            output_dir: where ``instances_predictions.pth``, ``coco_instances_results.json`` and
                ``box_proposals.pkl`` are written; None writes nothing.
            max_dets_per_image: detections an image, over which AP and the last AR are computed; 100 as COCO.
            use_fast_impl: evaluate by ``COCOeval_opt``, which gives the same numbers.
            kpt_oks_sigmas: object keypoint similarity's constants (COCO, section "OKS"); COCO's person by default.
            allow_cached_coco: reuse a json file converted before.

        Raises:
            ValueError: an unknown task; or the data set has no json file and there is no ``output_dir`` for one.
            OSError: ``output_dir`` cannot be written.
        """
        self._logger = logging.getLogger(__name__)
        self._distributed = distributed
        self._output_dir = output_dir
        self._use_fast_impl = use_fast_impl
        most = 100 if max_dets_per_image is None else max_dets_per_image
        self._max_dets_per_image = [min(1, most), min(10, most), most]
        if isinstance(tasks, CfgNode):
            self._logger.warning("COCOEvaluator(dataset_name, cfg) is deprecated: name the tasks, or leave them out.")
            kpt_oks_sigmas = kpt_oks_sigmas or tasks.TEST.KEYPOINT_OKS_SIGMAS
            tasks = None
        self._tasks = _checked_tasks(tasks)
        self._kpt_oks_sigmas = list(kpt_oks_sigmas)
        self._cpu_device = torch.device("cpu")
        self._metadata = MetadataCatalog.get(dataset_name)
        self._predictions: list[dict[str, Any]] = []
        self._results: dict[str, Any] = OrderedDict()
        if output_dir is not None and (not distributed or comm.is_main_process()):
            result_files.check_writable(output_dir)

        if not hasattr(self._metadata, "json_file"):
            self._write_json_file(dataset_name, allow_cached_coco)
        self._coco_api = _load_coco(self._metadata.json_file)
        # test sets are published without annotations: predictions are then written and not evaluated
        self._do_evaluation = "annotations" in self._coco_api.dataset

    def _write_json_file(self, dataset_name: str, allow_cached: bool) -> None:
        if self._output_dir is None:
            raise ValueError(
                f"data set {dataset_name!r} has no COCO json file (metadata.json_file): give COCOEvaluator an "
                "output_dir, where one can be written"
            )
        self._logger.info("Data set %r has no COCO json file: writing one ...", dataset_name)
        cache_path = os.path.join(self._output_dir, f"{dataset_name}_coco_format.json")
        self._metadata.json_file = cache_path
        convert_to_coco_json(dataset_name, cache_path, allow_cached=allow_cached)

    def reset(self) -> None:
        self._predictions = []

    def process(self, inputs: Iterable[dict[str, Any]], outputs: Iterable[dict[str, Any]]) -> None:
        """Take in one batch.

        Args:
            inputs: one dict for each image, with ``image_id``.
            outputs: one dict for each image, with Instances under ``instances`` and/or ``proposals``.
        """
        for image, output in zip(inputs, outputs, strict=True):
            prediction: dict[str, Any] = {"image_id": image["image_id"]}
            if "instances" in output:
                instances = output["instances"].to(self._cpu_device)
                prediction["instances"] = instances_to_coco_json(instances, image["image_id"])
            if "proposals" in output:
                prediction["proposals"] = output["proposals"].to(self._cpu_device)
            if len(prediction) > 1:
                self._predictions.append(prediction)

    def evaluate(self, img_ids: Sequence[int] | None = None) -> dict[str, Any]:
        """The metrics over everything processed.

        Args:
            img_ids: evaluate only these images; all by default.

        Returns:
            Task to metric to percent. An empty dict without any output, and on processes other than the main one.
        """
        predictions = self._predictions
        if self._distributed:
            comm.synchronize()
            predictions = list(itertools.chain.from_iterable(comm.gather(predictions, dst=0)))
            if not comm.is_main_process():
                return {}
        if len(predictions) == 0:
            self._logger.warning("COCOEvaluator received no predictions: there are no results.")
            return {}
        if self._output_dir is not None:
            result_files.save_predictions(predictions, self._output_dir)
        self._results = OrderedDict()
        if any("proposals" in prediction for prediction in predictions):
            self._eval_box_proposals([p for p in predictions if "proposals" in p])
        if any("instances" in prediction for prediction in predictions):
            self._eval_predictions([p for p in predictions if "instances" in p], img_ids=img_ids)
        return copy.deepcopy(self._results)

    def _tasks_from_predictions(self, predictions: Iterable[dict[str, Any]]) -> list[str]:
        """Which tasks the results (dicts in COCO's format) allow."""
        fields = set(itertools.chain.from_iterable(predictions))
        return ["bbox"] + [t for t, f in (("segm", "segmentation"), ("keypoints", "keypoints")) if f in fields]

    def _eval_predictions(self, predictions: Iterable[dict[str, Any]], img_ids: Sequence[int] | None = None) -> None:
        """Write the instances to file, and evaluate each task into ``self._results``.

        Args:
            predictions: dicts with ``instances``, a list of results with contiguous class ids.
            img_ids: evaluate only these images; all by default.
        """
        self._logger.info("Preparing results for COCO format ...")
        coco_results = list(itertools.chain.from_iterable(p["instances"] for p in predictions))
        tasks = self._tasks or self._tasks_from_predictions(coco_results)
        coco_results = _with_category_ids(coco_results, self._metadata)
        if self._output_dir is not None:
            path = result_files.save_results(coco_results, self._output_dir)
            self._logger.info("Saved results to %s", path)
        if not self._do_evaluation:
            self._logger.info("The ground truth has no annotations: no evaluation.")
            return
        self._logger.info("Evaluating %s with %s COCO API ...", tasks, "the fast" if self._use_fast_impl else "the")
        for task in sorted(tasks):
            coco_eval = None
            if coco_results:
                coco_eval = _evaluate_predictions_on_coco(
                    self._coco_api,
                    coco_results,
                    task,
                    kpt_oks_sigmas=self._kpt_oks_sigmas,
                    cocoeval_fn=COCOeval_opt if self._use_fast_impl else COCOeval,
                    img_ids=img_ids,
                    max_dets_per_image=self._max_dets_per_image,
                )
            self._results[task] = self._derive_coco_results(
                coco_eval, task, class_names=self._metadata.get("thing_classes")
            )

    def _eval_box_proposals(self, predictions: list[dict[str, Any]]) -> None:
        """Write the proposals to file, and put their average recall into ``self._results``."""
        if self._output_dir is not None:
            result_files.save_proposals(predictions, self._output_dir)
        if not self._do_evaluation:
            self._logger.info("The ground truth has no annotations: no evaluation.")
            return
        results = {}
        for limit in (100, 1000):
            for area, suffix in {"all": "", "small": "s", "medium": "m", "large": "l"}.items():
                stats = _evaluate_box_proposals(predictions, self._coco_api, area=area, limit=limit)
                results[f"AR{suffix}@{limit}"] = float(stats["ar"] * 100)
        self._logger.info("Proposal metrics: \n%s", create_small_table(results))
        self._results["box_proposals"] = results

    def _derive_coco_results(
        self, coco_eval: Any | None, iou_type: str, class_names: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Metrics in percent, AP of each class included; see ``coco_results.summarize_coco_eval``."""
        return summarize_coco_eval(coco_eval, iou_type, class_names, self._logger)


def _checked_tasks(tasks: Sequence[str] | None) -> list[str] | None:
    if tasks is None:
        return None
    unknown = [task for task in tasks if task not in ("bbox", "segm", "keypoints")]
    if unknown:
        raise ValueError(f"COCOEvaluator: unknown tasks {unknown}; known: 'bbox', 'segm', 'keypoints'")
    return list(tasks)


def _load_coco(json_file: str) -> Any:
    from pycocotools.coco import COCO

    path = PathManager.get_local_path(json_file)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"ground truth {json_file!r} (the data set's metadata.json_file) does not exist")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return COCO(path)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        # pycocotools names neither the file nor, for JSON of another kind, the reason
        raise ValueError(f"ground truth {json_file!r} is no COCO json file: {error!r}") from error


def _with_category_ids(coco_results: list[dict[str, Any]], metadata: Any) -> list[dict[str, Any]]:
    """Copies of the results with the data set's class ids in place of contiguous ones.

    Raises:
        ValueError: the model predicts a class that the data set does not have.
    """
    to_contiguous = metadata.get("thing_dataset_id_to_contiguous_id")
    if to_contiguous is None:
        return coco_results
    to_dataset = {contiguous: dataset_id for dataset_id, contiguous in to_contiguous.items()}
    unknown = next((result for result in coco_results if result["category_id"] not in to_dataset), None)
    if unknown is not None:
        raise ValueError(
            f"a prediction of image {unknown['image_id']} has class {unknown['category_id']}, but data set "
            f"{metadata.name!r} has only {len(to_dataset)} classes: does the model's NUM_CLASSES belong to it?"
        )
    return [{**result, "category_id": to_dataset[result["category_id"]]} for result in coco_results]
