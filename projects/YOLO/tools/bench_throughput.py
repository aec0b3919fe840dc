"""Time inference and training steps on the CPU, one thread, beside the package ``ultralytics`` where it is installed.

Usage: ``python projects/YOLO/tools/bench_throughput.py [--models yolov8n yolo11n] [--repeat 5] [--tasks ...]``.

Both sides run the same network eagerly in one process, in turn, on the same pixels: inference from pixels in 0..1 to
decoded boxes and scores, as built and with the normalisation folded into the convolutions; a training step from pixels
in 0..255 through losses, gradients and SGD. Figures are CPU milliseconds, medians; a ratio of 1 or less means no slower
than the package. ``--memory`` adds the growth of the peak resident memory, each side and task in a process of its
own (on Linux).
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from detectron2.projects.yolo import YOLO, add_yolo_config  # noqa: E402
from detectron2.projects.yolo.fuse import fuse_for_inference  # noqa: E402
from detectron2.projects.yolo.meta_arch import in_fast_layout  # noqa: E402

from detectron2.config import get_cfg  # noqa: E402
from detectron2.modeling import build_model  # noqa: E402
from detectron2.structures import Boxes, Instances  # noqa: E402

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
OBJECTS = 7
Call = Callable[[], object]


@dataclass(frozen=True)
class Task:
    """What is timed: pixels of a side, images, and one of "infer", "fused", "train"."""

    mode: str
    side: int
    images: int

    def __str__(self) -> str:
        return f"{self.mode}:{self.side}:{self.images}"

    @classmethod
    def parse(cls, text: str) -> "Task":
        mode, side, images = text.split(":")
        if mode not in ("infer", "fused", "train"):
            raise argparse.ArgumentTypeError(f"{text}: mode is {mode!r}, not one of infer, fused, train")
        return cls(mode, int(side), int(images))


def pixels(task: Task) -> Tensor:
    """Random images in 0..255, ``Tensor[N, 3, H, W]`` of bytes."""
    shape = (task.images, 3, task.side, task.side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.manual_seed(0))


def objects(task: Task) -> tuple[Tensor, Tensor]:
    """Boxes ``Tensor[N, OBJECTS, 4]``, corners relative to the image, and their classes ``Tensor[N, OBJECTS]``."""
    generator = torch.manual_seed(1)
    centres = 0.2 + 0.6 * torch.rand(task.images, OBJECTS, 2, generator=generator)
    halves = 0.03 + 0.15 * torch.rand(task.images, OBJECTS, 2, generator=generator)
    classes = torch.randint(80, (task.images, OBJECTS), generator=generator)
    return torch.cat([centres - halves, centres + halves], 2), classes


def ours(model_name: str, task: Task) -> Call:
    """A call of the model here."""
    cfg = get_cfg()
    add_yolo_config(cfg)
    cfg.merge_from_file(str(CONFIGS / f"{model_name}.yaml"))
    cfg.MODEL.DEVICE, cfg.SOLVER.IMS_PER_BATCH = "cpu", task.images
    torch.manual_seed(0)
    model = build_model(cfg)
    assert isinstance(model, YOLO)
    images = pixels(task)
    if task.mode == "train":
        boxes, classes = objects(task)
        batch = []
        for image, image_boxes, image_classes in zip(images, boxes * task.side, classes, strict=True):
            instances = Instances((task.side, task.side), gt_boxes=Boxes(image_boxes), gt_classes=image_classes)
            batch.append({"image": image, "instances": instances})
        return training_step(model.train(), lambda: torch.stack(list(model(batch).values())).sum())
    model.eval()
    if task.mode == "fused":
        fuse_for_inference(model.network)
    scaled = in_fast_layout(images.float() / 255)
    return lambda: model.predict_dense(scaled)


def peer(model_name: str, task: Task) -> Call:
    """A call of the package's model of that name."""
    from ultralytics import YOLO as PackageModel
    from ultralytics.cfg import get_cfg as package_settings

    torch.manual_seed(0)
    model = PackageModel(f"{model_name}.yaml", verbose=False).model
    images = pixels(task)
    if task.mode == "train":
        model.args = package_settings()
        boxes, classes = objects(task)
        corners = boxes.flatten(0, 1)
        batch = {
            "cls": classes.reshape(-1, 1).float(),
            "bboxes": torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1),
            "batch_idx": torch.arange(task.images).repeat_interleave(OBJECTS).float(),
        }
        return training_step(model.train(), lambda: model({**batch, "img": images.float() / 255})[0].sum())
    model.eval()
    if task.mode == "fused":
        model = model.fuse(verbose=False).eval()
    scaled = images.float() / 255
    return lambda: model(scaled)


SIDES = {"ours": ours, "peer": peer}


def training_step(model: nn.Module, loss: Callable[[], Tensor]) -> Call:
    """Forward, backward and a step that leaves the weights as they are."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, nesterov=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def run(call: Call, mode: str) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    with torch.set_grad_enabled(mode == "train"):
        call()
    return time.process_time() - start


def medians(calls: dict[str, Call], mode: str, repeat: int) -> dict[str, float]:
    """Median CPU milliseconds of each call, after one that is not counted; the calls take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeat + 1):
        for name, call in calls.items():
            times[name].append(run(call, mode))
    return {name: 1000 * statistics.median(values[1:]) for name, values in times.items()}


def peak_memory(side: str, model: str, task: Task) -> float:
    """MiB by which the peak of a process grows in three calls, beyond what it has after a call at 64 pixels."""
    command = [sys.executable, __file__, "--measure-memory", side, "--models", model, "--tasks", str(task)]
    # Large blocks go back to the system when they are freed; what an allocator keeps for later is not the model's need.
    settings = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=settings)
    return float(done.stdout.split()[-1])


def measure_memory(side: str, model: str, task: Task) -> float:
    run(SIDES[side](model, Task(task.mode, 64, 1)), task.mode)  # what the libraries load and keep at their first use
    call = SIDES[side](model, task)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew: imports have one of their own
    before = peak_mebibytes()
    for _ in range(3):
        run(call, task.mode)
    return peak_mebibytes() - before


def peak_mebibytes() -> float:
    """The largest resident memory of this process, on Linux."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["yolov8n", "yolo11n"], help="names of configs")
    tasks = [Task(mode, 640, images) for mode in ("infer", "fused") for images in (1, 8)] + [Task("train", 320, 8)]
    parser.add_argument("--tasks", nargs="+", type=Task.parse, default=tasks, metavar="MODE:SIDE:IMAGES")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="measure the peak memory too")
    parser.add_argument("--memory-alone", action="store_true", help="measure the peak memory and no times")
    parser.add_argument("--measure-memory", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    torch.set_num_threads(1)
    if args.measure_memory:
        print(measure_memory(args.measure_memory, args.models[0], args.tasks[0]))
        return
    sides = ["ours"] + (["peer"] if importlib.util.find_spec("ultralytics") else [])
    if len(sides) == 1:
        print("ultralytics is not installed: only our side is timed")
    for model in args.models:
        for task in args.tasks:
            if args.memory_alone:
                times = {}
            else:
                times = medians({side: SIDES[side](model, task) for side in sides}, task.mode, args.repeat)
            wanted = args.memory or args.memory_alone
            memory = {side: peak_memory(side, model, task) for side in sides} if wanted else {}
            cells = [f"{side} {times[side]:.0f} ms" for side in times]
            cells += [f"ratio {times['ours'] / times['peer']:.2f}"] if "peer" in times else []
            cells += [f"{side} +{mib:.0f} MiB" for side, mib in memory.items()]
            print(f"{model} {task}: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
