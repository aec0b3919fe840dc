"""YOLO detectors on the framework: networks, assigners, losses, and what training and evaluation need."""
