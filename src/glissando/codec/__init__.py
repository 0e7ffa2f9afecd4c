"""A Picture to bytes and back.

``encoder`` and ``decoder`` say the order of the steps; ``engine`` runs the networks, a family's ``coding`` goes from
latents to symbols and back, and ``codec`` puts the four together. ``geometry`` knows where things lie, ``quality``,
``importance`` and ``automatic`` how good each place is to be, ``info`` what a file says about itself.
"""

from .codec import Codec, open_codec
from .decoder import PictureSymbols
from .encoder import Analysed
from .info import Info, probe, read_importance
from .options import BackendOptions, EncodeOptions
from .quality import Quality, QualityField

__all__ = [
    "Analysed",
    "BackendOptions",
    "Codec",
    "EncodeOptions",
    "Info",
    "PictureSymbols",
    "Quality",
    "QualityField",
    "open_codec",
    "probe",
    "read_importance",
]
