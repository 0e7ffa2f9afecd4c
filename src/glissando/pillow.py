"""Pillow reads and writes .gliss files once this module has been imported: a plugin like those of its other formats.

    import glissando.pillow
    from PIL import Image

    Image.open("photo.gliss").size          # the header alone is read; pixels are decoded when they are needed
    image.save("photo.gliss", quality=70)   # options are those of glissando.encode

Pillow loads no plugin by entry point, so the import has to be there. ``docs/integrations.md`` has all options, and what
becomes of metadata and of samples for which Pillow has no mode.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import IO, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from . import api
from .bitstream import ANY_SIZE, PixelFormat, Reader
from .bitstream.fields import SIGNATURE
from .codec.metadata import BOXES, metadata_in
from .codec.reduction import fitting
from .errors import FormatError, GlissandoError, PictureError, PictureWarning
from .picture import Density, Metadata, check_carried, scaled
from .picture.conversion import from_pillow
from .picture.icc import of_cicp
from .picture.picture import check_size

__all__ = ["FORMAT", "MIME_TYPE", "GlissandoImageFile"]

FORMAT = "GLISSANDO"
MIME_TYPE = "image/vnd.glissando"

_EXIF_PREFIX = b"Exif\0\0"  # as Pillow keeps it in Image.info for most formats
_INFO = {
    "icc": ("icc_profile",),
    "cicp": ("icc_profile",),
    "density": ("dpi", "aspect"),
    "text": ("comment",),
    "iptc": (),
}
"""Metadata that ``Image.info`` holds in part or not at all, and the entries that tell whether a caller changed them."""


class GlissandoImageFile(ImageFile.ImageFile):
    """A .gliss file as Pillow opens it: size, mode and info at once, pixels when they are needed.

    Attributes:
        metadata: all that the file carries, those that ``info`` has no place for included; none after pickling, which
            leaves what ``info`` has.
    """

    format = FORMAT
    format_description = "Glissando"
    metadata = Metadata()
    _reduced: tuple[int, int] | None = None  # what draft was asked for

    @property
    def text(self) -> dict[str, str]:
        """Texts by their keywords, as PNG images of Pillow have them."""
        return dict(self.metadata.text)

    def _open(self) -> None:
        assert self.fp is not None
        try:
            self._reader = Reader(self.fp, limits=ANY_SIZE)  # Pillow has a limit of its own, and checks it next
            header = self._reader.header
            check_carried(header.format)
            self.metadata, notes = metadata_in({name: self._reader.box(name) for name in BOXES.values()})
        except FormatError as error:
            raise UnidentifiedImageError(f"cannot identify image file {self._name!r}: {error}") from error
        self._size = header.width, header.height
        self._mode = _mode(header.format)
        self.info = _info(self.metadata, grey=header.format.grey)
        if self.metadata.cicp is not None and "icc_profile" not in self.info:
            notes = (*notes, f"the colours are {self.metadata.cicp}, which no ICC profile says; Pillow is not told")
        self.tile = [ImageFile._Tile("glissando", (0, 0, *self._size), 0, self._mode)]
        _warn(self._name, notes, _OPEN)

    @property
    def _name(self) -> str:
        name = self.filename or getattr(self.fp, "name", "")
        return name.decode(errors="replace") if isinstance(name, bytes) else str(name or "image")

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Pillow's ``Image.draft``, which ``thumbnail`` calls: the picture will be decoded at about this size.

        It is reduced by 2, 4, 8 or 16, whichever comes nearest; ``mode`` changes nothing. Returns None where nothing
        changes, else the mode and the box of the picture, whose size is the new one.
        """
        if not self.tile or self._reduced is not None or size is None:
            return None
        factor = min(self.width / max(size[0], 1), self.height / max(size[1], 1))
        octaves = min(round(math.log2(factor)), 4) if factor > 1 else 0
        if octaves < 1:
            return None
        self._reduced = -(-self.width >> octaves), -(-self.height >> octaves)
        self._size = fitting(*self.size, self._reduced)
        self.tile = [ImageFile._Tile("glissando", (0, 0, *self._size), 0, self._mode)]
        return self.mode, (0, 0, self.width, self.height)

    def load(self) -> Any:
        """Decode the pixels unless they are there. Raises OSError where the file is damaged or its model missing."""
        if self.tile:
            if self.fp is None:
                raise ValueError("Operation on closed image")
            format = self._reader.header.format
            try:
                header = self._reader.header
                pixels = api.decode(self._reader, max_size=self._reduced, max_pixels=header.width * header.height)
            except GlissandoError as error:
                raise OSError(f"{self._name}: {error}") from error
            wanted = 16 if self.mode == "I;16" else 8
            if format.depth > wanted:
                _warn(
                    self._name, [f"Pillow has no mode for {format} pixels; {format.depth} bits are rounded to 8"], _LOAD
                )
            decoded = Image.fromarray(scaled(pixels, format.depth, wanted))
            self.im, self.readonly = decoded.im, decoded.readonly
            self._done()
        return super().load()

    def load_seek(self, pos: int) -> None:
        """Nothing; that it is there tells ``ImageFile.Parser`` to wait for the whole file."""

    def verify(self) -> None:
        """Read all of the file and compare its checksums; no network runs. Raises OSError where one does not agree.

        As for other formats it must be called directly after ``Image.open``, and the image cannot be used afterwards.
        """
        if self.fp is None or not self.tile:
            raise RuntimeError("verify must be called directly after open")
        try:
            header = self._reader.header
            api.check(self._reader, max_pixels=header.width * header.height)
        except GlissandoError as error:
            raise OSError(f"{self._name}: {error}") from error
        finally:
            super().verify()

    def _done(self) -> None:
        """Let go of the file, as Pillow does after loading."""
        self.tile = []
        if self._exclusive_fp and self._close_exclusive_fp_after_loading and self.fp is not None:
            self.fp.close()
        self.fp = None


