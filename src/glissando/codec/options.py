"""What a caller may choose, each group as one object that travels unchanged to where it is used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray
from PIL import Image

from glissando.errors import InputError
from glissando.picture import Picture

from .effort import DEFAULT_EFFORT, check_effort
from .quality import from_0_to_100
from .targets import Targets

__all__ = ["BackendOptions", "EncodeOptions", "ImportanceLike"]

ImportanceLike = NDArray[Any] | Image.Image | Picture
"""A greyscale picture of any size: uint8, uint16, bool, or floats in [0, 1]."""


@dataclass(frozen=True)
class BackendOptions:
    """What runs the networks.

    Attributes:
        backend: "openvino", "onnxruntime", or "auto", the first of them that is installed.
        precision: "f32"; "bf16"; "int8": 8-bit integers in the encoder's analysis, float32 elsewhere; or "auto": those
            where the machine is fast at them and their rounding is not seen.
        threads: at most so many; None for as many as the machine has.
    """

    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = None


@dataclass(frozen=True, eq=False)
class EncodeOptions:
    """What an encoder is told besides the quality.

    Attributes:
        importance: where to spend the bits, as a greyscale picture laid over the picture; "auto", found in the picture
            itself; or None, the same quality everywhere.
        strength: quality steps that white adds and black takes away, 0 to 100; None for 24, or for 12 with "auto".
        keep_size: choose the quality so that the file is as large as it would be without importance, within 1 %.
        lossless: every pixel comes back as it was.
        alpha_quality: 100, opacity comes back as it was; or less, down to 0, in ever larger steps.
        exact: colours below fully transparent pixels count as all others do; unless given, they come back black.
        effort: how much time encoding may take, 0 to 10.
        targets: a size or a score that the file is to have.

    Raises:
        InputError: a strength, or a size to keep, without importance; importance, a quality of opacity, or a target,
            where nothing is to be lost; a target beside a size to keep; a quality of opacity, or an effort, that is
            none.
    """

    importance: ImportanceLike | Literal["auto"] | None = None
    strength: float | None = None
    keep_size: bool = False
    lossless: bool = False
    alpha_quality: float = 100.0
    exact: bool = False
    effort: int = DEFAULT_EFFORT
    targets: Targets = field(default_factory=Targets)

    def __post_init__(self) -> None:
        check_effort(self.effort)
        if self.importance is None and (self.strength is not None or self.keep_size):
            raise InputError("strength and keep_size need a map of importance")
        if self.importance is not None and self.lossless:
            raise InputError("importance says where to lose less; lossless loses nothing anywhere")
        if from_0_to_100(self.alpha_quality, "alpha_quality") < 100 and self.lossless:
            raise InputError("alpha_quality says how much opacity may lose; lossless loses nothing anywhere")
        if self.targets.any and (self.lossless or self.keep_size):
            wanted = (*self.targets.chosen, "max_size")[0]
            if self.lossless:
                raise InputError(f"{wanted} says how much to lose; lossless loses nothing, and has one size")
            raise InputError(f"{wanted} and keep_size exclude each other: either says how large the file is to be")

    @property
    def keeps_hidden(self) -> bool:
        """Whether colours below fully transparent pixels are kept."""
        return self.exact or self.lossless
