"""Models for a browser: what the decoder in ``web/`` needs of a model, in a folder that is named by the model's hash.

    HASH/card.json       name, hash, family, licence, the decoder's halo, and a checksum of every file beside it
    HASH/integers.npz    as the model has it
    HASH/decoder.npz     as the model has it
    HASH/decode.onnx     the decoder's graph without weights

A web server may serve such folders as they are. Their files never change, since another model has another hash. Of a
model of a family that ``web/`` does not decode there is the card alone, so that a page can tell which it is.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from glissando.families.reach import CELL
from glissando.families.registry import family
from glissando.files import atomic_write

from .model import DECODER, INTEGERS, Model, checksum, graph_file

__all__ = ["FAMILIES", "write_for_web"]

FAMILIES = ("gains",)
"""Those that ``web/`` decodes."""


def write_for_web(model: Model, folder: Path) -> Path:
    """Write what a browser needs of a model into a folder of its own inside ``folder``; returns the new folder.

    Raises ModelMismatchError where the model's files are not what its card describes, OSError where a file cannot be
    written.
    """
    card = model.card
    announced = family(card.family)
    contents: dict[str, bytes] = {}
    if card.family in FAMILIES:
        _ = model.weights  # compares the hash of everything below with the card's
        graph = gzip.decompress(model.content(graph_file(announced.decoder_graph)))
        contents = {
            INTEGERS: model.content(INTEGERS),
            DECODER: model.content(DECODER),
            f"{announced.decoder_graph}.onnx": graph,
        }
    about = {
        "name": card.name,
        "hash": card.hash,
        "family": card.family,
        "summary": card.summary,
        "licence": card.licence,
        "halo": announced.decoder_halo(card.configuration) // CELL,
        "files": {name: checksum(content) for name, content in contents.items()},
    }
    target = folder / card.hash
    target.mkdir(parents=True, exist_ok=True)
    # The card comes last: as long as it is not there, a page does not find the model.
    for name, content in {**contents, "card.json": (json.dumps(about, indent=1) + "\n").encode()}.items():
        atomic_write(target / name, content)
    return target
