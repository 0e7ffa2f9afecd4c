"""A Picture to bytes and back."""

from .codec import Analysed, Codec
from .info import Info, probe

__all__ = ["Analysed", "Codec", "Info", "probe"]
