#!/usr/bin/env python
"""Quantize a trained detector after training, export it, run the files and compare.

Example: ``python tools/quantize.py --config-file X --weights W --calib DATASET --out DIR``
"""

import sys

from third_party.post_training.command import main

if __name__ == "__main__":
    sys.exit(main())
