"""Post-training quantization of detectors: data sets, evaluation, loss, and the whole way to files that run."""
