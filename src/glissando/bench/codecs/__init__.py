"""The codecs of a comparison. Importing this package makes all of them known; none is opened by it."""

from . import models, pillow, vips, jxl_jp2, heic, external  # isort: skip  # the order of registration: ours first
from .base import DEFAULTS, Codec, Pixels, open_codec, register, registered

__all__ = [
    "DEFAULTS",
    "Codec",
    "Pixels",
    "external",
    "heic",
    "jxl_jp2",
    "models",
    "open_codec",
    "pillow",
    "register",
    "registered",
    "vips",
]
