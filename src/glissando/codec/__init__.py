"""A Picture to bytes and back."""

from .codec import Analysed, Codec
from .families import open_codec
from .importance import Importance, importance_map
from .info import Info, probe, read_importance

__all__ = [
    "Analysed",
    "Codec",
    "Importance",
    "Info",
    "importance_map",
    "open_codec",
    "probe",
    "read_importance",
]
