"""Post-training quantization of detectors: data sets, evaluation, loss, and the whole way to files that run."""

from .data import DetectionBatches, calibration_records, find_dataset
from .evaluation import Evaluation, evaluate
from .judge import Judge
from .loss import DetectionLoss
from .models import load_detector, save_detector
from .options import Request, read_recipe
from .workflow import calibrate_detector, detector_sensitivity, quantize_detector
