"""Small models that the tests of the zoo write and change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from glissando import zoo
from glissando.zoo.arrays import read_arrays, values_of, write_arrays
from glissando.zoo.identity import identity
from glissando.zoo.model import DECODER, ENCODER, INTEGERS, checksums


def copy_model(name: str, folder: Path) -> Path:
    """A shipped model in a folder of its own."""
    return Path(shutil.copytree(zoo.find(name).folder, folder))


def read_card(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return found


def change_card(folder: Path, **values: Any) -> None:
    """Set keys of a card, or drop those whose value is ``...``."""
    card = {**read_card(folder), **values}
    text = json.dumps({k: v for k, v in card.items() if v is not ...})
    (folder / "card.json").write_text(text, encoding="utf-8")


def decoder_hash(folder: Path) -> str:
    """The hash of what a model's folder holds, whatever its card says."""
    card = read_card(folder)
    integers, weights = (
        {key: values_of(array) for key, array in read_arrays(folder / file).items()} for file in (INTEGERS, DECODER)
    )
    return identity(card["family"], card["configuration"], integers, weights)


def seal(folder: Path, **values: Any) -> str:
    """Make the cards agree with the files beside them; the model's hash."""
    for path in folder.glob("encoders/*"):
        card = read_card(path)
        weights = {key: values_of(array) for key, array in read_arrays(path / ENCODER).items()}
        family = read_card(folder)["family"]
        change_card(path, files=checksums(path), hash=identity(family, card["configuration"], {}, weights, pixels=""))
    change_card(folder, files=checksums(folder), **values)
    change_card(folder, hash=decoder_hash(folder))
    return str(read_card(folder)["hash"])


def another_version(folder: Path, **values: Any) -> str:
    """Change one integer of a model, and its cards with it; the new hash."""
    arrays = dict(read_arrays(folder / INTEGERS))
    name = "gain" if "gain" in arrays else "radii"
    array = arrays[name].copy()  # type: ignore[union-attr]
    array.flat[0] += 1
    write_arrays(folder / INTEGERS, {**arrays, name: array})
    return seal(folder, **values)
