"""What the codec asks of a family: latents to symbols, symbols to latents, and nothing else.

    encoding   pixels ─ graph "analysis" ─▶ latents ─ passes ─▶ symbols and tables of each tile ─ ANS ─▶ streams
    decoding   streams ─ decode_tile ─▶ symbols ─ decoder_inputs ─▶ graph "decode" ─▶ pixels

The encoder and the decoder run the graphs over windows, cut the grid into tiles, code quality fields, check sums and
write files, which is alike for all families. What lies between is a family's: its module ``coding`` has a constant
``CODING`` that is called with a model and an engine and returns an object of this kind, which all pictures share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import SymbolTables
from glissando.bitstream.tiles import Passes

from .geometry import Area, Grid, Window
from .quality import LocalQuality

__all__ = ["Coding", "DecoderInputs"]

L = TypeVar("L")
S = TypeVar("S")

DecoderInputs = Callable[[Window], Mapping[str, NDArray[Any]]]
"""From a window to the inputs of the decoder's graph by name; windows count from where the symbols' arrays begin."""


class Coding(Protocol[L, S]):
    """A family at work with one model. ``L`` is its dataclass of latents, ``S`` that of the symbols of a picture.

    The arrays of both are channels-last over the cells or latents of an area, padding included.
    """

    @property
    def tables(self) -> SymbolTables:
        """The model's tables, which all its symbols are coded with."""
        ...

    @property
    def latents_per_cell(self) -> int:
        """Latents of a cell of 64 pixels, each way."""
        ...

    @property
    def analysis_per_cell(self) -> tuple[int, ...]:
        """For each output of the graph "analysis", how many positions it has for a cell, each way."""
        ...

    @property
    def streams(self) -> tuple[int, ...]:
        """The numbers of the streams that each tile of a file has, ascending, without that of a quality field."""
        ...

    def latents(self, outputs: Sequence[NDArray[np.float32]]) -> L:
        """The latents of a picture from the outputs of the analysis, (rows, columns, channels) each."""
        ...

    def passes(self, latents: Callable[[Area], L], grid: Grid, quality: LocalQuality) -> Iterator[Passes]:
        """The symbols that each tile of the grid codes, with the tables that code them: tile after tile, in order.

        ``latents``: gives the latents over an area of the grid's whole width, whose arrays begin where the area does.
        Areas are asked for from the top down; rows above one are not asked for again, and its arrays may be overwritten
        when the next one is. Symbols take several times the memory of a picture, so that a family makes them, and asks
        for latents, as its tiles are asked for.
        """
        ...

    def latent_bits(self, area: Area, costs: Mapping[int, Sequence[NDArray[np.float64]]]) -> NDArray[np.float64]:
        """What each coded latent of a tile costs in bits, (rows, columns).

        ``costs``: for each stream the bits of all symbols, pass by pass as ``passes`` gives them.
        """
        ...

    def empty_symbols(self, area: Area) -> S:
        """Arrays for all symbols of an area, zeros."""
        ...

    def decode_tile(
        self, streams: Mapping[int, bytes], area: Area, quality: LocalQuality, symbols: S
    ) -> Sequence[NDArray[Any]]:
        """Write a tile's symbols into their places in ``symbols``; return them in the order they are coded in.

        Raises CorruptError where a stream holds something else.
        """
        ...

    def decoder_inputs(self, symbols: S, quality: LocalQuality) -> DecoderInputs:
        """What the decoder's graph takes, window by window."""
        ...
