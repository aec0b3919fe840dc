"""Timings of the quantization engine; ``python -m third_party.bench NAME``, one module a benchmark."""
