"""Fine-tuning of all that quantization decides at once, against the float model, without labels.

Given calibrated models and batches it sets weights, biases and ranges; knows no recipe.
"""

from .settings import TuningSettings
from .tune import Lesson, TuningRow, tune
