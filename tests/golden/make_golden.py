"""Writes the golden files beside this script. Run by hand, and read the difference before committing it:

    python tests/golden/make_golden.py            # after new weights for a shipped model
    python tests/golden/make_golden.py --format   # also those of the format: only with a new format version

What the tests pin: bytes and symbols of a synthetic model, which change only with the format; and symbols and
pixels of files of each shipped model, which change with its weights.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from synthetic_model import PICTURES, Lcg, header_of, synthetic_container, synthetic_integers, synthetic_symbols

import glissando
from glissando import diagnosis
from glissando.bitstream import Reader, container
from glissando.diagnosis import scene, symbols_crc
from glissando.families.gains.symbols import SymbolModel

HERE = Path(__file__).parent
QUALITIES = (30, 80)


def drawing() -> NDArray[np.uint8]:
    """80 rows of 96 pixels in three colours: a checkerboard of squares of 3 pixels, with a bar across it."""
    y, x = np.mgrid[:80, :96]
    picture = np.where(((x // 3 + y // 3) % 2)[..., None], [250, 250, 240], [20, 30, 90])
    picture[30:40] = (200, 40, 40)
    return picture.astype(np.uint8)


def write_format() -> None:
    model = SymbolModel(synthetic_integers())
    records = []
    for picture in PICTURES:
        header = header_of(picture)
        file = synthetic_container(model, header)
        z, y, _ = synthetic_symbols(model, header)
        records.append(
            {
                "picture": picture,
                "file": container.write(file).hex(),
                "tile_checksums": [f"{tile.checksum:08x}" for tile in file.tiles],
                "z": symbols_crc(z),
                "y": symbols_crc(y),
            }
        )
    (HERE / "format.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def write_models() -> None:
    """Two files of each shipped model, their pixels, and a record of their symbols."""
    for card in glissando.list_models():
        codec = glissando.open_model(card.name, backend="openvino", precision="f32", threads=1)
        record: dict[str, object] = {"model": card.name, "hash": card.hash}
        for quality in QUALITIES:
            data = codec.encode(scene(), quality)
            file = Reader(data)
            (HERE / f"{card.name}-{quality}.gliss").write_bytes(data)
            Image.fromarray(codec.decode(data)).save(HERE / f"{card.name}-{quality}.png", optimize=True)
            symbols = codec.decode_symbols(data)
            record[str(quality)] = {
                "tile_checksums": [f"{tile.checksum:08x}" for tile in file.tiles],
                "symbols": {name: symbols_crc(array) for name, array in vars(symbols.latents).items()},
            }
        (HERE / f"{card.name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def write_planes() -> None:
    """A file without a model, one of exact tiles, and one with corrections; and their pixels."""
    with glissando.open_model("medium", backend="openvino", precision="f32", threads=1) as codec:
        files = {
            "lossless": codec.encode(scene(), lossless=True),
            "exact": codec.encode(drawing(), 60),
            "corrected": codec.encode(scene(), 100),
        }
        for name, data in files.items():
            (HERE / f"{name}.gliss").write_bytes(data)
            Image.fromarray(codec.decode(data)).save(HERE / f"{name}.png", optimize=True)


def opacity() -> NDArray[np.uint8]:
    """80 rows of 96 opacities: a disc with a soft edge, transparent outside."""
    y, x = np.mgrid[:80, :96]
    return np.clip((1500 - (x - 50) ** 2 - (y - 38) ** 2) // 3, 0, 255).astype(np.uint8)


def deep_scene() -> NDArray[np.uint16]:
    """The scene in 16 bits, of which none of the lower 8 are alike everywhere."""
    y, x = np.mgrid[:80, :96]
    return (scene().astype(np.uint16) << 8) + ((x * 37 + y * 101) % 256).astype(np.uint16)[..., None]


def deep_grey() -> glissando.Picture:
    """The green of the deep scene in 12 bits, with opacity."""
    return glissando.Picture(np.dstack([deep_scene()[..., 1] >> 4, opacity() * np.uint16(16)]), depth=12)


def noise() -> NDArray[np.uint8]:
    """40 rows of 30 pixels, grey with opacity, that nothing predicts: the upper bits of a generator of numbers."""
    random = Lcg(7)
    return random.between(0, 255, (40, 30, 2), np.uint8)


def write_samples() -> None:
    """Files of other pixels than 8-bit ones without opacity, and their pixels."""
    with glissando.open_model("medium", backend="openvino", precision="f32", threads=1) as codec:
        cut_out = np.dstack([scene(), opacity()])
        files = {
            "transparent": codec.encode(cut_out, 60),
            "transparent-steps": codec.encode(cut_out, 60, alpha_quality=60, exact=True),
            "deep": codec.encode(deep_scene(), 80),
            "deep-lossless": codec.encode(np.dstack([deep_scene(), opacity() * np.uint16(257)]), lossless=True),
            "deep-corrected": codec.encode(deep_grey(), 100),
            "noise": codec.encode(noise(), lossless=True),
        }
        for name, data in files.items():
            (HERE / f"{name}.gliss").write_bytes(data)
            glissando.write_picture(codec.decode_picture(data), HERE / f"{name}.png")


def tall_scene() -> NDArray[np.uint8]:
    """400 rows of 96 pixels: the scene again and again, which fades away."""
    fading = np.linspace(1, 0.2, 400)[:, None, None]
    return (np.tile(scene(), (5, 1, 1)) * fading).astype(np.uint8)


def write_field() -> None:
    """A file in tiles of 64 pixels whose quality differs from place to place, and its pixels."""
    importance = np.zeros((400, 96), np.uint8)
    importance[150:250, 20:70], importance[300:] = 255, 100
    with glissando.open_model("medium", backend="openvino", precision="f32", threads=1) as codec:
        analysed = codec.analyse(tall_scene())
        tiled = replace(analysed, grid=replace(analysed.grid, tile_log2=6))
        field = codec.quality_field(tall_scene(), importance)
        data = codec.encode_analysed(tiled, 40, quality_field=field)
        (HERE / "importance.gliss").write_bytes(data)
        Image.fromarray(codec.decode(data)).save(HERE / "importance.png", optimize=True)


def write_diagnosis() -> None:
    """What the self-test of `glissando doctor` compares with."""
    with glissando.open_model(backend="openvino", precision="f32", threads=1) as codec:
        diagnosis.GOLDEN.write_text(json.dumps(diagnosis.record(codec), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if "--format" in sys.argv[1:]:
        write_format()
    write_models()
    write_diagnosis()
    write_planes()
    write_samples()
    write_field()
