"""What worker processes do: a job is a picklable description, which runs with the codecs that its process has open.

What computes is imported by ``run``: the process that answers requests makes jobs and never needs it.
"""

from __future__ import annotations

import io
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from glissando.errors import UnknownModelError

from .kept import KeptPictures
from .view import View

if TYPE_CHECKING:
    from glissando.bitstream import Reader
    from glissando.codec import Codec
    from glissando.picture import Picture

__all__ = ["Answer", "Codecs", "DecodeJob", "EncodeJob", "InfoJob", "Job", "ModelsJob", "Until", "ViewJob", "WarmJob"]

OPEN_CODECS = 3
"""How many models a worker has open at once; each takes some hundred megabytes."""
REFINING = 0.8
"""The share of the time that refinement may take; the file is then made of what it has reached."""


@dataclass(frozen=True)
class Answer:
    """What a job gives: bytes or plain values, what there is to say of them, and the seconds that it took."""

    value: Any
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


class Job(Protocol):
    """What a worker can be asked to do."""

    def run(self, codecs: Codecs, /) -> Answer: ...


class Until:
    """Tells refinement to go on while somebody waits, for its share of the seconds that a job may take."""

    def __init__(self, seconds: float, unwanted: Callable[[], bool]) -> None:
        self._end = time.monotonic() + REFINING * seconds
        self._unwanted = unwanted
        self._stopped = False

    def __call__(self, share: float) -> bool:
        self._stopped = self._stopped or time.monotonic() > self._end or self._unwanted()
        return not self._stopped

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say where it was told to stop."""
        if not self._stopped:
            return ()
        return ("refinement ended at the service's limit of time; the file is made of what it had reached",)


class Codecs:
    """The codecs that a worker has open; the one that was not used for longest is closed for the next.

    ``threads``: processor cores that each uses. ``unwanted``: whether nobody waits any more for the job that runs.
    ``kept``: pictures of those who try settings.
    """

    def __init__(self, threads: int, unwanted: Callable[[], bool] = lambda: False) -> None:
        self.threads = threads
        self.unwanted = unwanted
        self.kept = KeptPictures()
        self._open: OrderedDict[tuple[str, str | None], Codec] = OrderedDict()

    def named(self, name: str, encoder: str | None = None) -> Codec:
        """The codec of an installed model, by name or hash. Raises UnknownModelError."""
        key = name, encoder
        if key not in self._open:
            from glissando.api import list_models, open_model

            cards = list_models()
            # ``open_model`` takes folders too, which are none of a client's business.
            if name not in {known for card in cards for known in (card.name, card.hash)}:
                names = ", ".join(dict.fromkeys(card.name for card in cards))
                raise UnknownModelError(f"no model called {name!r}; installed: {names or 'none'}")
            while len(self._open) >= OPEN_CODECS:
                self._open.popitem(last=False)[1].close()
            self._open[key] = open_model(name, encoder=encoder, threads=self.threads)
        self._open.move_to_end(key)
        return self._open[key]

    def of_file(self, file: Reader) -> Codec:
        """The codec of the model that a file was made with. Raises UnknownModelError."""
        from glissando.api import DEFAULT_MODEL
        from glissando.bitstream import NO_MODEL

        if file.header.model_hash == NO_MODEL:
            return self.named(DEFAULT_MODEL)
        return self.named(file.header.model_hash.hex())


@dataclass(frozen=True)
class EncodeJob:
    """A picture file to a .gliss file.

    Attributes:
        picture: the picture file's bytes.
        importance: a grey picture file's bytes, "auto", or None.
        options: arguments of ``Codec.encode``.
        model, tune, encoder: as for ``glissando.encode``.
        convert: convert what cannot be carried, with a note.
        max_pixels: refuse a larger picture, before any pixel of it is decoded.
        seconds: that all of it may take.
    """

    picture: bytes
    importance: bytes | Literal["auto"] | None
    options: Mapping[str, Any]
    model: str | None
    tune: str | None
    encoder: str | None
    convert: bool
    max_pixels: int
    seconds: float

    def run(self, codecs: Codecs) -> Answer:
        from glissando.api import tuned_model
        from glissando.picture import read_picture

        until = Until(self.seconds, codecs.unwanted)
        codec = codecs.named(tuned_model(self.tune, self.model), self.encoder)
        picture = read_picture(
            io.BytesIO(self.picture), name="picture", convert=self.convert, max_pixels=self.max_pixels
        )
        importance, of_importance = self.read_importance()
        notes = [*picture.notes, *of_importance]
        data = codec.encode(picture, importance=importance, progress=until, notes=notes, **self.options)
        return Answer(data, (*notes, *until.notes))

    def read_importance(self) -> tuple[Picture | Literal["auto"] | None, list[str]]:
        """The importance as ``Codec.encode`` takes it, and notes about its file."""
        if not isinstance(self.importance, bytes):
            return self.importance, []
        from glissando.picture import read_picture

        found = read_picture(io.BytesIO(self.importance), name="importance", convert=True, max_pixels=self.max_pixels)
        return found, [f"importance: {note}" for note in found.notes]


@dataclass(frozen=True)
class DecodeJob:
    """A .gliss file to a picture file.

    Attributes:
        file: its bytes.
        format: an extension that ``encode_picture`` knows.
        quality: of that format; None for its usual one.
        region, max_size: as for ``glissando.decode``.
        max_pixels: refuse a larger picture.
    """

    file: bytes
    format: str
    quality: int | None
    region: Sequence[int] | None
    max_size: Sequence[int] | None
    max_pixels: int

    def run(self, codecs: Codecs) -> Answer:
        from glissando.bitstream import ANY_SIZE, Reader
        from glissando.picture import encode_picture

        with Reader(self.file, limits=ANY_SIZE) as file:
            picture = codecs.of_file(file).decode_picture(
                file, region=self.region, max_size=self.max_size, max_pixels=self.max_pixels
            )
        data, notes = encode_picture(picture, self.format, quality=self.quality)
        return Answer(data, (*picture.notes, *notes))


@dataclass(frozen=True)
class InfoJob:
    """What the header of a .gliss file says. ``file``: its bytes, or the path of a file in the service's folder."""

    file: bytes | str

    def run(self, codecs: Codecs) -> Answer:
        from glissando.codec import probe

        info = probe(self.file)
        return Answer({**asdict(info), "lossless": info.lossless, "bpp": info.bpp})


