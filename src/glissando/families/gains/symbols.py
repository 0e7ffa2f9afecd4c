"""The symbols of one tile to its streams and back, through integers alone (docs/format.md, "Tiles").

Symbols lie in arrays channels-last: hyper-latents (rows, columns, hyper), latents (4·rows, 4·columns,
latents), padding included. The first pass codes the first half of the channels on the even squares of a
checkerboard and the second half on the odd ones; the second pass codes the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import HYPER_LATENTS, LATENTS, SymbolTables, ans
from glissando.bitstream.tiles import Passes
from glissando.codec.geometry import Area
from glissando.entropy import EARLY, LATE, dequantise, level_row, table_index
from glissando.entropy.checkerboard import even_squares, joined, split
from glissando.errors import ModelMismatchError

from .scales import ScaleNetwork

__all__ = ["Rates", "SymbolModel", "TileCoder", "octaves", "row_of_each_latent"]

Symbols = NDArray[np.int16]
Scales = NDArray[np.int32]
Index = NDArray[np.int16]
Number = TypeVar("Number", bound=np.generic)


class SymbolModel:
    """A model's integers: level tables, scale network, probability tables. Shared by all pictures."""

    def __init__(self, integers: Mapping[str, NDArray[Any]]) -> None:
        try:
            self.levels = {
                name: integers[name] for name in ("gain", "inverse_gain", "scale_offset", "hyper_gain", "hyper_scale")
            }
            self.tables = SymbolTables(integers["frequencies"], integers["radii"])
            self.first_table = [int(first) for first in integers["first_table"]]
        except KeyError as missing:
            raise ModelMismatchError(f"the model's integers.npz has no array {missing}") from None
        self.network = ScaleNetwork(
            {name.removeprefix("scales."): array for name, array in integers.items() if name.startswith("scales.")}
        )
        self.latents = self.levels["gain"].shape[1]
        self.hyper = self.levels["hyper_gain"].shape[1]

    def index(self, scales: Scales, family: int) -> Index:
        """Tables for scales in 1/256 octave; −1 where a symbol is certain enough to be zero."""
        return table_index(scales, self.first_table[family], family)

    def at(self, quality: int, local: Sequence[int] | None = None) -> Rates:
        """All level tables at a file's quality, and at the qualities that occur in it; all in 1/256 units."""
        local = (quality,) if local is None else local
        each = {
            name: np.stack([level_row(self.levels[name], units) for units in local])
            for name in ("gain", "inverse_gain", "scale_offset")
        }
        return Rates(**each, **{name: level_row(self.levels[name], quality) for name in ("hyper_gain", "hyper_scale")})


@dataclass(frozen=True)
class Rates:
    """Rows of the level tables, log-gains in 1/256 octave.

    Those of the latents, (P, latents), are at the P qualities that occur in a file; those of the hyper-latents,
    (hyper,), at the file's own quality.
    """

    gain: Scales
    inverse_gain: Scales
    scale_offset: Scales
    hyper_gain: Scales
    hyper_scale: Scales


def row_of_each_latent(rows: NDArray[Number], row_of: NDArray[np.int16] | None) -> NDArray[Number]:
    """The row of each latent, (rows, columns, channels), out of ``rows`` (P, channels).

    ``row_of``: which of them each latent has; without it the first, (channels,), which all latents have.
    """
    return rows[0] if row_of is None else rows[row_of]


def octaves(row: Scales) -> NDArray[np.float32]:
    """2^(row/256), for gains that scale latents in float; nothing that chooses a table may depend on it."""
    return np.exp2(row.astype(np.float64) / 256).astype(np.float32)


