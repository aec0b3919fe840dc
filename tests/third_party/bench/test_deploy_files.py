"""The network that latency is measured on."""

import torch
from torch import nn

from third_party.bench import deploy_files


def test_activations_are_replaced_and_norms_fit_the_weights(monkeypatch):
    monkeypatch.setattr(deploy_files, "CONFIG", "projects/YOLO/configs/yolov5n.yaml")
    model = deploy_files.random_detector("relu")
    kinds = {type(module) for module in model.modules()}
    assert nn.ReLU in kinds and nn.SiLU not in kinds
    assert nn.SiLU in {type(module) for module in deploy_files.random_detector("silu").modules()}
    with torch.no_grad():
        outputs = model.network(torch.stack([sample["image"] for sample in deploy_files.pictures(2)]) / 255)
    assert all(torch.isfinite(output).all() and 1e-3 < output.std() < 1e3 for output in outputs)
