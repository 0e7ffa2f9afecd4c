"""The torch networks of the main family (needs ``glissando[train]``)."""

from .codec import CodecNetwork, Forward, NetworkConfig
from .vae import VaeConfig, VaeNetwork

__all__ = ["CodecNetwork", "Forward", "NetworkConfig", "VaeConfig", "VaeNetwork"]
