"""Training loop: the public path of hooks' base class and trainers."""

from detectron2.utils.events import EventStorage, get_event_storage

from .amp_trainer import AMPTrainer
from .simple_trainer import SimpleTrainer
from .trainer_base import HookBase, TrainerBase

__all__ = ["AMPTrainer", "EventStorage", "HookBase", "SimpleTrainer", "TrainerBase", "get_event_storage"]

for _class in (AMPTrainer, HookBase, SimpleTrainer, TrainerBase):
    # Checkpoints and pickles name a class by its public path.
    _class.__module__ = __name__