@dataclass(frozen=True)
class ModelsJob:
    """The cards of the installed models."""

    def run(self, codecs: Codecs) -> Answer:
        from glissando.api import DEFAULT_MODEL, TUNES, list_models

        shown = ("name", "hash", "created", "family", "summary", "licence", "parameters", "decode_kmac_per_pixel")
        cards = [
            {
                **{key: getattr(card, key) for key in shown},
                "encoders": sorted(card.encoders),
                "default": card.name == DEFAULT_MODEL,
                "tunes": [tune for tune, name in TUNES.items() if name == card.name],
            }
            for card in list_models()
        ]
        return Answer(cards)


@dataclass(frozen=True)
class WarmJob:
    """Code a small picture and decode it, so that libraries are loaded and the default model's networks compiled."""

    def run(self, codecs: Codecs) -> Answer:
        import numpy as np

        from glissando.api import DEFAULT_MODEL

        codec = codecs.named(DEFAULT_MODEL)
        ramp = np.indices((256, 256), np.uint8).sum(axis=0, dtype=np.uint8)
        for quality in (20, 60):  # networks in 8-bit integers, or bfloat16, and those in float32
            codec.decode(codec.encode(ramp, quality))
        return Answer(None)


@dataclass(frozen=True)
class ViewJob:
    """A part of a .gliss file in the service's folder, at some size, as a picture file.

    Attributes:
        path: of the file.
        view: which part, how large, how turned, in which colours.
        format: an extension that ``encode_picture`` knows.
        quality: of that format; None for none.
    """

    path: str
    view: View
    format: str
    quality: int | None

    def run(self, codecs: Codecs) -> Answer:
        from glissando.bitstream import ANY_SIZE, Reader
        from glissando.picture import encode_picture

        with Reader(self.path, limits=ANY_SIZE) as file:
            picture = codecs.of_file(file).decode_picture(
                file,
                region=self.view.region,
                max_size=self.view.covering,
                max_pixels=file.header.width * file.header.height,  # what counts is the view's size
            )
        data, notes = encode_picture(self._shown(picture), self.format, quality=self.quality)
        return Answer(data, (*picture.notes, *notes))

    def _shown(self, picture: Picture) -> Picture:
        """The decoded region as the view wants it, in 8 bits and with its colours' meaning as its only metadata."""
        import dataclasses

        import numpy as np
        from PIL import Image

        from glissando.picture import scaled

        kept = picture.keeping(("icc",))
        image = Image.fromarray(np.ascontiguousarray(scaled(picture.pixels, picture.format.depth, 8)))
        if image.size != self.view.size:
            image = image.resize(self.view.size, Image.Resampling.LANCZOS)
        if self.view.mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.view.quarter_turns:  # clockwise, where Pillow's go the other way
            turns = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)
            image = image.transpose(turns[self.view.quarter_turns - 1])
        if self.view.colours in ("gray", "bitonal"):
            has_alpha = image.mode in ("RGBA", "LA")
            image = image.convert("LA" if has_alpha and self.view.colours == "gray" else "L")
            if self.view.colours == "bitonal":
                image = image.point(lambda level: 255 if level >= 128 else 0)
            kept = kept.keeping(())  # a profile of RGB says nothing of grey
        return dataclasses.replace(kept, pixels=np.asarray(image), depth=8)
