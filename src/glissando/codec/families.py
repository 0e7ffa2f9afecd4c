"""Which codec a model needs."""

from __future__ import annotations

from glissando.errors import ModelMismatchError
from glissando.zoo import Model

from .codec import Codec
from .content import ContentCodec
from .gains import GainsCodec
from .vae import VaeCodec

__all__ = ["open_codec"]

_FAMILIES: dict[str, type[Codec]] = {"gains": GainsCodec, "vae": VaeCodec, "content": ContentCodec}


def open_codec(model: Model, *, backend: str = "auto", precision: str = "auto", threads: int | None = None) -> Codec:
    """The codec of a model's family; options as in :func:`glissando.open_model`.

    Raises ModelMismatchError where this version does not know the family.
    """
    family = model.card.family
    if family not in _FAMILIES:
        raise ModelMismatchError(
            f"model {model.card.name} is of the family {family!r}; this version knows {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[family](model, backend=backend, precision=precision, threads=threads)
