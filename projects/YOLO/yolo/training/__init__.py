"""YOLO's training recipe: averaged weights, schedules, parameter groups, accumulation, anchors."""

from .accumulation import accumulation_steps, scaled_weight_decay, with_accumulation
from .anchor_config import with_auto_anchors
from .auto_anchor import auto_anchors, best_possible_recall, box_sizes, evolve_anchors, kmeans_anchors
from .auto_batch import auto_batch_size
from .ema import ModelEMA, ramped_decay
from .ema_hook import EMACheckpointer, EMAHook
from .optimizer import build_yolo_optimizer, choose_optimizer, parameter_groups
from .schedule import WarmupSchedule, build_schedule
