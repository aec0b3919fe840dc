"""Whole models from the model zoo with random weights: inference and a training step."""

import torch

from .timing import CASES

CONFIGS = {
    "faster_rcnn_R50_FPN": "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml",
    "retinanet_R50_FPN": "COCO-Detection/retinanet_R_50_FPN_1x.yaml",
    "mask_rcnn_R50_FPN": "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
}


def _build(config: str):
    from detectron2 import model_zoo
    from detectron2.modeling import build_model

    cfg = model_zoo.get_config(config)
    cfg.defrost()
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    cfg.MODEL.RETINANET.SCORE_THRESH_TEST = 0.0
    torch.manual_seed(0)
    return build_model(cfg)


def _image(height: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, height, width), dtype=torch.uint8, generator=generator)


def _add_inference(name: str) -> None:
    @CASES.add(f"{name}_fwd_800x1333", repeat=3)
    def _():
        model, inputs = _build(CONFIGS[name]).eval(), [{"image": _image(800, 1333, 1)}]
        return torch.no_grad()(lambda: model(inputs))


for _name in CONFIGS:
    _add_inference(_name)


@CASES.add("faster_rcnn_R50_FPN_train_step_bs2_480x640", repeat=3)
def _():
    from detectron2.structures import Boxes, Instances

    from .operators import _boxes

    model = _build(CONFIGS["faster_rcnn_R50_FPN"]).train()
    inputs = []
    for seed in range(2):
        instances = Instances((480, 640))
        instances.gt_boxes = Boxes(_boxes(10, 480, 640, seed))
        instances.gt_classes = torch.arange(10)
        inputs.append({"image": _image(480, 640, seed), "instances": instances, "height": 480, "width": 640})
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6)

    from detectron2.utils.events import EventStorage

    def step() -> None:
        with EventStorage():
            loss = sum(model(inputs).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