def _mode(format: PixelFormat) -> str:
    """Pillow's mode for pixels of a file; it has more than 8 bits for grey without opacity alone."""
    if format.grey:
        return "LA" if format.alpha != "none" else "L" if format.depth == 8 else "I;16"
    return "RGB" if format.alpha == "none" else "RGBA"


def _info(metadata: Metadata, *, grey: bool) -> dict[str | tuple[int, int], Any]:
    """Metadata as ``Image.info`` has them for other formats. Code points become the ICC profile that says the same."""
    info: dict[str | tuple[int, int], Any] = {}
    icc = metadata.icc
    if icc is None and metadata.cicp is not None:
        icc = of_cicp(metadata.cicp, grey=grey)
    if icc is not None:
        info["icc_profile"] = icc
    if metadata.exif is not None:
        info["exif"] = _EXIF_PREFIX + metadata.exif
    if metadata.xmp is not None:
        info["xmp"] = metadata.xmp
    if (density := metadata.density) is not None:
        info["dpi" if density.metric else "aspect"] = density.dpi if density.metric else (density.x, density.y)
    if comment := dict(metadata.text).get("Comment"):
        info["comment"] = comment
    return info


# Saving ------------------------------------------------------------------------------------------------


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """Pillow's ``Image.save``. Raises OSError for an image that no file can hold, InputError for a wrong option."""
    asked: dict[str, Any] = getattr(image, "encoderinfo", {})
    given = _unchanged(image) | _asked_metadata(asked)
    try:
        check_size(image.width, image.height, None, "image")
        picture = from_pillow(image, convert=bool(asked.get("convert", False)), name="image", given=given)
    except PictureError as error:
        raise OSError(f"cannot write mode {image.mode} as Glissando: {str(error).removeprefix('image: ')}") from error
    _warn("image", picture.notes, _SAVE)
    picture = replace(picture, notes=())
    fp.write(api.encode(picture, **{name: value for name, value in asked.items() if name in _options()}))


@cache
def _options() -> frozenset[str]:
    """The options of ``glissando.encode`` that ``Image.save`` hands on; it passes over others, as everywhere."""
    return frozenset(inspect.signature(api.encode).parameters) - {"picture", "depth", "convert"}


def _unchanged(image: Image.Image) -> dict[str, Any]:
    """Of an image from a .gliss file, those metadata that ``Image.info`` does not hold as they were and nobody changed.

    Code points count as long as the ICC profile that stands for them is there.
    """
    if not isinstance(image, GlissandoImageFile):
        return {}
    original = _info(image.metadata, grey=image.mode in ("L", "LA", "I;16"))
    return {
        name: getattr(image.metadata, name)
        for name, entries in _INFO.items()
        if all(image.info.get(entry) == original.get(entry) for entry in entries)
    }


def _asked_metadata(asked: dict[str, Any]) -> dict[str, Any]:
    """Metadata among the arguments of ``Image.save``, by their names in ``Metadata``; None or empty leaves one out."""
    given: dict[str, Any] = {}
    if "icc_profile" in asked:
        given |= {"icc": asked["icc_profile"] or None, "cicp": None}
    if "exif" in asked:
        exif = asked["exif"] or b""
        exif = exif.tobytes() if isinstance(exif, Image.Exif) else bytes(exif)
        given["exif"] = exif.removeprefix(_EXIF_PREFIX) or None
    if "xmp" in asked:
        xmp = asked["xmp"]
        given["xmp"] = (xmp.encode() if isinstance(xmp, str) else xmp) or None
    if "dpi" in asked:
        given["density"] = None if asked["dpi"] is None else Density.of_dpi(*map(float, asked["dpi"]))
    if "comment" in asked:
        comment = asked["comment"]
        comment = comment.decode() if isinstance(comment, bytes) else comment
        given["text"] = (("Comment", comment),) if comment else ()
    return given


# Functions between a warning and who called Image.open, Image.load and Image.save.
_OPEN, _LOAD, _SAVE = 6, 3, 4


def _warn(name: str, notes: Sequence[str], level: int) -> None:
    for note in notes:
        warnings.warn(f"{name}: {note}", PictureWarning, stacklevel=level)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(SIGNATURE)


Image.register_open(FORMAT, GlissandoImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".gliss")
Image.register_mime(FORMAT, MIME_TYPE)
