"""A report as one HTML page."""

from .page import render, write_html
