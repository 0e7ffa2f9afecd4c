"""The torch networks of the main family (needs ``glissando[train]``)."""

from .codec import CodecNetwork, Forward, NetworkConfig

__all__ = ["CodecNetwork", "Forward", "NetworkConfig"]
