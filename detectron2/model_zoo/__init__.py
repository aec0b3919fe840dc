"""Configs that come with the package, the weights trained with them, and models made of both."""

from .model_zoo import get, get_checkpoint_url, get_config, get_config_file

__all__ = ["get_checkpoint_url", "get", "get_config_file", "get_config"]
