"""TensorRT. Written to the rules of TensorRT 11 (strongly typed networks, explicit Q/DQ); never run here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .runner import Runner, Session

# Smallest, preferred and largest shape of an input.
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class TensorRT(Runner):
    """TensorRT on a GPU: builds an engine from the file, of files for the target "tensorrt".

    Not run on any GPU so far.

    Attributes:
        profile: shapes of inputs with dynamic sizes by name; without, dynamic sizes are 1 in batches and 640 else.
    """

    name = "tensorrt"
    package = "tensorrt"
    module = "tensorrt"

    def __init__(self, profile: Mapping[str, Shapes] | None = None) -> None:
        self.profile = dict(profile or {})

    def problem(self) -> str | None:
        return super().problem() or (None if torch.cuda.is_available() else "engine tensorrt needs a CUDA device")

    def _load(self, model: bytes, threads: int) -> Session:
        import tensorrt

        logger = tensorrt.Logger(tensorrt.Logger.WARNING)
        plan = self.build(model, tensorrt, logger)
        return _Session(tensorrt.Runtime(logger).deserialize_cuda_engine(plan), tensorrt)

    def build(self, model: bytes, tensorrt: Any, logger: Any) -> Any:
        """The serialized engine of a file's content.

        Args:
            model: an ONNX file's content.
            tensorrt: the module.
            logger: one of its loggers.

        Raises:
            ValueError: TensorRT does not parse the file; the message has its reasons.
            RuntimeError: it finds no way to run it.
        """
        builder = tensorrt.Builder(logger)
        network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = tensorrt.OnnxParser(network, logger)
        if not parser.parse(model):
            raise ValueError("\n".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
        profile = builder.create_optimization_profile()
        for position in range(network.num_inputs):
            tensor = network.get_input(position)
            if -1 in tuple(tensor.shape):
                profile.set_shape(tensor.name, *self.profile.get(tensor.name, _default_shapes(tuple(tensor.shape))))
        config = builder.create_builder_config()
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise RuntimeError("TensorRT found no way to run the file; its log says why")
        return plan


def _default_shapes(shape: tuple[int, ...]) -> Shapes:
    wanted = tuple(size if size >= 0 else (1 if axis == 0 else 640) for axis, size in enumerate(shape))
    return wanted, wanted, wanted


class _Session(Session):
    def __init__(self, engine: Any, tensorrt: Any) -> None:
        self._engine, self._context = engine, engine.create_execution_context()
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        is_input = {name: engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT for name in names}
        self.input_names = [name for name in names if is_input[name]]
        self.output_names = [name for name in names if not is_input[name]]
        self._types = {
            name: torch.from_numpy(np.empty(0, tensorrt.nptype(engine.get_tensor_dtype(name)))).dtype for name in names
        }

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        tensors: dict[str, torch.Tensor] = {}
        for name, value in zip(self.input_names, inputs, strict=True):
            tensors[name] = torch.from_numpy(np.ascontiguousarray(value)).cuda()
            self._context.set_input_shape(name, tuple(value.shape))
        for name in self.output_names:
            shape = tuple(self._context.get_tensor_shape(name))
            tensors[name] = torch.empty(shape, dtype=self._types[name], device="cuda")
        for name, tensor in tensors.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream()
        self._context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return [tensors[name].cpu().numpy() for name in self.output_names]
