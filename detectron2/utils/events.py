"""Metrics of a training run: the storage they are put into, and the writers that take them to files and console."""

from fvcore.common.history_buffer import HistoryBuffer

from detectron2.utils.event_storage import EventStorage, get_event_storage, has_event_storage
from detectron2.utils.event_writers import CommonMetricPrinter, EventWriter, JSONWriter, TensorboardXWriter
from detectron2.utils.file_io import PathManager

__all__ = [
    "CommonMetricPrinter",
    "EventStorage",
    "EventWriter",
    "HistoryBuffer",
    "JSONWriter",
    "PathManager",
    "TensorboardXWriter",
    "get_event_storage",
    "has_event_storage",
]
