"""Training: data → loop → checkpoint → export (needs ``glissando[train]``)."""

from .export import export
from .loop import run

__all__ = ["export", "run"]
