"""Settings of the first quantization fork of Detectron2, translated to today's; nothing else here knows them."""

from .keys import is_legacy, split_legacy
from .translate import translate_legacy
