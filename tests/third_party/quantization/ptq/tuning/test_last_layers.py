"""Which layers a model's results come from."""

import torch
from torch import nn

from third_party.quantization import QuantConfig, prepare
from third_party.quantization.ptq.tuning.last_layers import flow_of
from third_party.quantization.spec import MinMaxSpec
from third_party.quantization.transform import quantizers


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.shared = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.scores, self.boxes, self.second = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 3)
        self.unused = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        maps = [self.shared(self.stem(x)), self.shared(self.stem(x[..., ::2, ::2]).relu())]
        boxes = [self.boxes(one) for one in maps]
        chosen = boxes[0].detach().flatten(2).mT[:, :3]
        return [self.scores(one) for one in maps], boxes, self.second(chosen)


def test_layers_that_no_other_reads_and_those_before_a_cut():
    torch.manual_seed(0)
    model = Branches().eval()
    prepare(model, QuantConfig(weight=MinMaxSpec(bits=8), activation=MinMaxSpec(bits=8, symmetric=False)))
    x = torch.randn(1, 3, 4, 4)
    for _, quantizer in quantizers(model):
        quantizer.set_enabled(False)
    with torch.no_grad():
        flow = flow_of(model, lambda: model(x))
    assert flow.last == ["boxes", "scores", "second"]
    assert flow.before["boxes"] == {"stem", "shared", "boxes"} and flow.before["second"] == {"second"}
    hooked = [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not hooked
