"""Helpers shared by all parts: files, environment, processes, events, logging and drawing."""
