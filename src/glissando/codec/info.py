"""What a file says about itself, read from its header alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from glissando.bitstream import HYPER_LATENTS, LATENTS, Limits, container
from glissando.zoo import models

__all__ = ["Info", "probe"]

ANY_SIZE = Limits(max_pixels=2**48)  # reading a header costs little, whatever it declares
STREAMS = {HYPER_LATENTS: "hyper-latents", LATENTS: "latents"}


@dataclass(frozen=True)
class Info:
    """A file's header, and how many bytes each part of the file takes (their sum is ``file_bytes``)."""

    width: int
    height: int
    grey: bool
    quality: float
    model: str | None  # the installed model's name; None if none has the file's hash
    model_hash: str
    tile: int  # pixels
    tiles: int
    file_bytes: int
    format_version: int
    parts: dict[str, int] = field(default_factory=dict)  # header, hyper-latents, latents, metadata
    boxes: dict[str, int] = field(default_factory=dict)  # metadata by box

    @property
    def bpp(self) -> float:
        """Bits of the whole file per pixel."""
        return 8 * self.file_bytes / (self.width * self.height)


def probe(data: bytes, *, limits: Limits = ANY_SIZE) -> Info:
    """Read a .gliss file's header; no network is loaded and no symbol decoded.

    Raises FormatError where the header is damaged or the file ends too early.
    """
    layout = container.read_header(data, limits=limits)
    header = layout.header
    parts = {"header": layout.header_bytes, "hyper-latents": 0, "latents": 0}
    for stream, size in layout.stream_bytes.items():
        parts[STREAMS.get(stream, f"stream {stream}")] = size
    parts["metadata"] = sum(layout.box_bytes.values())
    return Info(
        width=header.width,
        height=header.height,
        grey=header.grey,
        quality=header.quality / 256,
        model=next((card.name for card in models() if card.hash == header.model_hash.hex()), None),
        model_hash=header.model_hash.hex(),
        tile=1 << header.tile_log2,
        tiles=header.tile_count,
        file_bytes=layout.file_bytes,
        format_version=header.version,
        parts=parts,
        boxes={name.strip(): size for name, size in layout.box_bytes.items()},
    )
