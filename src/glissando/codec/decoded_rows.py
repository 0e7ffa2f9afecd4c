"""A file that is decoded some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from glissando.bitstream import Limits, Reader, Source, opened
from glissando.picture import Metadata, PixelFormat, Pixels

from .decoder import Decoder
from .geometry import Region
from .metadata import metadata_of_part

__all__ = ["DecodedRows"]


class DecodedRows(Iterator[Pixels]):
    """The pixels of a file from its top down, an array of some rows after the other.

    Arrays are (rows, width), or (rows, width, channels), as ``Codec.decode`` returns all of them. No more is held than
    what some rows need: let go of one array before asking for the next. It is its own context manager, which closes
    the file that it has opened.

    Attributes:
        width, height: of the picture, or of the region, in pixels.
        format: what a pixel is made of; its opacity is "none" or "straight".
        metadata: the file's.
        notes: a sentence for each metadata that cannot be read.
    """

    def __init__(self, decoder: Decoder, source: Source | Reader, region: Sequence[int] | None, limits: Limits) -> None:
        with ExitStack() as stack:
            reader = stack.enter_context(opened(source, limits=limits))
            header = reader.header
            whole = header.width, header.height
            part = Region(0, 0, *whole) if region is None else Region.of(region, *whole)
            self.width, self.height = part.width, part.height
            alpha = header.format.alpha
            self.format: PixelFormat = replace(header.format, alpha="none" if alpha == "none" else "straight")
            self._bands = decoder.bands(reader, region)
            boxes = {name: reader.box(name) for name in reader.layout.boxes}
            found = metadata_of_part(boxes, None if (part.width, part.height) == whole else (part.width, part.height))
            self.metadata: Metadata = found[0]
            self.notes: tuple[str, ...] = found[1]
            self._stack = stack.pop_all()

    def __next__(self) -> Pixels:
        return next(self._bands)

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
