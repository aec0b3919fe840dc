"""The checkpointer of detection models."""

import logging
import os
from typing import Any
from urllib.parse import parse_qsl

import torch
import torch.distributed as dist
from fvcore.common.checkpoint import Checkpointer
from torch import nn

from detectron2.utils.atomic import atomic_write

from ..utils import comm
from ..utils.file_io import PathManager
from .c2_model_loading import align_and_update_state_dicts
from .safe_load import load_pickle, load_torch, unsafe_allowed
from .torchvision_names import convert_torchvision_names, is_torchvision_resnet

__all__ = ["DetectionCheckpointer"]

_QUERY = "matching_heuristics"


class DetectionCheckpointer(Checkpointer):
    """Saves and loads a model, and with it an optimizer, a scheduler or a trainer.

    Reads this package's ``.pth``, the ``.pkl`` files of the model zoo, Caffe2 ``.pkl`` files, torchvision's ResNets
    and plain state dicts. ``<path>?matching_heuristics=True`` matches names by their ends.

    Attributes:
        allow_unsafe_pickle: also load files that may run any code. Off, unless the environment sets
            ``DETECTRON2_ALLOW_UNSAFE_PICKLE=1``; ``load(path, allow_unsafe_pickle=True)`` sets it for one file.
    """

    def __init__(
        self, model: nn.Module, save_dir: str = "", *, save_to_disk: bool | None = None, **checkpointables: Any
    ) -> None:
        """
        Args:
            model: may be wrapped in DistributedDataParallel.
            save_dir: folder of the checkpoints.
            save_to_disk: whether this process writes; by default only the main process does.
            checkpointables: objects with ``state_dict`` and ``load_state_dict`` under the names they are saved by.
        """
        if save_to_disk is None:
            save_to_disk = comm.is_main_process()
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.logger = logging.getLogger(__name__)
        self.path_manager = PathManager
        self.allow_unsafe_pickle = unsafe_allowed()
        self._match_endings = False

    def save(self, name: str, **kwargs: Any) -> None:
        """Write ``<save_dir>/<name>.pth`` and name it in ``last_checkpoint``, each whole or not at all.

        Args:
            name: without folder and ending.
            kwargs: further data, made of tensors and plain values.

        Raises:
            OSError: the file cannot be written; former checkpoints and ``last_checkpoint`` are as they were.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        if "://" in self.save_dir:
            # A remote store has its own rules for half-written files.
            super().save(name, **kwargs)
            return
        if os.path.basename(name) != name:
            raise ValueError(f"checkpoint name '{name}' must be a file name without folders")
        data = {"model": self.model.state_dict()}
        if getattr(self.model, "quantization", None) is not None:
            data["quantization"] = self.model.quantization.to_mapping()
        data.update({key: item.state_dict() for key, item in self.checkpointables.items()})
        data.update(kwargs)
        path = os.path.join(self.save_dir, f"{name}.pth")
        self.logger.info("Saving checkpoint to %s", path)
        with atomic_write(path, "checkpoint") as file:
            torch.save(data, file)
        self.tag_last_checkpoint(f"{name}.pth")

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Note in ``last_checkpoint`` which file to resume from."""
        if "://" in self.save_dir:
            super().tag_last_checkpoint(last_filename_basename)
            return
        with atomic_write(os.path.join(self.save_dir, "last_checkpoint"), "the name of the last checkpoint") as file:
            file.write(last_filename_basename.encode())

    def load(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load a checkpoint into the model and the objects saved with it.

        Args:
            path: file or URL, optionally with ``?matching_heuristics=True``; empty loads nothing.
            args, kwargs: ``checkpointables``: names of the objects to load, all by default;
                ``allow_unsafe_pickle``: see the class.

        Returns:
            the data in the checkpoint that belongs to none of them.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is cut off, is no checkpoint, or asks for Python objects.
        """
        allowed_before = self.allow_unsafe_pickle
        self.allow_unsafe_pickle = kwargs.pop("allow_unsafe_pickle", allowed_before)
        try:
            if not path:
                return super().load(path, *args, **kwargs)
            path, self._match_endings = self._split_query(path)
            return self._load_everywhere(path, *args, **kwargs)
        finally:
            self.allow_unsafe_pickle = allowed_before
            self._match_endings = False

    def _split_query(self, path: str) -> tuple[str, bool]:
        if "?" not in path or os.path.isfile(path):
            return path, False
        plain, _, query = path.rpartition("?")
        options = dict(parse_qsl(query))
        value = options.pop(_QUERY, "False")
        if options or value not in ("True", "False"):
            if "://" in path:
                # Other queries belong to the URL itself.
                return path, False
            raise ValueError(f"{path}: only ?{_QUERY}=True (or False) can follow the path of a checkpoint")
        return plain, value == "True"

    def _load_everywhere(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load in every process; those that do not see the file get the model from the main process."""
        local_path = self.path_manager.get_local_path(path)
        seen = comm.all_gather(os.path.isfile(local_path))
        if not seen[0]:
            raise FileNotFoundError(self._missing_message(path))
        if all(seen):
            return super().load(local_path, *args, **kwargs)
        self.logger.warning("%s is not there for every process: the main process sends the model to all", path)
        extra = super().load(local_path, *args, **kwargs) if seen[comm.get_rank()] else {}
        for tensor in self.model.state_dict().values():
            dist.broadcast(tensor, src=0)
        return extra

    def _missing_message(self, path: str) -> str:
        tag = os.path.join(self.save_dir, "last_checkpoint")
        if os.path.isfile(tag) and path == self.get_checkpoint_file():
            return f"checkpoint {path} does not exist, but {tag} names it; write the name of another checkpoint there"
        return f"checkpoint {path} does not exist"

    def _load_file(self, filename: str) -> dict[str, Any]:
        """Read a local file into ``{"model": state dict, ...}``; projects override this for their own formats."""
        if filename.endswith(".pkl") and not _is_zip(filename):
            loaded = self._from_pickle(load_pickle(filename, self.allow_unsafe_pickle), filename)
        else:
            loaded = self._from_torch(self._torch_load(filename), filename)
        if self._match_endings:
            loaded[_QUERY] = True
        return loaded

    def _torch_load(self, f: str) -> Any:
        """Read what ``torch.save`` wrote; projects override this for other storages."""
        return load_torch(f, self.allow_unsafe_pickle)

    def _from_pickle(self, data: Any, filename: str) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValueError(f"{filename}: holds a {type(data).__name__}, but weights are a dict by name")
        if "model" in data:
            self.logger.info("Reading a file by '%s'", data.get("__author__", "unknown"))
            return data
        blobs = data.get("blobs", data)
        weights = {name: blob for name, blob in blobs.items() if not name.endswith("_momentum")}
        return {"model": weights, "__author__": "Caffe2", _QUERY: True}

    def _from_torch(self, data: Any, filename: str) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValueError(f"{filename}: holds a {type(data).__name__}, but a checkpoint is a dict by name")
        if "model" in data:
            return data
        if "model_state" in data:
            # pycls: the backbone alone, and counters that frozen norms do not have.
            weights = {name: w for name, w in data["model_state"].items() if not name.endswith("num_batches_tracked")}
            return {"model": weights, _QUERY: True}
        if is_torchvision_resnet(data):
            self.logger.info(
                "Reading a torchvision ResNet: it expects INPUT.FORMAT 'RGB', torchvision's PIXEL_MEAN and PIXEL_STD "
                "(times 255) and RESNETS.STRIDE_IN_1X1 False"
            )
            return {"model": convert_torchvision_names(data), _QUERY: True}
        return {"model": data.get("state_dict", data)}

    def _load_model(self, checkpoint: Any) -> Any:
        """Load ``checkpoint["model"]`` and return which names or shapes did not fit; projects override this."""
        if checkpoint.get(_QUERY, False):
            self._convert_ndarray_to_tensor(checkpoint["model"])
            checkpoint["model"] = align_and_update_state_dicts(
                self.model.state_dict(), checkpoint["model"], c2_conversion=checkpoint.get("__author__") == "Caffe2"
            )
        quantized = "quantization" in checkpoint or getattr(self.model, "quantization", None) is not None
        if quantized:
            from third_party.quantized_checkpoints import match_quantization, report_quantizers

            match_quantization(self.model, checkpoint, training=bool(self.checkpointables))
        given = len(checkpoint["model"])
        incompatible = super()._load_model(checkpoint)
        if quantized:
            report_quantizers(self.model, incompatible)
        if given and given == len(incompatible.unexpected_keys) + len(incompatible.incorrect_shapes):
            self.logger.warning(
                "NOT ONE of the %d weights in the file fits the model, which keeps its random weights. Is it the file "
                "of another model? Names that differ only in front match with ?%s=True behind the path",
                given,
                _QUERY,
            )
        known = _non_persistent_buffers(self.model)
        incompatible.unexpected_keys[:] = [
            name
            for name in incompatible.unexpected_keys
            # Computed from the config today; older checkpoints carry them, and torchvision's count batches.
            if name not in known and ".cell_anchors." not in name and not name.endswith(".num_batches_tracked")
        ]
        return incompatible


def _is_zip(filename: str) -> bool:
    with open(filename, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _non_persistent_buffers(model: nn.Module) -> set[str]:
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        for name in module._non_persistent_buffers_set
    }
