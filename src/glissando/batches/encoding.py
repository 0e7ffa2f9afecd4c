"""The conversion of pictures to .gliss files."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from glissando.codec import Codec

from .worker import Made

__all__ = ["Encoding"]


@dataclass(frozen=True)
class Encoding:
    """How pictures become .gliss files.

    Attributes:
        codec: an open codec, pickled: the model's name and hash, and the options that it was opened with.
        key: a hash of all that the files depend on.
        quality: 0 to 100; None where the arguments choose it.
        arguments: further ones of ``Codec.encode``; JSON can say them.
        kinds: of metadata to keep; None for all.
        reading: arguments of ``read_picture``.
    """

    codec: bytes
    key: bytes
    quality: float | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        codec: Codec,
        quality: float | None = None,
        *,
        kinds: tuple[str, ...] | None = None,
        reading: Mapping[str, Any] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Encoding:
        """From a codec as workers are to open it, and what the attributes of these names are."""
        arguments, reading = dict(arguments or {}), dict(reading or {})
        encoders = {name: encoder.hash for name, encoder in codec.card.encoders.items()}
        engine = codec.engine.options.backend, codec.engine.options.precision
        chosen = [codec.card.hash, encoders, codec.engine.model.only, engine, quality, arguments, kinds, reading]
        key = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).digest()[:16]
        return cls(pickle.dumps(codec), key, quality, arguments, kinds, reading)

    def open(self) -> Callable[[bytes, str], Made]:
        """See ``Conversion``. Raises ModelError where the model is not installed here, or is another."""
        from glissando.picture import kept_of, read_picture

        codec: Codec = pickle.loads(self.codec)

        def convert(data: bytes, name: str) -> Made:
            picture = read_picture(io.BytesIO(data), name=name, **self.reading)
            picture, stripped = kept_of(picture, self.kinds)
            notes = [*picture.notes, *stripped]
            file = codec.encode(picture, self.quality, notes=notes, **self.arguments)
            return Made(file, picture.width * picture.height, tuple(notes))

        return convert
