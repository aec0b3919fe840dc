"""A model ready for single images."""

from typing import Any

import numpy as np
import torch

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.data import transforms as T
from detectron2.modeling import build_model
from detectron2.utils.env import resolve_device


class DefaultPredictor:
    """Loads ``MODEL.WEIGHTS`` and predicts on one image after the other, on one device.

    For batches or many images build the model and a test loader.

    Args:
        cfg: the whole config.

    Attributes:
        cfg: a copy of the config.
        model: in evaluation mode.
        metadata: of the first data set in ``DATASETS.TEST``, for drawing; missing if there is none.
        aug: the resizing at test time.
        input_format: channel order of the model, "RGB" or "BGR".

    Raises:
        ValueError: ``INPUT.FORMAT`` is neither "RGB" nor "BGR".

    Example::

        predictor = DefaultPredictor(cfg)
        instances = predictor(cv2.imread("image.jpg"))["instances"]
    """

    def __init__(self, cfg: CfgNode) -> None:
        if cfg.INPUT.FORMAT not in ("RGB", "BGR"):
            raise ValueError(f"INPUT.FORMAT is {cfg.INPUT.FORMAT!r}, DefaultPredictor takes 'RGB' and 'BGR'")
        self.cfg = cfg.clone()
        self.cfg.defrost()
        self.cfg.MODEL.DEVICE = resolve_device(cfg.MODEL.DEVICE)
        self.model = build_model(self.cfg)
        self.model.eval()
        test = cfg.DATASETS.TEST
        if test:
            self.metadata = MetadataCatalog.get(test if isinstance(test, str) else test[0])
        DetectionCheckpointer(self.model).load(cfg.MODEL.WEIGHTS)
        self.aug = T.ResizeShortestEdge([cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MIN_SIZE_TEST], cfg.INPUT.MAX_SIZE_TEST)
        self.input_format = cfg.INPUT.FORMAT

    def __call__(self, original_image: np.ndarray) -> dict[str, Any]:
        """Predicts on one image.

        Args:
            original_image: array [H, W, 3] in BGR order, as OpenCV reads it.

        Returns:
            The model's output for it, with coordinates of the original image.

        Raises:
            ValueError: the array has another shape, or is empty.
        """
        shape = getattr(original_image, "shape", None)
        if shape is None or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            found = f"an array of shape {shape}" if shape is not None else type(original_image).__name__
            raise ValueError(f"the image must be an array [H, W, 3] in BGR order, got {found}")
        with torch.no_grad():
            image = original_image[:, :, ::-1] if self.input_format == "RGB" else original_image
            height, width = image.shape[:2]
            resized = self.aug.get_transform(image).apply_image(image)
            tensor = torch.as_tensor(np.ascontiguousarray(resized.transpose(2, 0, 1)), dtype=torch.float32)
            inputs = {"image": tensor.to(self.cfg.MODEL.DEVICE), "height": height, "width": width}
            return self.model([inputs])[0]
