"""The hooks, one concern a file; ``detectron2.engine.hooks`` is their public path."""
