"""Glissando: a neural image codec."""

__version__ = "0.1.0"