class TileCoder:
    """Codes the symbols of one tile.

    ``row_of``: which row of the rates each latent has, (rows, columns) with padding; None where all have the first.
    """

    def __init__(self, model: SymbolModel, rates: Rates, area: Area, row_of: NDArray[np.int16] | None = None) -> None:
        self.model, self.rates, self.area, self.row_of = model, rates, area, row_of
        self._even = even_squares(*area.latents_shape)[..., None]
        self._half = model.latents // 2

    # Which table codes which symbol ------------------------------------------------------------------

    def hyper_index(self) -> Index:
        """Tables of the hyper-latents, (rows, columns, hyper)."""
        row = self.model.index(self.rates.hyper_scale, EARLY)
        return np.broadcast_to(row, (*self.area.shape, self.model.hyper))

    def first_scales(self, z: Symbols) -> Scales:
        """Scales of all latents as far as the hyper-latents' symbols tell, (4·rows, 4·columns, latents)."""
        scales = self.model.network.first(dequantise(z, self.rates.hyper_gain))
        scales += row_of_each_latent(self.rates.scale_offset, self.row_of)
        return scales

    def second_scales(self, first: Symbols, scales: Scales) -> Scales:
        """Scales of all latents once the first pass's symbols ``first``, (…, latents/2), are known."""
        magnitudes = np.abs(self.joined(first, np.zeros_like(first)))
        correction = self.model.network.second(magnitudes, scales)
        correction += scales
        return correction

    def first_index(self, scales: Scales) -> Index:
        """Tables of the first pass, (4·rows, 4·columns, latents/2)."""
        return self.model.index(self.split(scales)[0], EARLY)

    def second_index(self, first: Symbols, scales: Scales) -> Index:
        """Tables of the second pass, of the same shape, once the first pass's symbols are known."""
        return self.model.index(self.split(self.second_scales(first, scales))[1], LATE)

    # The two passes ----------------------------------------------------------------------------------

    def split(self, array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(rows, columns, latents) → what the first and what the second pass code, (…, latents/2) each."""
        return split(array, self._even)

    def joined(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
        """The inverse of ``split``."""
        return joined(first, second, self._even)

    def _inside(self, array: NDArray[Any]) -> NDArray[Any]:
        """Elements inside the picture, in coding order: row by row, column by column, channel by channel."""
        return array[: self.area.rows, : self.area.columns].reshape(-1)

    def _whole(self, flat: Symbols) -> Symbols:
        """The inverse of ``_inside``: zeros outside the picture."""
        whole = np.zeros((*self.area.latents_shape, self._half), np.int16)
        whole[: self.area.rows, : self.area.columns] = flat.reshape(self.area.rows, self.area.columns, -1)
        return whole

    # Symbols to bytes and back -----------------------------------------------------------------------

    def passes(self, z: Symbols, first: Symbols, second: Symbols, first_index: Index, second_index: Index) -> Passes:
        """What the streams code: for each stream its passes, each symbols and tables in coding order."""
        return {
            HYPER_LATENTS: [(z.reshape(-1), self.hyper_index().reshape(-1))],
            LATENTS: [
                (self._inside(first), self._inside(first_index)),
                (self._inside(second), self._inside(second_index)),
            ],
        }

    def final_passes(self, z: Symbols, y: Symbols, scales: Scales) -> Passes:
        """Zero, in ``y`` itself, what the second pass will not code; return the passes.

        ``y`` (4·rows, 4·columns, latents) must be zero already where the first pass does not code.
        """
        first, second = self.split(y)
        second_index = self.second_index(first, scales)
        second[second_index < 0] = 0
        y[...] = self.joined(first, second)
        return self.passes(z, first, second, self.first_index(scales), second_index)

    def decode(self, streams: Mapping[int, bytes]) -> tuple[Symbols, Symbols, list[Symbols]]:
        """Symbols z and y of a tile, in their places, and all of them in the order in which they are coded.

        Raises CorruptError where a stream holds something else.
        """
        decoder = ans.Decoder(streams[HYPER_LATENTS], self.model.tables)
        z = decoder.decode(self.hyper_index().reshape(-1))
        decoder.finish()
        z_grid = z.reshape(*self.area.shape, -1)

        scales = self.first_scales(z_grid)
        decoder = ans.Decoder(streams[LATENTS], self.model.tables)
        first = decoder.decode(self._inside(self.first_index(scales)))
        first_grid = self._whole(first)
        second = decoder.decode(self._inside(self.second_index(first_grid, scales)))
        decoder.finish()
        return z_grid, self.joined(first_grid, self._whole(second)), [z, first, second]
