"""The base of what families say of the shape of their networks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NetworkConfig"]


@dataclass(frozen=True)
class NetworkConfig:
    """What shapes a network: the base of each family's own class. Each family adds its own fields, which are the keys
    of a recipe's ``[network]`` table.
    """
