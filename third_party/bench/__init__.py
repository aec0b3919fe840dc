"""Timings of the quantization engine; ``python -m third_party.bench NAME``, one module a benchmark.

:mod:`.peers` is a command of its own: quantized files beside those of other quantizers.
"""
