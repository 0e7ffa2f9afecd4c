"""What shapes a network."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NetworkConfig"]


@dataclass(frozen=True)
class NetworkConfig:
    """What shapes a network. Each family adds its own fields, which are the keys of a recipe's ``[network]`` table."""
