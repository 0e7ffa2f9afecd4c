"""The codec: a picture to the bytes of a file, and back.

``encoder`` and ``decoder`` say the order of the steps; ``engine`` runs the networks, a family's ``coding`` goes from
latents to symbols and back, and ``codec`` puts the four together. ``geometry`` knows where cells, latents, tiles and
windows lie; ``quality``, ``importance`` and ``automatic`` decide the quality of each part of a picture; ``info`` tells
what a file says about itself. ``streamed`` encodes, and ``decoded_rows`` decodes, what does not fit into memory.
"""

from .analysed import Analysed
from .codec import Codec, open_codec
from .decoded_rows import DecodedRows
from .decoder import PictureSymbols
from .info import Info, probe, read_importance
from .options import BackendOptions, EncodeOptions
from .quality import Quality, QualityField

__all__ = [
    "Analysed",
    "BackendOptions",
    "Codec",
    "DecodedRows",
    "EncodeOptions",
    "Info",
    "PictureSymbols",
    "Quality",
    "QualityField",
    "open_codec",
    "probe",
    "read_importance",
]
