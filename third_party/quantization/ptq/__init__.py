"""Quantizing a trained model without training it: calibration, choice, audit."""
