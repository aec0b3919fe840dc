"""Augmentation over several images, and the loaders that make it reproducible."""

from .box_filter import BoxFilter
from .build import build_multi_image_loader, build_yolo_train_loader
from .copy_paste import CopyPaste
from .hsv import HSVTransform, RandomHSV
from .iteration_sampler import IterationDataset, IterationIndex, IterationSampler
from .letterbox import Letterbox, LetterboxTransform
from .mixup import MixUp
from .mosaic import Mosaic
from .multi_image_mapper import MultiImageMapper
from .multi_scale import MultiScale
from .random_perspective import PerspectiveTransform, RandomPerspective
from .sample import Sample
