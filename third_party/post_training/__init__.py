"""Post-training quantization of detectors: data sets, evaluation, loss, and the whole way to files that run."""

from .calibration import calibrate_detector, calibration_batches, write_quantized
from .data import DetectionBatches, calibration_records, find_dataset
from .evaluation import Evaluation, evaluate
from .judge import Judge
from .loss import DetectionLoss
from .models import load_detector, load_float_detector, load_quantized_detector, save_detector
from .options import Request, read_recipe
from .workflow import detector_sensitivity, quantize_detector
