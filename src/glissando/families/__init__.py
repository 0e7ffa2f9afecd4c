"""Families of models, each in a package of its own that announces it once (``registry``)."""

from .registry import Family, families, family, register

__all__ = ["Family", "families", "family", "register"]
