"""Files in float16: the network is, and what makes detections of its predictions computes as in float32."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from third_party.deploy.half import to_float16

from .detectors import BUILDERS
from .files import exported

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript", reason="needs onnx and onnxscript")

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
SIZES = {(32, 48): 2, (96, 112): 1, (256, 320): 3, (1600, 1616): 1}  # the last has 75,000 anchors and more


def session(model):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


class Pair:
    """A file, the same in float16, and the first one without the network: from its predictions on."""

    def __init__(self, name, folder):
        _, self.parts, path = exported(name, "suppressed")
        self.half_file = onnx.load(to_float16(path, folder / "half.onnx"))
        onnx.checker.check_model(self.half_file, full_check=True)
        float_file = onnx.load(path)
        self.float_session = session(float_file)
        self.outputs = [output.name for output in float_file.graph.output]
        ends = {node.input[0]: node.output[0] for node in self.half_file.graph.node if node.op_type == "Cast"}
        self.predictions = [end for start, end in ends.items() if start.endswith(".float16")]
        for model in (self.half_file, float_file):
            model.graph.output.extend(self.described())
        self.half_session, self.tail = session(self.half_file), session(self.without_makers(float_file))

    def described(self):
        return [onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in self.predictions]

    def without_makers(self, model):
        for node in model.graph.node:
            for place, name in enumerate(node.output):
                if name in self.predictions:
                    node.output[place] = f"{name}.unused"
        del model.graph.output[len(self.outputs) :]
        model.graph.input.extend(self.described())
        return model

    def feed(self, size, images):
        inputs = list(self.parts.example("suppressed", *size, batch=images))
        coarse = torch.rand(images, 3, size[0] // 8, size[1] // 8, generator=torch.Generator().manual_seed(3))
        inputs[0] = F.interpolate(coarse * 255, size=size, mode="bilinear")
        return dict(zip(self.parts.input_names, [x.numpy() for x in inputs], strict=True))


@pytest.fixture(scope="module", params=BUILDERS)
def pair(request, tmp_path_factory):
    return Pair(request.param, tmp_path_factory.mktemp("half"))


@pytest.mark.parametrize("size", SIZES)
def test_detections_follow_from_the_predictions_as_in_float32(pair, size):
    feed = pair.feed(size, SIZES[size])
    wanted = pair.float_session.run(pair.outputs, feed)
    found = dict(zip(pair.outputs + pair.predictions, pair.half_session.run(None, feed), strict=True))
    assert found["counts"].min() > 0
    np.testing.assert_array_equal(found["counts"], wanted[3])
    np.testing.assert_allclose(found["scores"], wanted[1], atol=1e-3)  # float16 has 11 bits

    needed = {value.name for value in pair.tail.get_inputs()}
    again = pair.tail.run(pair.outputs, {key: x for key, x in {**feed, **found}.items() if key in needed})
    for name, value in zip(pair.outputs, again, strict=True):
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-6, err_msg=name)


def test_the_network_is_in_float16(pair):
    graph = onnx.shape_inference.infer_shapes(pair.half_file).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input)}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    heavy = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul", "Relu")]
    assert len(heavy) >= 13
    assert {types[name] for node in heavy for name in (*node.input, *node.output)} <= {HALF, FLOAT}
    in_float32 = [node.op_type for node in heavy if FLOAT in {types[name] for name in (*node.input, *node.output)}]
    assert set(in_float32) <= {"Relu"}  # FCOS decodes distances with one
    others = {"RoiAlign", "TopK", "Exp", "Sqrt", "Softmax", "Floor"}
    decoding = [node for node in graph.node if node.op_type in others]
    assert decoding and HALF not in {types.get(name) for node in decoding for name in (*node.input, *node.output)}
    assert not {tensor.name for tensor in graph.initializer} - {name for node in graph.node for name in node.input}


def model_of(nodes, constants, outputs=("y",), inputs=("x",)):
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, FLOAT, [1, 2, 4, 4]) for name in inputs],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def converted(folder, *args, **settings):
    onnx.save(model_of(*args, **settings), folder / "a.onnx")
    return onnx.load(to_float16(folder / "a.onnx", folder / "b.onnx"))


def test_a_constant_that_both_sides_read_is_kept_in_both_types(tmp_path):
    node, weight = onnx.helper.make_node, np.eye(2, dtype=np.float32)[:, :, None, None]
    nodes = [node("Add", ["x", "big"], ["a"]), node("Conv", ["a", "w"], ["b"]), node("Mul", ["b", "big"], ["y"])]
    model = converted(tmp_path, nodes, {"w": weight, "big": np.float32(1e6)})
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert constants["big"] == 1e6 and constants["big.float16"] == 65504
    assert set(constants) == {"big", "big.float16", "w.float16"}


def test_tensors_that_are_outputs_keep_name_and_type(tmp_path):
    node, weight = onnx.helper.make_node, np.eye(2, dtype=np.float32)[:, :, None, None]
    nodes = [node("Conv", ["x", "w"], ["y"]), node("Relu", ["y"], ["a"]), node("Conv", ["a", "w"], ["z"])]
    model = converted(tmp_path, nodes, {"w": weight}, outputs=("y", "z"))
    assert [output.type.tensor_type.elem_type for output in model.graph.output] == [FLOAT, FLOAT]
    x = np.arange(-16, 16, dtype=np.float32).reshape(1, 2, 4, 4)
    y, z = session(model).run(None, {"x": x})
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(z, x.clip(0))


def test_computed_sizes_stay_whole_numbers(tmp_path):
    """Shape arithmetic in float and a condition stand in front of a convolution: neither is the network."""
    node, weight = onnx.helper.make_node, np.eye(2, dtype=np.float32)[:, :, None, None]
    nodes = [
        node("Shape", ["x"], ["shape"], start=2),
        node("Cast", ["shape"], ["sides"], to=FLOAT),
        node("Mul", ["sides", "factor"], ["larger"]),
        node("Cast", ["larger"], ["sizes"], to=onnx.TensorProto.INT64),
        node("Shape", ["x"], ["first"], end=2),
        node("Concat", ["first", "sizes"], ["all"], axis=0),
        node("Resize", ["x", "", "", "all"], ["resized"], mode="nearest"),
        node("Mul", ["resized", "gain"], ["moved"]),
        node("Greater", ["moved", "limit"], ["high"]),
        node("Where", ["high", "resized", "gain"], ["chosen"]),
        node("Conv", ["chosen", "w"], ["y"]),
    ]
    constants = {"factor": [513.3, 1.0], "gain": 512.2, "limit": 4097}  # in float16 513.5, 512 and 4096
    model = converted(tmp_path, nodes, {"w": weight} | {name: np.array(x, np.float32) for name, x in constants.items()})
    names = {name for made in model.graph.node for name in made.output if name.endswith(".float16")}
    assert {"resized.float16", "chosen.float16"} <= names and not {"larger.float16", "moved.float16"} & names
    (y,) = session(model).run(None, {"x": np.full((1, 2, 4, 4), 8.0, np.float32)})
    assert y.shape == (1, 2, 2053, 4)
    np.testing.assert_array_equal(y, 8)
