"""What suppression returns."""

from typing import NamedTuple

from torch import Tensor


class PaddedDetections(NamedTuple):
    """Detections in ``D = max_detections`` rows an image, best first; rows from ``counts`` on are padding.

    Args:
        boxes: ``Tensor[N, D, 4]``, corners as they were given; padding 0.
        scores: ``Tensor[N, D]``; padding 0.
        labels: int64 ``Tensor[N, D]``; padding -1.
        anchors: int64 ``Tensor[N, D]``, where in the image's boxes each comes from; padding -1.
        counts: int64 ``Tensor[N]``, how many each image has.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    anchors: Tensor
    counts: Tensor


class Detections(NamedTuple):
    """Detections of all images in ``M`` rows, image after image, best first.

    Args:
        boxes: ``Tensor[M, 4]``, corners as they were given.
        scores: ``Tensor[M]``.
        labels: int64 ``Tensor[M]``.
        anchors: int64 ``Tensor[M]``, where in the image's boxes each comes from.
        images: int64 ``Tensor[M]``, the image of each.
        counts: int64 ``Tensor[N]``, how many each image has.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    anchors: Tensor
    images: Tensor
    counts: Tensor

    def split(self) -> list["Detections"]:
        """The detections of each image, views of these; reads ``counts`` on the host."""
        sizes = self.counts.tolist()
        columns = zip(*(column.split(sizes) for column in self[:5]), strict=True)
        return [
            Detections(boxes, scores, labels, anchors, images, self.counts[i : i + 1])
            for i, (boxes, scores, labels, anchors, images) in enumerate(columns)
        ]
