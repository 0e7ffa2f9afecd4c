"""A Picture to bytes and back."""

from .codec import Analysed, Codec
from .families import open_codec
from .info import Info, probe

__all__ = ["Analysed", "Codec", "Info", "open_codec", "probe"]
