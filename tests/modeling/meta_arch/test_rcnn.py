import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detectron2.modeling import GeneralizedRCNN, ProposalNetwork
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from tests.modeling.tiny_models import RCNN_MODELS, eval_inputs, tiny_config, tiny_model, training_inputs


@pytest.mark.parametrize("name", RCNN_MODELS)
class TestEveryModel:
    def test_images_without_objects(self, name):
        model = tiny_model(name).train()
        (inputs,) = training_inputs(name)
        with_objects = dict(inputs)
        inputs["instances"] = inputs["instances"][:0]
        for batch in ([inputs, inputs], [inputs, with_objects]):
            model.zero_grad()
            losses = model(batch)
            assert all(loss.isfinite() for loss in losses.values())
            sum(losses.values()).backward()
            # every parameter takes part, or processes of a distributed training would wait for each other
            assert all(p.grad is not None for p in model.parameters() if p.requires_grad)

    def test_no_proposals_left(self, name):
        model = tiny_model(name)
        model.proposal_generator.min_box_size = 1e4
        with torch.no_grad():
            outputs = [o["instances"] for o in model(eval_inputs(name))]
        assert [len(o) for o in outputs] == [0, 0]
        assert outputs[0].pred_boxes.tensor.shape == (0, 4)
        if name.startswith("mask"):
            assert outputs[0].pred_masks.shape == (0, 120, 160)
        (inputs,) = training_inputs(name)
        inputs["instances"] = inputs["instances"][:0]
        losses = model.train()([inputs])
        sum(losses.values()).backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)

    def test_images_of_different_sizes(self, name):
        inputs = [{"image": torch.zeros(3, 64, 200)}, {"image": torch.ones(3, 97, 33), "height": 194, "width": 66}]
        with torch.no_grad():
            outputs = tiny_model(name)(inputs)
        assert [o["instances"].image_size for o in outputs] == [(64, 200), (194, 66)]

    @pytest.mark.parametrize("training", [False, True])
    def test_nan_weights_are_an_error(self, name, training):
        model = tiny_model(name).train(training)
        nn.init.constant_(model.proposal_generator.rpn_head.conv.bias, float("nan"))
        inputs = training_inputs(name) if training else eval_inputs(name)
        with torch.no_grad(), pytest.raises(FloatingPointError, match="NaN"):
            model(inputs)

    def test_pictures_of_the_training(self, name):
        model = tiny_model(name).train()
        model.vis_period = 1
        with EventStorage() as storage:
            model(training_inputs(name))
        ((_, picture, _),) = [entry for entry in storage._vis_data if "proposals" in entry[0]]
        assert picture.shape == (3, 96, 2 * 128)

    def test_training_needs_ground_truth(self, name):
        (inputs,) = training_inputs(name)
        del inputs["instances"]
        with pytest.raises(ValueError, match="'instances'"):
            tiny_model(name).train()([inputs])


def test_inference_without_rescaling():
    model, inputs = tiny_model("faster_rcnn_fpn_tiny"), eval_inputs("faster_rcnn_fpn_tiny")
    with torch.no_grad():
        plain = model.inference(inputs, do_postprocess=False)
        scaled = model(inputs)
    assert [p.image_size for p in plain] == [(96, 128), (80, 112)]
    assert_close(plain[0].pred_boxes.tensor * 1.25, scaled[0]["instances"].pred_boxes.tensor)
    with pytest.raises(RuntimeError, match="eval"):
        model.train().inference(inputs)


def test_overridden_postprocess_is_used():
    class Shouting(GeneralizedRCNN):
        @staticmethod
        def _postprocess(instances, batched_inputs, image_sizes):
            return [{"LOUD": instance} for instance in instances]

    model = tiny_model("faster_rcnn_fpn_tiny")
    model.__class__ = Shouting
    with torch.no_grad():
        assert [list(o) for o in model(eval_inputs("faster_rcnn_fpn_tiny"))] == [["LOUD"], ["LOUD"]]


def test_precomputed_proposals():
    cfg = tiny_config("faster_rcnn_fpn_tiny")
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "PrecomputedProposals"
    model = GeneralizedRCNN(cfg)
    assert model.proposal_generator is None
    (inputs,) = training_inputs("faster_rcnn_fpn_tiny")
    boxes = Boxes(torch.tensor([[10.0, 10, 60, 60], [50, 20, 90, 80]]))
    proposals = Instances((96, 128), proposal_boxes=boxes, objectness_logits=torch.tensor([2.0, 1.0]))
    losses = model.train()([{**inputs, "proposals": proposals}])
    assert set(losses) == {"loss_cls", "loss_box_reg"}
    with torch.no_grad():
        assert len(model.eval()([{**inputs, "proposals": proposals}])[0]["instances"]) > 0
    for mode in (True, False):
        with pytest.raises(ValueError, match="'proposals'"):
            model.train(mode)([inputs])


def test_proposal_network():
    cfg = tiny_config("faster_rcnn_fpn_tiny")
    model, detector = ProposalNetwork(cfg), tiny_model("faster_rcnn_fpn_tiny")
    weights = {k: v for k, v in detector.state_dict().items() if not k.startswith("roi_heads")}
    model.load_state_dict(weights)
    inputs = eval_inputs("faster_rcnn_fpn_tiny")
    with torch.no_grad():
        results = [r["proposals"] for r in model.eval()(inputs)]
        images = detector.preprocess_image(inputs)
        expected, _ = detector.proposal_generator(images, detector.backbone(images.tensor), None)
    assert results[0].image_size == (120, 160)
    assert_close(results[1].proposal_boxes.tensor, expected[1].proposal_boxes.tensor)
    losses = model.train()(training_inputs("faster_rcnn_fpn_tiny"))
    assert set(losses) == {"loss_rpn_cls", "loss_rpn_loc"}
    assert model.device.type == "cpu"


def test_settings_that_do_not_work():
    parts = {"backbone": nn.Identity(), "proposal_generator": nn.Identity(), "roi_heads": nn.Identity()}
    with pytest.raises(ValueError, match="input_format"):
        GeneralizedRCNN(**parts, pixel_mean=[0.0] * 3, pixel_std=[1.0] * 3, vis_period=5)
    with pytest.raises(ValueError, match="one value for each image channel"):
        GeneralizedRCNN(**parts, pixel_mean=[0.0] * 3, pixel_std=[1.0])
