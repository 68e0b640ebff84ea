"""kubectl satoken: service account tokens, explained and mended."""

__version__ = "0.1.0"
