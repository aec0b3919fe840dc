"""Time batched suppression on the CPU, one thread, beside a loop of ``torchvision.ops.batched_nms`` over the images.

Usage: ``python projects/YOLO/tools/bench_nms.py [--boxes 1000 8400 30000] [--images 16] [--classes 80] [--repeat 3]``.

Rows: ``labelled`` gives both the same boxes, scores and labels and keeps all that suppression leaves; ``labelled, best
300`` stops there, where torchvision works them all out and cuts; ``dense`` starts from scores of every class, of which
one in 2,000 is above the threshold, and torchvision's loop then selects with PyTorch. Figures are CPU milliseconds,
medians; a ratio of 1 or less means as fast as torchvision or faster. The last columns count the boxes that both keep.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchvision.ops import batched_nms

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from detectron2.projects.yolo.nms import native, nms  # noqa: E402

IOU = 0.5
DENSE_THRESHOLD = 1 - 1 / 2000


def random_boxes(images: int, anchors: int) -> Tensor:
    """Boxes of 5 to 105 pixels a side in images of 640."""
    centres = torch.rand(images, anchors, 2) * 640
    sides = torch.rand(images, anchors, 2) * 100 + 5
    return torch.cat([centres - sides / 2, centres + sides / 2], dim=2)


def cpu_milliseconds(call: Callable[[], object], repeat: int) -> float:
    """Median of the CPU time of ``repeat`` calls after one that is not counted."""
    call()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000 * statistics.median(times)


def labelled_calls(
    images: int, anchors: int, classes: int, best: int | None
) -> tuple[Callable[[], Tensor], Callable[[], list[Tensor]]]:
    """Both sides from boxes with scores and labels; they return the indices kept."""
    boxes, scores = random_boxes(images, anchors), torch.rand(images, anchors)
    labels = torch.randint(classes, (images, anchors))
    settings = {"score_threshold": -1.0, "max_candidates": anchors, "max_detections": best or anchors}

    def ours() -> Tensor:
        return nms(boxes, scores, labels, iou_threshold=IOU, **settings).anchors

    def peer() -> list[Tensor]:
        return [batched_nms(boxes[i], scores[i], labels[i], IOU)[:best] for i in range(images)]

    return ours, peer


def dense_calls(images: int, anchors: int, classes: int) -> tuple[Callable[[], Tensor], Callable[[], list[Tensor]]]:
    """Both sides from the scores of every class, up to 300 detections an image."""
    boxes, scores = random_boxes(images, anchors), torch.rand(images, anchors, classes)

    def ours() -> Tensor:
        settings = {"score_threshold": DENSE_THRESHOLD, "multi_label": True}
        return nms(boxes, scores, iou_threshold=IOU, **settings).anchors

    def peer() -> list[Tensor]:
        kept = []
        for own_boxes, own_scores in zip(boxes, scores, strict=True):
            at, k = (own_scores > DENSE_THRESHOLD).nonzero().unbind(1)
            kept.append(at[batched_nms(own_boxes[at], own_scores[at, k], k, IOU)[:300]])
        return kept

    return ours, peer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, nargs="+", default=[1000, 8400, 30000], help="boxes an image")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--repeat", type=int, default=3, help="calls that are counted")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"NMS on CPU: {native.status()['NMS on CPU']}; {args.images} images, {args.classes} classes, one thread")
    print(f"{'case':22}{'boxes':>8}{'ours, ms':>12}{'torchvision, ms':>18}{'ratio':>8}  kept, and by torchvision")
    for boxes in args.boxes:
        cases = {
            "labelled": labelled_calls(args.images, boxes, args.classes, None),
            "labelled, best 300": labelled_calls(args.images, boxes, args.classes, 300),
            "dense": dense_calls(args.images, boxes, args.classes),
        }
        for name, (ours, peer) in cases.items():
            kept = f"{len(ours())} {len(torch.cat(peer()))}"
            own, other = (cpu_milliseconds(call, args.repeat) for call in (ours, peer))
            print(f"{name:22}{boxes:8}{own:12.2f}{other:18.2f}{own / other:8.3f}  {kept}", flush=True)


if __name__ == "__main__":
    main()
