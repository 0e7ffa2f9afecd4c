"""What the studies use of the codec, in one place, so that a small fake can stand in for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Api", "Card", "Codec", "Info", "Pixels"]

Pixels = NDArray[np.uint8]
"""RGB picture, height x width x 3, 0…255."""


class Card(Protocol):
    """What a model says of itself."""

    @property
    def name(self) -> str: ...
    @property
    def hash(self) -> str: ...


class Info(Protocol):
    """What a file says of itself without being decoded."""

    @property
    def parts(self) -> Mapping[str, int]:
        """Bytes per part of the file."""


class Codec(Protocol):
    """A warm codec: quality is a float from 0 to 100, higher is better."""

    @property
    def card(self) -> Card: ...
    def encode(self, picture: Pixels, quality: float, /) -> bytes: ...
    def decode(self, data: bytes, /) -> Pixels: ...
    def ideal_bits(self, picture: Pixels, quality: float, /) -> float:
        """Cross-entropy, in bits, of the picture's symbols under the model's integer tables."""


class Api(Protocol):
    """The public functions of the package that the studies call."""

    def open_model(
        self, name: str, *, backend: str = ..., precision: str = ..., threads: int | None = ...
    ) -> Codec: ...
    def probe(self, data: bytes, /) -> Info: ...
