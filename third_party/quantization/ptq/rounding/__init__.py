"""Which level each weight goes to, chosen by what layers give on data: by linear algebra or learned.

Given calibrated models and batches it sets weights, biases and learned ranges; knows no recipe.
"""

from .captured import Call, capture
from .compensation import compensate
from .learning import LearningSettings
from .reconstruction import reconstruct
