"""Trained checkpoints of other packages, read into the networks here."""

from .convert import convert_file, convert_state_dict
from .reader import read_state_dict
