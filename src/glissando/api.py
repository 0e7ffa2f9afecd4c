"""The functions of ``import glissando``: one call each, models opened once and kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import Image

from . import zoo
from .bitstream import ANY_SIZE, DEFAULT_LIMITS, NO_MODEL, Reader, Source, opened
from .codec import BackendOptions, Codec, open_codec
from .codec.effort import DEFAULT_EFFORT
from .codec.options import ImportanceLike
from .codec.refinement import Progress
from .errors import InputError
from .picture import Picture, Pixels
from .zoo import Card, Model

__all__ = ["check", "decode", "encode", "install_model", "list_models", "open_for", "open_model", "register"]

DEFAULT_MODEL = "medium"

TUNES: Mapping[str, str] = {"eye": DEFAULT_MODEL, "psnr": "medium-psnr"}
"""The models by what they were trained for: what people see, or squared error."""


def open_model(
    name: str | Path = DEFAULT_MODEL,
    *,
    encoder: str | None = None,
    backend: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
) -> Codec:
    """A codec for many pictures, safe to use from several threads and after a fork; ``close`` it, or use ``with``.

    ``name``: an installed model, of which the newest version is taken; a model's hash in 16 hex digits; or a folder
    written by ``glissando export``. ``encoder``: which of the model's encoders, by a name of ``Card.encoders``;
    each picture's effort chooses unless it is given. All make files for the same decoder.

    ``backend``: "openvino", "onnxruntime" or "auto". ``precision`` of the transforms: "f32"; "bf16"; "int8", 8-bit
    integers in the encoder's analysis and float32 elsewhere; or "auto", those where the machine is fast at them and
    their rounding is not seen (``Card.bf16_quality``, and ``bf16_quality`` and ``int8_quality`` of its encoders); every
    file decodes at any of them. ``threads``: at most so many; None for as many as the machine has.

    Raises UnknownModelError, ModelMismatchError, BackendError or InputError.
    """
    return open_codec(_model(name, encoder), BackendOptions(backend, precision, threads))


def _model(name: str | Path, encoder: str | None) -> Model:
    model = zoo.find(name)
    return model if encoder is None else model.using(encoder)


def open_for(
    source: Source | Reader, *, backend: str = "auto", precision: str = "auto", threads: int | None = None
) -> Codec:
    """The codec for a file's model; ``source`` as for ``decode``, options as for ``open_model``.

    Raises UnknownModelError, FormatError, OSError.
    """
    with opened(source, limits=ANY_SIZE) as file:
        model = _model_of(file)
    return open_codec(model, BackendOptions(backend, precision, threads))


def _model_of(file: Reader) -> Model:
    """The model that a file was made with; for one without a model, whichever is there. Raises UnknownModelError."""
    if file.header.model_hash == NO_MODEL:
        return zoo.find(DEFAULT_MODEL)
    return zoo.find_hash(file.header.model_hash)


@lru_cache(maxsize=4)
def _kept(model_hash: str, folder: Path, usual: str, only: str | None, threads: int | None) -> Codec:
    """The codec of a model, for which hash, folder and encoders must have remained the same."""
    return open_model(folder, encoder=only, threads=threads)


def _kept_for(model: Model, threads: int | None) -> Codec:
    return _kept(model.card.hash, model.folder, model.card.encoder, model.only, threads)


def encode(
    picture: Pixels | Image.Image | Picture,
    quality: float | None = None,
    *,
    target_size: int | str | None = None,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    target_ssimulacra2: float | None = None,
    max_size: int | str | None = None,
    model: str | None = None,
    tune: Literal["eye", "psnr"] | None = None,
    encoder: str | None = None,
    importance: ImportanceLike | Literal["auto"] | None = None,
    strength: float | None = None,
    keep_size: bool = False,
    lossless: bool = False,
    depth: int | None = None,
    alpha_quality: float = 100.0,
    exact: bool = False,
    convert: bool = False,
    effort: int = DEFAULT_EFFORT,
    progress: Progress | None = None,
    notes: list[str] | None = None,
    threads: int | None = None,
) -> bytes:
    """A picture as the bytes of a .gliss file.

    ``picture``: array of uint8 or uint16, (H, W, 3) in the order red, green, blue, (H, W) or (H, W, 1) grey, or with
    opacity as the last channel (H, W, 4) or (H, W, 2); a PIL image; or a Picture. ``quality``: a real number from 0 to
    100; 60 unless given. The model is opened at the first call and kept.

    Instead of a quality, at most one of: ``target_size``, the largest file that is not above so many bytes, within
    0.5 % of them, as a number or text such as "40kB"; ``target_bpp``, the same in bits per pixel; ``target_psnr``, in
    dB, within 0.05; ``target_ssimulacra2``, in points, within 0.5. ``max_size``: the file has no more bytes than that,
    whatever the quality or the score. ``Codec.encode`` and docs/targets.md say more. ``notes``: what there is to say of
    that is appended to it.

    ``tune``: "eye", what looks best, or "psnr", the least squared error; they choose among the models. ``model``: one
    by name instead. Without either it is the one for the eye. ``encoder``: which of the model's encoders, as for
    ``open_model``; the effort chooses unless it is given.

    ``importance``: where to spend the bits: a greyscale array or picture of any size, laid over the picture; white is
    coded ``strength`` quality steps higher (24 unless given), black as many lower, mid-grey as it is; or "auto".
    ``keep_size``: choose the quality so that the file is as large as without the map, within 1 %.

    ``lossless``: every pixel comes back as it was. No network takes part, and the quality means nothing.

    ``depth``: bits of an array's samples, 9 to 16 for uint16; as many as its type has unless given.

    ``alpha_quality``: 100, opacity comes back as it was; or less, down to 0, in ever larger steps. ``exact``: colours
    below fully transparent pixels count as all others do, as they do with ``lossless``; else they come back black.

    ``convert``: convert what cannot be carried of a PIL image (CMYK to RGB; the first frame of several), instead of
    raising PictureError.

    ``effort``: 0 to 10, how much time encoding may take. It chooses among the model's encoders where none is named.
    From 5 on the file is refined for this picture, in seconds to minutes; ``progress`` is told the share that is done,
    0 to 1, and may return False to end it with what there is.

    Raises InputError for an unusable picture, quality or map, TargetError for a size or score that no file of this
    picture has, ModelError for an unusable model.
    """
    codec = _kept_for(_model(tuned_model(tune, model), encoder), threads)
    return codec.encode(
        picture,
        quality,
        target_size=target_size,
        target_bpp=target_bpp,
        target_psnr=target_psnr,
        target_ssimulacra2=target_ssimulacra2,
        max_size=max_size,
        importance=importance,
        strength=strength,
        keep_size=keep_size,
        lossless=lossless,
        depth=depth,
        alpha_quality=alpha_quality,
        exact=exact,
        convert=convert,
        effort=effort,
        progress=progress,
        notes=notes,
    )


def tuned_model(tune: str | None, model: str | None) -> str:
    """The name of the model that a caller means. Raises InputError for both at once, or an unknown tune."""
    if tune is None:
        return DEFAULT_MODEL if model is None else model
    if model is not None:
        raise InputError(f"a model is chosen by its name ({model!r}) or by a tune ({tune!r}), not by both")
    if tune not in TUNES:
        raise InputError(f"tune is one of {', '.join(TUNES)}, not {tune!r}")
    return TUNES[tune]


def decode(
    source: Source | Reader,
    *,
    region: Sequence[int] | None = None,
    max_size: int | Sequence[int] | None = None,
    threads: int | None = None,
    max_pixels: int = DEFAULT_LIMITS.max_pixels,
) -> Pixels:
    """Pixels of a .gliss file: (H, W, 3), or (H, W) if it is grey.

    With opacity, which is the last channel, they are (H, W, 4) and (H, W, 2). They are uint8, or uint16 if it has more
    than 8 bits, whose number ``probe(source).format.depth`` says.

    ``source``: the file's bytes, its path, a file object opened for reading bytes, an object that reads ranges (see
    ``glissando.Reader``), or a Reader.

    ``region``: four integers (x, y, width, height) in pixels, x and y of its upper left corner. Only that rectangle is
    decoded, from the tiles that it needs; computed in f32, its pixels are those of the whole picture.

    ``max_size``: the picture, or its region, is scaled down to fit and keeps its proportions: pixels of the longer side
    at most, or (width, height) at most. It is decoded small, in a fraction of the time and memory
    (``docs/large-pictures.md``).

    Raises FormatError where the bytes are damaged or no .gliss file, LimitError where the file declares more
    than ``max_pixels``, UnsupportedError where its pixels are of a kind that cannot be decoded yet, UnknownModelError
    where its model is not installed, InputError for a region that is not inside the picture or a size that is none,
    OSError where the file cannot be read.
    """
    with opened(source, limits=replace(DEFAULT_LIMITS, max_pixels=max_pixels)) as file:
        return _kept_for(_model_of(file), threads).decode(file, region=region, max_size=max_size, max_pixels=max_pixels)


def check(source: Source | Reader, *, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> None:
    """Read all of a .gliss file and compare every checksum in it; no network runs, and no pixel is made.

    Arguments and errors as in ``decode``.
    """
    with opened(source, limits=replace(DEFAULT_LIMITS, max_pixels=max_pixels)) as file:
        _kept_for(_model_of(file), None).check(file, max_pixels=max_pixels)


def list_models() -> list[Card]:
    """Cards of the installed models, by name, and of one name from the newest to the oldest."""
    return zoo.models()


def register(folder: str | os.PathLike[str]) -> Card:
    """Make the model in ``folder``, as ``glissando export`` writes it, known to this process; its card.

    From then on ``open_model`` finds it by name and ``decode`` by the hash in a file. Raises UnknownModelError where
    there is no model, ModelMismatchError where its files are not those that its card describes.
    """
    return zoo.register(folder).card


def install_model(source: str | os.PathLike[str]) -> Card:
    """Copy a model into the user's data folder, whole or not at all; its card from there.

    ``source``: a model's folder, or a zip or tar archive of one. Raises InputError where it is neither, or holds more
    than a model may; ModelMismatchError where the model is damaged; OSError where the folder cannot be written.
    """
    from .zoo.installation import install  # archives: what nothing else needs

    return install(source).card
