"""A content-weighted model without a network: a picture's blocks in bit-planes, kept where it is busy.

Random integers for its context model; its two graphs are plain numpy, so that decoded pictures are close to the
originals, and closer with more bits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import zoo
from glissando.bitstream.maps import CONTEXTS
from glissando.codec import BackendOptions, Codec
from glissando.codec.engine import Engine
from glissando.families.content.bits import ODDS_TABLES
from glissando.zoo.arrays import write_arrays
from glissando.zoo.identity import identity
from glissando.zoo.model import DECODER, ENCODER, INTEGERS, checksums, graph_file

LEVELS, GROUP, HIDDEN, REACH, QUALITIES = 8, 4, 3, 2, 3
BITS = LEVELS * GROUP
ONE = 1 << 24


def bit_tables() -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Tables 0 … 96: P(+1) = 1 / (1 + 2^(−(t − 48)/4)); zero and the escape have 1."""
    odds = np.exp2((np.arange(ODDS_TABLES) - 48) / 4)
    plus = np.rint((ONE - 2) * odds / (1 + odds)).astype(np.int64)
    ones = np.ones_like(plus)
    frequencies = np.stack([ONE - 2 - plus, ones, plus, ones], axis=1)
    return frequencies.reshape(-1).astype(np.uint32), np.ones(ODDS_TABLES, np.int32)


def map_tables() -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """One table a quality: two-sided geometric, of radius 2."""
    rows = []
    for quality in range(QUALITIES):
        rest = [ONE // 8, ONE // 16 << quality >> 1, ONE // 64]
        weights = [rest[1], rest[0], 0, rest[0], rest[1], rest[2]]
        weights[2] = ONE - sum(weights)
        rows.append(weights)
    return np.array(rows, np.uint32).reshape(-1), np.full(QUALITIES, 2, np.int32)


def content_integers(per_cell: int = 4, seed: int = 0, size: int = 40) -> dict[str, NDArray[Any]]:
    """What integers.npz holds."""
    random = np.random.default_rng(seed)
    units = LEVELS * HIDDEN
    shapes = {
        "past.weight": (units, BITS),
        "near.weight": (units, REACH * GROUP, 3, 3),
        "map.weight": (units, 1, 3, 3),
        "current.weight": (units, GROUP, 5, 5),
        "bias": (units,),
        "out_first.weight": (BITS, HIDDEN),
        "out_first.bias": (BITS,),
        "out_second.weight": (BITS, HIDDEN),
        "out_second.bias": (BITS,),
    }
    arrays = {f"bits.{name}": random.integers(-size, size + 1, shape).astype(np.int8) for name, shape in shapes.items()}
    late = np.arange(BITS)[None] // GROUP >= np.arange(units)[:, None] // HIDDEN
    arrays["bits.past.weight"][late] = 0
    parts = zip(bit_tables(), map_tables(), strict=True)
    frequencies, radii = (np.concatenate(part) for part in parts)
    map_index = np.arange(QUALITIES, dtype=np.int16)[:, None] + np.full(CONTEXTS, ODDS_TABLES, np.int16)
    return {
        **arrays,
        "frequencies": frequencies,
        "radii": radii,
        "map_index": map_index,
        "per_cell": np.array(per_cell, np.int32),
    }


def write_model(folder: Path, integers: dict[str, NDArray[Any]]) -> zoo.Model:
    """A model's folder, whose graphs are files that nothing opens."""
    encoder = folder / "encoders" / "default"
    encoder.mkdir(parents=True)
    vectors = {"log2_map_scale": np.linspace(-6, 3, 5, dtype=np.float32)}
    shape = {"shape": "fast", "synthesis_blocks": 1, "synthesis_latent_blocks": 1}
    own = {"analysis_blocks": 1, "analysis_latent_blocks": 1}
    write_arrays(folder / INTEGERS, integers)
    write_arrays(folder / DECODER, {})
    write_arrays(encoder / ENCODER, vectors)
    for place, name in ((encoder, "analysis"), (folder, "decode"), (folder, "decode-8bit")):
        (place / graph_file(name)).write_bytes(name.encode())
    cards = {
        encoder: {
            "name": "default",
            "hash": identity("content", own, {}, vectors, pixels=""),
            "configuration": own,
            "files": checksums(encoder),
        },
        folder: {
            "name": "tiny-content",
            "family": "content",
            "hash": identity("content", shape, integers, {}),
            "configuration": shape,
            "encoder": "default",
            "files": checksums(folder),
        },
    }
    for place, card in cards.items():
        (place / "card.json").write_text(json.dumps(card))
    return zoo.find(folder)


class PlaneEngine(Engine):
    """Runs graphs of numpy: bit-planes of the means of each position's four quarters."""

    def _open(self, name: str, precision: str, real_pixels: bool, encoder: str | None) -> Any:
        if name == "analysis":
            self.model.check_encoder(encoder)
        return {"analysis": self._analysis, "decode-8bit": self._decode}[name]

    @property
    def _side(self) -> int:
        """Pixels of a quarter of a latent, each way."""
        return 64 // int(self.model.integers["per_cell"]) // 2

    def _analysis(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        _, height, width, _ = pixels.shape
        side = self._side
        quarters = pixels.astype(np.float64).reshape(height // side, side, width // side, side, 3).mean(axis=(1, 3, 4))
        rows, columns = height // side // 2, width // side // 2
        values = quarters.reshape(rows, 2, columns, 2).transpose(0, 2, 1, 3).reshape(rows, columns, 1, GROUP)
        planes = (np.floor(values).astype(np.int64) >> np.arange(7, -1, -1)[:, None]) & 1
        code = (2 * planes - 1).reshape(1, rows, columns, BITS).astype(np.float32)
        busy = np.minimum(values.std(axis=-1) / 16 + 0.2, 0.99)
        return code, busy.astype(np.float32)[None]

    def _decode(self, code: NDArray[np.float32]) -> tuple[NDArray[np.uint8]]:
        _, rows, columns, _ = code.shape
        steps = np.exp2(np.arange(6, -2, -1.0))
        values = 127.5 + (code.reshape(rows, columns, LEVELS, GROUP) * steps[:, None]).sum(axis=2)
        quarters = values.reshape(rows, columns, 2, 2).transpose(0, 2, 1, 3).reshape(2 * rows, 2 * columns)
        side = self._side
        grey = np.clip(np.rint(quarters), 0, 255).astype(np.uint8).repeat(side, axis=0).repeat(side, axis=1)
        return (np.repeat(grey[None, :, :, None], 3, axis=-1),)


def plane_codec(model: zoo.Model, threads: int | None = None, engine: type[PlaneEngine] = PlaneEngine) -> Codec:
    """The family's codec with these graphs."""
    return Codec(engine(model, BackendOptions(threads=threads)))
