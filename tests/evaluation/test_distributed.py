"""Two gloo processes evaluate half of the images each; the main one returns what one process would."""

import json
import socket
import time

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from detectron2.data.catalog import MetadataCatalog
from detectron2.evaluation import COCOEvaluator, DatasetEvaluators, inference_on_dataset
from detectron2.structures import Boxes, Instances
from tests.facts import golden_json
from tests.leaving import leave_group


def _evaluate(rank: int, world_size: int, json_file: str) -> dict:
    """What one rank gets from the evaluation of its share of the golden detections."""
    gt, detections = golden_json("coco/gt"), golden_json("coco/dt")
    categories = [c["id"] for c in gt["categories"]]
    metadata = MetadataCatalog.get("distributed_test")
    metadata.set(json_file=json_file, thing_dataset_id_to_contiguous_id={c: i for i, c in enumerate(categories)})

    def model(inputs):
        own = [d for d in detections if d["image_id"] == inputs[0]["image_id"]]
        instances = Instances((150, 200))
        boxes = torch.tensor([d["bbox"] for d in own]).reshape(-1, 4)
        instances.pred_boxes = Boxes(torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1))
        instances.scores = torch.tensor([d["score"] for d in own])
        instances.pred_classes = torch.tensor([categories.index(d["category_id"]) for d in own], dtype=torch.int64)
        return [{"instances": instances}]

    # contiguous shares, so that the order of gathered predictions is that of one process
    share = -(-len(gt["images"]) // world_size)
    loader = [[{"image_id": image["id"]}] for image in gt["images"][rank * share : (rank + 1) * share]]
    try:
        return inference_on_dataset(model, loader, DatasetEvaluators([COCOEvaluator("distributed_test")]))
    finally:
        MetadataCatalog.remove("distributed_test")


def _worker(rank: int, port: int, json_file: str, results) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        results.put((rank, _evaluate(rank, 2, json_file)))
        leave_group()
    finally:
        dist.destroy_process_group()


def test_two_processes_give_the_results_of_one(tmp_path):
    json_file = tmp_path / "gt.json"
    json_file.write_text(json.dumps(golden_json("coco/gt")))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    results = mp.get_context("spawn").SimpleQueue()
    workers = mp.spawn(_worker, args=(port, str(json_file), results), nprocs=2, join=False)
    try:
        deadline = time.monotonic() + 120
        while not workers.join(timeout=5):
            assert time.monotonic() < deadline, "the processes hang"
    finally:
        for process in workers.processes:
            process.kill()
    by_rank = dict([results.get(), results.get()])
    assert by_rank[1] == {}
    alone = _evaluate(0, 1, str(json_file))
    assert by_rank[0]["bbox"] == pytest.approx(alone["bbox"], abs=1e-9, nan_ok=True)
    assert alone["bbox"]["AP"] == pytest.approx(golden_json("coco/COCOEvaluator")["fast1"]["bbox"]["AP"], abs=1e-3)
