"""Where models are found: by name, by folder, or by the hash that a file carries.

Models come from four places, in this order: the package itself, the folders named in the environment variable
GLISSANDO_MODELS (separated as in PATH), the user's data folder, which ``glissando models --install`` fills, and what
the program has registered. Each place is a folder of model folders, or a model's folder itself. Several versions of one
name may lie side by side: a name means the newest of them, and a file finds the one that it was made with by its hash.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from glissando.errors import InputError, ModelMismatchError, ModelWarning, UnknownModelError

from .model import Card, Model, open_folder

__all__ = ["find", "find_hash", "find_same", "installed", "models", "register", "user_folder"]

_PACKAGE = Path(__file__).parent
_registered: list[Path] = []
_lock = threading.Lock()


def user_folder() -> Path:
    """Where ``glissando models --install`` puts models: a folder of this user's data."""
    import platformdirs

    return platformdirs.user_data_path("glissando", appauthor=False) / "models"


def register(folder: str | os.PathLike[str]) -> Model:
    """Make the model in ``folder`` known to this process: its name to ``open_model``, its files to ``decode``.

    ``folder``: what ``glissando export`` wrote. Raises UnknownModelError where there is no model, ModelMismatchError
    where its files are not those that its card describes.
    """
    path = Path(folder).resolve()
    if not (path / "card.json").is_file():
        raise UnknownModelError(f"{folder} holds no model: it has no card.json")
    model = open_folder(path, "registered")
    model.check()
    with _lock:
        if path not in _registered:
            _registered.append(path)
    return model


def _places() -> Iterator[tuple[Path, str]]:
    yield _PACKAGE, "package"
    for folder in os.environ.get("GLISSANDO_MODELS", "").split(os.pathsep):
        if folder:
            yield Path(folder), folder
    yield user_folder(), "user"
    with _lock:
        registered = list(_registered)
    for path in registered:
        yield path, "registered"


def _readable() -> Iterator[Model]:
    """Every model in every place, one after the other, with a ModelWarning for a card that cannot be read."""
    for place, source in _places():
        own = place / "card.json"
        for path in [own] if own.is_file() else sorted(place.glob("[!.]*/card.json")):
            try:
                yield open_folder(path.parent, source)
            except ModelMismatchError as error:
                warnings.warn(f"{path}: {error}", ModelWarning, stacklevel=3)


def installed() -> list[Model]:
    """All models, by name and from the newest to the oldest; of one hash in several places only the first.

    A model whose card cannot be read is left out, with a ModelWarning.
    """
    found: dict[str, Model] = {}
    for model in _readable():
        found.setdefault(model.card.hash, model)
    newest_first = sorted(found.values(), key=lambda model: model.card.created, reverse=True)
    return sorted(newest_first, key=lambda model: model.card.name)


def models() -> list[Card]:
    """The cards of all installed models, as ``installed`` orders them."""
    return [model.card for model in installed()]


def find(name: str | os.PathLike[str]) -> Model:
    """The newest installed model called ``name``, the one with the hash ``name``, or the one in the folder ``name``.

    Raises UnknownModelError, which lists the installed ones.
    """
    if not str(name):
        raise InputError("the model's name is empty")
    known = installed()
    for model in known:
        if str(name) in (model.card.name, model.card.hash):
            return model
    try:
        if (Path(name) / "card.json").is_file():
            return open_folder(Path(name), str(name))
    except ValueError:  # a name that no path can have
        pass
    names = dict.fromkeys(model.card.name for model in known)
    raise UnknownModelError(f"no model called {str(name)!r}; installed: {', '.join(names) or 'none'}")


def find_hash(model_hash: bytes) -> Model:
    """The installed model that a file's ``model_hash`` names.

    Raises UnknownModelError. It names the model and its date where an installed model's card lists it among the
    versions that it replaced.
    """
    wanted = model_hash.hex()
    for model in _readable():  # models of the package come first, so that no other place is looked at for most files
        if model.card.hash == wanted:
            return model
    known = installed()
    what = f"model {wanted}, which is not installed"
    for model in known:
        for version in model.card.versions:
            if version.get("hash") == wanted:
                date = re.sub(r"T.*", "", str(version.get("created", "")))
                what += f": {version.get('name', model.card.name)}{f' of {date}' if date else ''}, an earlier version"
                break
    names = ", ".join(f"{model.card.name} ({model.card.hash})" for model in known)
    raise UnknownModelError(f"the file was made with {what}; installed: {names or 'none'}")


def find_same(name: str, model_hash: str, folder: str | os.PathLike[str]) -> Model:
    """The model that another process had open, which knew it by this name and hash and from this folder.

    Raises ModelMismatchError where the model of that name is another here, UnknownModelError where there is none.
    """
    known = installed()
    for model in known:
        if model.card.hash == model_hash:
            return model
    here = Path(folder)
    found = open_folder(here, str(folder)) if (here / "card.json").is_file() else None
    if found is not None and found.card.hash == model_hash:
        return found
    found = found or next((model for model in known if model.card.name == name), None)
    if found is None:
        raise UnknownModelError(f"model {name} ({model_hash}) is neither installed here nor in {folder}")
    raise ModelMismatchError(f"model {name} was {model_hash} where it was pickled; here it is {found.card.hash}")
