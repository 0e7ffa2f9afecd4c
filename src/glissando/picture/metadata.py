"""What travels with a picture's pixels. Nothing here loads Pillow."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar

from glissando.errors import InputError

from .colour_tags import Chromaticities, Cicp

__all__ = ["KINDS", "MAX_METADATA", "Density", "FileMetadata", "Metadata", "kept_of", "within_limit"]

M = TypeVar("M", bound="Metadata")


@dataclass(frozen=True, slots=True)
class Density:
    """How densely pixels are printed, or only how wide they are against their height.

    Attributes:
        x, y: pixels per metre each way; or, where ``metric`` is false, two numbers of which only the ratio counts.
        metric: whether they are per metre.
    """

    x: int
    y: int
    metric: bool = True

    @classmethod
    def of_dpi(cls, x: float, y: float) -> Density | None:
        """The density of pixels per inch; None for numbers that are none."""
        per_metre = [round(value / 0.0254) if 0 < value < 2**24 else 0 for value in (x, y)]
        return cls(per_metre[0], per_metre[1]) if all(per_metre) else None

    @property
    def dpi(self) -> tuple[float, float]:
        """Pixels per inch, rounded to whole ones where they are as good as whole."""

        def rounded(per_metre: int) -> float:
            exact = per_metre * 0.0254
            return float(round(exact)) if round(round(exact) / 0.0254) == per_metre else exact

        return rounded(self.x), rounded(self.y)


MAX_METADATA = 2**24
"""Bytes of metadata, unpacked, that are read of a file; what exceeds them is left out with a note."""


@dataclass(slots=True)
class FileMetadata:
    """What a file tells beside its pixels, in as many ways as it has; ``Metadata`` is what becomes of it.

    Attributes:
        icc, exif, xmp, iptc, cicp, density, text: as in ``Metadata``.
        srgb: whether it says that colours are sRGB.
        gamma, chromaticities: what colours are, as in :func:`~glissando.picture.colour_tags.cicp_of`.
        notes: a sentence for each thing that cannot be read.
        room: bytes that metadata may still take when they are unpacked.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    cicp: Cicp | None = None
    srgb: bool = False
    gamma: float | None = None
    chromaticities: Chromaticities | None = None
    density: Density | None = None
    text: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    room: int = MAX_METADATA


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What travels with a picture's pixels.

    Attributes:
        icc: the ICC colour profile, as in the file; or None.
        exif: the EXIF block, beginning with its TIFF header (``II`` or ``MM``), orientation 1; or None.
        xmp: the XMP packet, or None.
        iptc: the IPTC-IIM records, or None.
        cicp: the colours as code points; or None. Without it and without ``icc`` colours are sRGB.
        density: how densely pixels are printed, or None.
        text: pairs of a keyword and a text, as in PNG; the comment of a JPEG has the keyword ``Comment``.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    cicp: Cicp | None = None
    density: Density | None = None
    text: tuple[tuple[str, str], ...] = ()

    def as_arguments(self) -> dict[str, Any]:
        """The metadata by the names of the arguments that they are given as."""
        return {each.name: getattr(self, each.name) for each in fields(Metadata)}

    def keeping(self, kinds: Collection[str]) -> Self:
        """The same with the metadata of these kinds (see ``KINDS``) alone. Raises InputError for an unknown kind."""
        if unknown := sorted(set(kinds) - set(KINDS)):
            raise InputError(f"no kind of metadata {unknown[0]!r}; known: {', '.join(KINDS)}")
        dropped: dict[str, Any] = {
            name: () if name == "text" else None for kind in KINDS if kind not in kinds for name in KINDS[kind]
        }
        return replace(self, **dropped)


KINDS = {
    "icc": ("icc", "cicp"),
    "exif": ("exif",),
    "xmp": ("xmp",),
    "iptc": ("iptc",),
    "dpi": ("density",),
    "text": ("text",),
}
"""The kinds of metadata that a user may keep, and the attributes of each; ``icc`` is all that tells colours."""


def kept_of(metadata: M, kinds: Collection[str] | None) -> tuple[M, list[str]]:
    """The same with these kinds of metadata alone, or with all for None; a note where its colours then mean
    something else.
    """
    if kinds is None:
        return metadata, []
    notes = []
    if "icc" not in kinds and (metadata.icc is not None or metadata.cicp is not None):
        notes.append("what its colours mean is left out, so they will be taken for sRGB (--keep icc keeps it)")
    return metadata.keeping(kinds), notes


def within_limit(metadata: Metadata, limit: int) -> tuple[Metadata, list[str]]:
    """The metadata without its largest parts where all of it has more than ``limit`` bytes, and a note for each."""
    notes = []
    sizes = {
        name: len(value) if isinstance(value, bytes) else sum(len(k.encode()) + len(v.encode()) for k, v in value)
        for name in ("icc", "exif", "xmp", "iptc", "text")
        if (value := getattr(metadata, name))
    }
    while sum(sizes.values()) > limit:
        largest = max(sizes, key=lambda name: sizes[name])
        notes.append(f"{largest.upper()} of {sizes.pop(largest):,} bytes is more than a file carries; left out")
        without: dict[str, Any] = {largest: () if largest == "text" else None}
        metadata = replace(metadata, **without)
    return metadata, notes
