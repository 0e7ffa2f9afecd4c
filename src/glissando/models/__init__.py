"""The torch networks of all families (needs ``glissando[train]``)."""

from .codec import CodecNetwork, Forward, NetworkConfig
from .content import ContentConfig, ContentNetwork
from .vae import VaeConfig, VaeNetwork

__all__ = ["CodecNetwork", "ContentConfig", "ContentNetwork", "Forward", "NetworkConfig", "VaeConfig", "VaeNetwork"]
