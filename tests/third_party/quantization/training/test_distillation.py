import copy

import pytest
import torch
from torch import nn

from third_party.quantization.spec import DistillationConfig
from third_party.quantization.training.distillation import (
    DISTILLATION_ERRORS,
    Distillation,
    feature_error,
    output_error,
)

from .models import float_net, image_batch, quantized_net


class Detector(nn.Module):
    """In training a dict of losses, in evaluation a list; the head runs on two levels and gives lists."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.head = Head()
        self.evaluations = 0

    def forward(self, batched_inputs):
        x = torch.stack([entry["image"] for entry in batched_inputs])
        features = self.backbone.relu(self.backbone.bn(self.backbone.conv1(x)))
        outputs = [self.head(level) for level in (features, features[..., ::2, ::2])]
        if self.training:
            return {"loss": sum(o["logits"].sum() for o in outputs)}
        self.evaluations += 1
        return [{"instances": len(batched_inputs)}]


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 5, 1)

    def forward(self, x):
        y = self.conv(x)
        return {"logits": y[:, :3], "deltas": [y[:, 3:]], "kept": torch.arange(3)}


def student_and_teacher():
    torch.manual_seed(0)
    student, teacher = Detector(quantized_net()), Detector(float_net())
    return student, teacher


def batch(iteration=0):
    return [{"image": image} for image in image_batch(iteration)]


def test_errors_by_hand():
    s = torch.tensor([[3.0, 4.0], [1.0, 0.0]]).view(2, 2, 1, 1)
    t = torch.tensor([[30.0, 40.0], [0.0, 5.0]]).view(2, 2, 1, 1)
    assert torch.allclose(feature_error(s, t), torch.tensor((0.0 + 2.0) / 2))
    assert torch.allclose(output_error(s, t), (s - t).square().sum() / t.square().sum())
    assert feature_error(torch.zeros(1, 3), torch.ones(1, 3)).isfinite()


@pytest.mark.parametrize("kind", DISTILLATION_ERRORS)
@pytest.mark.parametrize("names", [("backbone.conv1", "head*"), ("re:head",)])
def test_loss_dict_models_are_compared_by_their_inner_tensors(kind, names):
    DistillationConfig(weight=1.0, kind=kind, names=names)
    student, teacher = student_and_teacher()
    distillation = Distillation(student, teacher, names, kind)
    student(batch())
    loss = distillation.loss()
    teacher.eval()
    errors = []
    with torch.no_grad():
        if names[0].startswith("back"):
            mine = student.backbone.conv1(image_batch(0))
            errors.append(DISTILLATION_ERRORS[kind](mine, teacher.backbone.conv1(image_batch(0))))
        outputs = []
        for net in (student, teacher):
            norm = net.backbone.bn
            raw = net.backbone.conv1(image_batch(0))
            statistics = (raw.mean((0, 2, 3)), raw.var((0, 2, 3), correction=0)) if net is student else (0.0, 1.0)
            mean, variance = (torch.as_tensor(v).view(-1, 1, 1) for v in statistics)
            level = ((raw - mean) / (variance + norm.eps).sqrt()).relu()
            outputs.append([net.head(x) for x in (level, level[..., ::2, ::2])])
        for s, t in zip(*outputs, strict=True):
            pairs = [(s["logits"], t["logits"]), (s["deltas"][0], t["deltas"][0])]
            errors += [DISTILLATION_ERRORS[kind](a, b) for a, b in pairs]
            if names[0].startswith("back"):  # head* means head.conv as well
                a, b = (torch.cat([o["logits"], o["deltas"][0]], 1) for o in (s, t))
                errors.append(DISTILLATION_ERRORS[kind](a, b))
    assert torch.allclose(loss, torch.stack(errors).mean(), rtol=1e-4)


def test_gradients_reach_the_student_only_and_the_teacher_stays():
    student, teacher = student_and_teacher()
    before = copy.deepcopy(teacher.state_dict())
    distillation = Distillation(student, teacher, ["head"], "features")
    teacher.train()
    student(batch())
    distillation.loss().backward()
    assert student.backbone.conv1.weight.grad.abs().sum() > 0
    assert student.backbone.conv1.weight_quantizer.scale.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert teacher.evaluations == 0, "the teacher stops where nothing more is needed"


def test_an_identical_teacher_gives_zero():
    net = float_net().eval()
    distillation = Distillation(net.train(), copy.deepcopy(net), ["conv*"], "features")
    net.bn.eval()
    net(image_batch(0))
    assert distillation.loss() < 1e-10


def test_a_models_own_output():
    torch.manual_seed(0)
    student, teacher = quantized_net(), float_net().eval()
    distillation = Distillation(student, teacher, (), "outputs")
    output = student(image_batch(0))
    assert torch.allclose(distillation.loss(), output_error(output, teacher(image_batch(0))))


def test_only_the_last_training_forward_counts():
    student, teacher = student_and_teacher()
    distillation = Distillation(student, teacher, ["head"], "outputs")
    student(batch(1))
    student(batch(0))
    state = copy.deepcopy(student.state_dict())
    student.eval()
    student(batch(2))
    student.train()
    with torch.no_grad():
        student(batch(3))
    twice = distillation.loss()
    student.load_state_dict(state)
    student(batch(0))
    assert torch.allclose(distillation.loss(), twice)
    with pytest.raises(RuntimeError, match="no training forward"):
        distillation.loss()


def test_autocast_of_the_student_holds_for_the_teacher():
    student, teacher = student_and_teacher()
    distillation = Distillation(student, teacher, ["backbone.conv1"], "features")
    seen = []
    teacher.backbone.conv1.register_forward_hook(lambda _m, _a, output: seen.append(output.dtype), prepend=True)
    with torch.autocast("cpu", torch.bfloat16):
        student(batch())
    assert distillation.loss().dtype == torch.float32
    student(batch())
    distillation.loss()
    assert seen == [torch.bfloat16, torch.float32]


def test_mistakes_are_named():
    student, teacher = student_and_teacher()
    with pytest.raises(ValueError, match="'heed'.*head"):
        Distillation(student, teacher, ["heed"], "features")
    with pytest.raises(ValueError, match="no module 'backbone.conv1.weight_quantizer'|matches no module"):
        Distillation(student, teacher, ["*weight_quantizer"], "features")
    with pytest.raises(ValueError, match="feature, got|features"):
        Distillation(student, teacher, ["head"], "feature")
    teacher.head.conv = nn.Conv2d(4, 7, 1)
    distillation = Distillation(student, teacher, ["head"], "features")
    student(batch())
    with pytest.raises(ValueError, match=r"'head'.*\(4, 2, 4, 4\).*\(4, 4, 4, 4\)"):
        distillation.loss()
    del teacher.head
    with pytest.raises(ValueError, match="teacher has no module 'head'"):
        Distillation(student, teacher, ["head"], "features")


def test_close_takes_the_hooks_away():
    student, teacher = student_and_teacher()
    distillation = Distillation(student, teacher, ["*"], "features")
    distillation.close()
    for net in (student, teacher):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
