"""Glissando: a neural image codec. One model slides through every bitrate; files decode the same everywhere.

    import glissando

    data = glissando.encode(array, quality=60)      # uint8 (H, W, 3) → bytes of a .gliss file
    array = glissando.decode(data)

Names are loaded when they are first used: importing the package loads neither torch nor an inference engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import check, decode, encode, install_model, list_models, open_for, open_model, register
    from .bitstream import PixelFormat, Reader
    from .codec import Codec, Info, probe, read_importance
    from .errors import GlissandoError
    from .picture import ArrayRows, Picture, PictureRows, read_picture, write_picture
    from .zoo import Card

_HOMES = {
    "ArrayRows": "picture",
    "Card": "zoo",
    "Codec": "codec",
    "GlissandoError": "errors",
    "Info": "codec",
    "Picture": "picture",
    "PictureRows": "picture",
    "PixelFormat": "bitstream",
    "Reader": "bitstream",
    "check": "api",
    "decode": "api",
    "encode": "api",
    "install_model": "api",
    "list_models": "api",
    "open_for": "api",
    "open_model": "api",
    "probe": "codec",
    "read_importance": "codec",
    "read_picture": "picture",
    "register": "api",
    "write_picture": "picture",
}

__all__ = [
    "ArrayRows",
    "Card",
    "Codec",
    "GlissandoError",
    "Info",
    "Picture",
    "PictureRows",
    "PixelFormat",
    "Reader",
    "__version__",
    "check",
    "decode",
    "encode",
    "install_model",
    "list_models",
    "open_for",
    "open_model",
    "probe",
    "read_importance",
    "read_picture",
    "register",
    "write_picture",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
