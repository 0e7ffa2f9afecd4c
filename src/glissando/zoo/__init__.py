"""Models: a decoder and its encoders in a folder (``model``), found by name or hash (``registry``).

``arrays`` is the format of weights and integers, ``identity`` what a hash covers, ``installation`` the way into the
user's folder. The folders beside these files are the shipped models.
"""

from .model import Card, Encoder, EncoderCard, Model, in_eight_bits
from .registry import find, find_hash, find_same, installed, models, register, user_folder

__all__ = [
    "Card",
    "Encoder",
    "EncoderCard",
    "Model",
    "find",
    "find_hash",
    "find_same",
    "in_eight_bits",
    "installed",
    "models",
    "register",
    "user_folder",
]
