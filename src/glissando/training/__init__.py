"""Training: data → loop → checkpoint → export (needs ``glissando[train]``)."""

from .loop import run

__all__ = ["run"]
