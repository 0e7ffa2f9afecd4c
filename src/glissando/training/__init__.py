"""Training: data → loop → checkpoint → export (needs ``glissando[train]``)."""

from .dispatch import run
from .export import export

__all__ = ["export", "run"]
