"""Whole models from the model zoo with random weights: inference and a training step."""

from collections.abc import Callable

import torch

from .operators import random_boxes
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


TRAIN_SIZE, TRAIN_IMAGES, TRAIN_BOXES = (480, 640), 2, 10


def _sgd_step(model: torch.nn.Module, losses: Callable[[], dict[str, torch.Tensor]]) -> Callable[[], None]:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6)

    def step() -> None:
        loss = sum(losses().values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _add_training(name: str, peer: str = "") -> None:
    @CASES.add(f"{name}_train_step_bs2_480x640", repeat=3, peer=peer)
    def _():
        from detectron2.structures import Boxes, Instances
        from detectron2.utils.events import EventStorage

        model = _build(CONFIGS[name]).train()
        inputs = []
        for seed in range(TRAIN_IMAGES):
            instances = Instances(TRAIN_SIZE)
            instances.gt_boxes = Boxes(random_boxes(TRAIN_BOXES, *TRAIN_SIZE, seed))
            instances.gt_classes = torch.arange(TRAIN_BOXES)
            height, width = TRAIN_SIZE
            inputs.append(
                {"image": _image(height, width, seed), "instances": instances, "height": height, "width": width}
            )

        def losses() -> dict[str, torch.Tensor]:
            with EventStorage():
                return model(inputs)

        return _sgd_step(model, losses)


TORCHVISION_RETINANET = "torchvision_retinanet_R50_FPN_train_step_bs2_480x640"
_add_training("faster_rcnn_R50_FPN")
_add_training("retinanet_R50_FPN", peer=TORCHVISION_RETINANET)


@CASES.add(TORCHVISION_RETINANET, repeat=3)
def _():
    """The same network, classes and frozen layers, built of torchvision's parts."""
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    backbone = resnet_fpn_backbone(
        backbone_name="resnet50",
        weights=None,
        trainable_layers=3,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(2048, 256),
    )
    height, width = TRAIN_SIZE
    torch.manual_seed(0)
    model = RetinaNet(backbone, num_classes=80, min_size=height, max_size=width).train()
    images = [_image(height, width, seed) / 255 for seed in range(TRAIN_IMAGES)]
    targets = [
        {"boxes": random_boxes(TRAIN_BOXES, height, width, seed), "labels": torch.arange(TRAIN_BOXES)}
        for seed in range(TRAIN_IMAGES)
    ]
    return _sgd_step(model, lambda: model(images, targets))
