"""One model, ready to encode and decode many pictures: the object that ``open_model`` returns."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, replace
from types import TracebackType
from typing import IO, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glissando.bitstream import ANY_SIZE, DEFAULT_LIMITS, Reader, Source, opened
from glissando.errors import InputError, ModelError, TargetError
from glissando.families import Family
from glissando.files import atomic_file
from glissando.picture import Picture, PictureRows, Pixels, as_picture
from glissando.zoo import Card, Model, find_same

from .aim import Aim
from .analysed import Analysed
from .coding import Coding
from .decoded_rows import DecodedRows
from .decoder import Decoder, PictureSymbols
from .effort import DEFAULT_EFFORT, HIGHEST_QUICK
from .encoder import Encoder
from .engine import Engine
from .geometry import CELL, Region
from .options import BackendOptions, EncodeOptions, ImportanceLike
from .quality import LocalQuality, Quality, QualityField
from .refinement import Progress
from .rowwise import Advance
from .sharing import KNOTS, Budget, Rates
from .streamed import StreamedEncoder
from .targeted import Targeted, likely_quality, rates_of
from .targets import Targets, bytes_in

__all__ = ["Codec", "open_codec"]

PictureLike = Pixels | Image.Image | Picture


class Codec:
    """One model, ready to encode and decode many pictures; safe to use from several threads, and after a fork.

    It consists of an engine, which runs the networks, a family's coding, and an encoder and a decoder, which say the
    order of the steps. ``close`` releases threads and networks; a codec is its own context manager. Pickled, as for a
    worker process, it is the model's name and hash and the options; there it is opened anew.

    ``coding``: the family's own unless given; studies give another to change how a family codes.
    """

    def __init__(self, engine: Engine, coding: Coding[Any, Any] | None = None) -> None:
        self.engine = engine
        self.coding: Coding[Any, Any] = engine.family.coding(engine.model, engine) if coding is None else coding
        self._changed = coding is not None or type(engine) is not Engine
        self._decoder = Decoder(engine, self.coding)
        self._encoder = Encoder(engine, self.coding, self._show)
        self._streamed = StreamedEncoder(engine, self.coding, self._encoder, self._decoder)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.card.name

    @property
    def card(self) -> Card:
        """The model's card."""
        return self.engine.model.card

    @property
    def family(self) -> Family:
        """The model's family."""
        return self.engine.family

    def _show(self, data: bytes, region: Region) -> Pixels:
        return self._decoder.decode(Reader(data, limits=ANY_SIZE), astuple(region)).pixels

    def close(self) -> None:
        """Wait for what is running, then release threads and networks; the codec cannot be used afterwards."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Codec], tuple[Any, ...]]:
        if self._changed:
            raise pickle.PicklingError(
                f"model {self.name}: a codec with a coding or engine of one's own is not pickled"
            )
        model = self.engine.model
        return _open_same, (self.card.name, self.card.hash, str(model.folder), model.only, self.engine.options)

    # Encoding -----------------------------------------------------------------------------------------

    def encode(
        self,
        picture: PictureLike,
        quality: float | None = None,
        *,
        target_size: int | str | None = None,
        target_bpp: float | None = None,
        target_psnr: float | None = None,
        target_ssimulacra2: float | None = None,
        max_size: int | str | None = None,
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
    ) -> bytes:
        """A picture's .gliss file.

        ``picture``: array of uint8 or uint16, (H, W, 3), (H, W) or (H, W, 1), with opacity (H, W, 4) or (H, W, 2); a
        PIL image, or a Picture. ``quality``: 0 to 100, any real number; stored in steps of 1/256; 60 unless given.
        ``depth``: bits of an array's samples, 9 to 16 for uint16; as many as its type has unless given. ``convert``:
        convert what cannot be carried of a PIL image (CMYK to RGB; the first frame of several), instead of raising
        PictureError; the Picture that ``glissando.picture.as_picture`` makes of it tells in notes what became of it.

        Instead of a quality, at most one of: ``target_size``, the largest file that is not above so many bytes, within
        0.5 % of them, as a number or text such as "40kB"; ``target_bpp``, the same in bits per pixel; ``target_psnr``,
        in dB, within 0.05; ``target_ssimulacra2``, in points, within 0.5. Scores are measured on what ``decode``
        returns, over the colours of all pixels that are not fully transparent. Where exact tiles make bytes or scores
        jump over what is wanted, it is the largest smaller file, or the first better one. ``max_size``: the file has
        no more bytes than that, whatever the quality or the score; it is as large as it may be then. ``notes``: such
        news is appended to it. ``docs/targets.md`` tells how they are found.

        ``alpha_quality``: 100, opacity comes back as it was; or less, in ever larger steps. ``exact``: colours below
        fully transparent pixels count as all others do, as they do with ``lossless``; else they come back black.

        ``importance``: where to spend the bits: a greyscale picture or array of any size (uint8, uint16, bool, floats
        in [0, 1]), laid over the picture. White adds ``strength`` quality steps, black takes as many away, mid-grey is
        neutral. With "auto" it is found in the picture itself. ``strength``: 0 to 100; 24 unless given, 12 for "auto".
        ``keep_size``: choose the quality so that the file is as large as it would be without, within 1 %.

        ``lossless``: every pixel comes back as it was, whatever the model: no network takes part, and the quality is
        ignored. It cannot be combined with an importance.

        ``effort``: 0 to 10, how much time encoding may take. It chooses among the model's encoders, unless the codec
        was opened with one of them. From 5 on the latents are refined for this picture, in seconds to minutes.
        ``progress`` is told the share that is done, 0 to 1; where it returns False, the file is made of what has been
        reached.

        Raises InputError for arguments that are not as described or exclude each other, and for an importance that
        this model cannot take; TargetError where no quality makes such a file.
        """
        targets = Targets(target_size, target_bpp, target_psnr, target_ssimulacra2, max_size)
        options = EncodeOptions(importance, strength, keep_size, lossless, alpha_quality, exact, effort, targets)
        base = _base_quality(quality, targets)
        source = as_picture(picture, depth=depth, convert=convert)
        if lossless:
            return self._encoder.lossless(source)
        if targets.any:
            data, found = self._targeted(source, base, options, progress)
            if notes is not None:
                notes.extend(found)
            return data
        analysed, field = self._analysed(source, base, options)
        return self._encoder.encode(analysed, base, field, keep_size=keep_size, effort=effort, progress=progress)

    def encode_rows(
        self,
        picture: PictureRows,
        dest: str | os.PathLike[str] | IO[bytes],
        quality: float | None = None,
        *,
        importance: ImportanceLike | None = None,
        strength: float | None = None,
        lossless: bool = False,
        alpha_quality: float = 100.0,
        exact: bool = False,
        effort: int = DEFAULT_EFFORT,
        progress: Advance | None = None,
        sync: bool = False,
        like: os.stat_result | None = None,
    ) -> int:
        """Write the file that ``encode`` makes of a picture, of which some rows at a time are in memory.

        ``picture``: gives its rows when it is asked for them (``glissando.picture.PictureRows``): of an array that a
        file is mapped to (``ArrayRows``), or of a file (``glissando.picture.open_rows``). ``dest``: a path, whose file
        is there whole or not at all, or a buffered file object. What is ready waits in temporary files beside the path,
        which have no names. ``progress`` is told the share that is done, 0 to 1; what it raises ends the work. ``sync``
        and ``like``: as for ``glissando.files.atomic_file``. The others as in ``encode``; targets, an importance that
        is found in the picture, and efforts above 4 need the whole picture.

        Returns the number of bytes. Raises InputError as ``encode``, PictureError where rows cannot be read, OSError
        where the file cannot be written.
        """
        options = EncodeOptions(importance, strength, False, lossless, alpha_quality, exact, effort)
        base = _base_quality(quality, options.targets)
        if not isinstance(dest, str | os.PathLike):
            return self._streamed.encode(picture, dest, base, options, advance=progress)
        with atomic_file(dest, sync=sync, like=like) as stream:
            place = os.path.realpath(dest)
            # Beside a device, which needs no room, there may be none.
            folder = os.path.dirname(place) if os.path.isfile(place) or not os.path.exists(place) else None
            return self._streamed.encode(picture, stream, base, options, folder=folder, advance=progress)

    def _targeted(
        self, source: Picture, base: Quality, options: EncodeOptions, progress: Progress | None
    ) -> tuple[bytes, list[str]]:
        """The file that meets the options' targets, and notes.

        It is analysed in the precision that suits the quality where the search will probably end, as files of that
        quality are. Where it ends at a quality that needs more precision, it is analysed once more.
        """
        field = self._encoder.field(source, options)
        guesses = [base]
        if options.targets.chosen:
            guesses = [Quality.highest()]  # refinement takes so long that precision costs next to nothing
            if options.effort <= HIGHEST_QUICK:
                guesses.insert(0, likely_quality(options.targets, source))
        for guess in guesses:
            highest = LocalQuality(guess, field).highest
            analysed = self._encoder.analyse(source, highest, options)
            targeted = Targeted(self._encoder, analysed, field, effort=options.effort, progress=progress)
            try:
                data = targeted.file(options.targets, base)
            except TargetError:
                if guess == guesses[-1]:
                    raise
                continue
            used = LocalQuality(Quality(Reader(data, limits=ANY_SIZE).header.quality), field).highest
            if self._encoder.suits(analysed, highest, used):
                break
        return data, targeted.notes

    def rates(
        self,
        picture: PictureLike,
        *,
        importance: ImportanceLike | Literal["auto"] | None = None,
        strength: float | None = None,
        depth: int | None = None,
        alpha_quality: float = 100.0,
        exact: bool = False,
        effort: int = DEFAULT_EFFORT,
    ) -> Rates:
        """A picture's bytes and distortions over the quality, which ``encode_batch`` shares a size by.

        It is measured without refinement, whatever the effort. Arguments and errors as in ``encode``.
        """
        options = EncodeOptions(importance, strength, False, False, alpha_quality, exact, min(effort, HIGHEST_QUICK))
        analysed, field = self._analysed(as_picture(picture, depth=depth), Quality.of(KNOTS[-1]), options)
        return rates_of(self._encoder, analysed, field, by_eye=self._trained_for_the_eye)

    @property
    def _trained_for_the_eye(self) -> bool:
        try:
            return Aim.of(self.card).distortion == "eye"
        except ModelError:  # its card does not say
            return False

    def encode_batch(
        self,
        pictures: Sequence[PictureLike | Callable[[], PictureLike]],
        total_size: int | str,
        *,
        importance: ImportanceLike | Literal["auto"] | None = None,
        strength: float | None = None,
        alpha_quality: float = 100.0,
        exact: bool = False,
        effort: int = DEFAULT_EFFORT,
    ) -> Iterator[bytes]:
        """The files of several pictures, which have ``total_size`` bytes together, or up to 0.5 % fewer.

        The bytes are shared so that one more of them would do as much good in each picture (``codec.sharing``): the sum
        of all distortions is as small as it can be, in points of SSIMULACRA 2 for a model of the eye, in squared errors
        for others. ``pictures``: items may be functions that return a picture; they are called twice, so that only one
        picture is in memory at a time. The other arguments as in ``encode``.

        Files come one by one in the order of the pictures. Raises InputError as ``encode``, TargetError where no
        qualities make files of that size together.
        """
        chosen: dict[str, Any] = {
            "importance": importance,
            "strength": strength,
            "alpha_quality": alpha_quality,
            "exact": exact,
            "effort": effort,
        }
        total = bytes_in(total_size, "total_size")
        budget = Budget([self.rates(_picture_of(item), **chosen) for item in pictures], total)
        for number, item in enumerate(pictures):
            data = self.encode(_picture_of(item), target_size=budget.share(number), **chosen)
            budget.used(number, len(data))
            yield data

    def encode_with_bits(
        self,
        picture: PictureLike,
        quality: float = 60.0,
        *,
        importance: ImportanceLike | Literal["auto"] | None = None,
        strength: float | None = None,
        keep_size: bool = False,
        depth: int | None = None,
        alpha_quality: float = 100.0,
        exact: bool = False,
        convert: bool = False,
        effort: int = DEFAULT_EFFORT,
    ) -> tuple[bytes, NDArray[np.float64]]:
        """The file that ``encode`` makes, and the bits that each latent in the picture costs in it, (rows, columns).

        Each latent covers ``pixels_per_latent`` pixels each way. The sum is the ideal size of the file's streams, those
        of opacity left out. ``effort`` is 4 at most.
        """
        options = EncodeOptions(importance, strength, keep_size, False, alpha_quality, exact, effort)
        if effort > HIGHEST_QUICK:
            raise InputError(f"the bits of each latent are told up to effort {HIGHEST_QUICK}, not at {effort}")
        analysed, field = self._analysed(
            as_picture(picture, depth=depth, convert=convert), Quality.of(quality), options
        )
        data = self._encoder.encode(analysed, Quality.of(quality), field, keep_size=keep_size)
        used = Quality(Reader(data, limits=ANY_SIZE).header.quality)
        return data, self._encoder.bits_per_latent(analysed, LocalQuality(used, field))

    def _analysed(
        self, source: Picture, quality: Quality, options: EncodeOptions
    ) -> tuple[Analysed, QualityField | None]:
        field = self._encoder.field(source, options)
        # The search for a size may end at any quality.
        highest = Quality.highest() if options.keep_size else LocalQuality(quality, field).highest
        return self._encoder.analyse(source, highest, options), field

    @property
    def pixels_per_latent(self) -> int:
        """Pixels that a latent covers, each way: what ``encode_with_bits`` gives a number for."""
        return CELL // self.coding.latents_per_cell

    def analyse(
        self,
        picture: PictureLike,
        quality: float = 100.0,
        *,
        depth: int | None = None,
        alpha_quality: float = 100.0,
        exact: bool = False,
        convert: bool = False,
        effort: int = DEFAULT_EFFORT,
    ) -> Analysed:
        """Latents of a picture: the costly half of encoding, which does not depend on the quality.

        ``quality`` is the highest that the latents will be coded at; low ones may be computed in bfloat16. ``effort``
        chooses among the model's encoders. ``depth``, ``alpha_quality``, ``exact`` and ``convert``: as in ``encode``.
        """
        options = EncodeOptions(alpha_quality=alpha_quality, exact=exact, effort=effort)
        return self._encoder.analyse(as_picture(picture, depth=depth, convert=convert), Quality.of(quality), options)

    def quality_field(
        self,
        picture: PictureLike,
        importance: ImportanceLike | Literal["auto"],
        strength: float | None = None,
        *,
        depth: int | None = None,
        convert: bool = False,
    ) -> QualityField:
        """The quality field that an importance of this picture becomes; arguments and errors as in ``encode``."""
        field = self._encoder.field(
            as_picture(picture, depth=depth, convert=convert), EncodeOptions(importance, strength)
        )
        assert field is not None  # as importance is given
        return field

    def encode_analysed(
        self,
        analysed: Analysed,
        quality: float,
        *,
        quality_field: QualityField | None = None,
        keep_size: bool = False,
        effort: int = DEFAULT_EFFORT,
        progress: Progress | None = None,
    ) -> bytes:
        """The file of an analysed picture at one quality, 0 to 100.

        ``quality_field``: what the method ``quality_field`` returns; the others as in ``encode``.
        """
        return self._encoder.encode(
            analysed, Quality.of(quality), quality_field, keep_size=keep_size, effort=effort, progress=progress
        )

    def refine(
        self,
        analysed: Analysed,
        quality: float,
        effort: int = 8,
        *,
        quality_field: QualityField | None = None,
        progress: Progress | None = None,
    ) -> Analysed:
        """An analysed picture with latents that are refined for a quality, at an effort of 5 to 10.

        It may be coded at other qualities as well, but gains little there. The others as in ``encode_analysed``.
        """
        local = LocalQuality(Quality.of(quality), quality_field)
        return self._encoder.refine(analysed, local, effort, progress)

    def bits_per_latent(
        self, analysed: Analysed, quality: float, *, quality_field: QualityField | None = None
    ) -> NDArray[np.float64]:
        """What each latent in the picture costs in bits at a quality, (rows, columns)."""
        return self._encoder.bits_per_latent(analysed, LocalQuality(Quality.of(quality), quality_field))

    def ideal_bits(self, picture: PictureLike, quality: float) -> float:
        """Cross-entropy in bits of the picture's symbols under the model's integer tables."""
        return self._encoder.ideal_bits(self.analyse(picture, quality), LocalQuality(Quality.of(quality)))

    # Decoding -----------------------------------------------------------------------------------------

    def decode(
        self,
        source: Source | Reader,
        *,
        region: Sequence[int] | None = None,
        max_size: int | Sequence[int] | None = None,
        max_pixels: int = DEFAULT_LIMITS.max_pixels,
    ) -> Pixels:
        """Pixels of a .gliss file: (H, W, 3), or (H, W) if the picture is grey; uint8, or uint16 if it has more bits.

        With opacity, which is the last channel, they are (H, W, 4) and (H, W, 2).

        ``source``: the file's bytes, its path, a file object opened for reading bytes, an object that reads ranges (see
        ``glissando.Reader``), or a Reader.

        ``region``: four integers (x, y, width, height) in pixels. Only that rectangle is decoded, from the tiles that
        it needs; computed in f32, its pixels are those of the whole picture.

        ``max_size``: the picture, or its region, is scaled down to fit and keeps its proportions: pixels of the longer
        side at most, or (width, height) at most. It is decoded small, in a fraction of the time and memory.

        Raises FormatError where the file is damaged, LimitError where it declares more than ``max_pixels``,
        UnsupportedError where its pixels are of a kind that cannot be decoded yet, UnknownModelError where another
        model made it, InputError for a region that is not inside the picture or a size that is none, OSError where it
        cannot be read.
        """
        return self.decode_picture(source, region=region, max_size=max_size, max_pixels=max_pixels).pixels

    def decode_picture(
        self,
        source: Source | Reader,
        *,
        region: Sequence[int] | None = None,
        max_size: int | Sequence[int] | None = None,
        max_pixels: int = DEFAULT_LIMITS.max_pixels,
    ) -> Picture:
        """Pixels and metadata of a .gliss file; arguments and errors as in ``decode``."""
        with opened(source, limits=replace(DEFAULT_LIMITS, max_pixels=max_pixels)) as reader:
            return self._decoder.decode(reader, region, max_size)

    def decode_rows(
        self,
        source: Source | Reader,
        *,
        region: Sequence[int] | None = None,
        max_pixels: int = DEFAULT_LIMITS.max_pixels,
    ) -> DecodedRows:
        """The pixels that ``decode`` returns, some rows at a time from the top down, with the file's metadata.

            with codec.decode_rows("large.gliss") as rows:
                for pixels in rows: ...

        Neither all pixels nor all of the file are in memory. Arguments and errors as in ``decode``; what is wrong with
        a tile is told where its rows would come.
        """
        limits = replace(DEFAULT_LIMITS, max_pixels=max_pixels)
        return DecodedRows(self._decoder, source, region, limits)

    def check(self, source: Source | Reader, *, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> None:
        """Read all of a file and compare every checksum in it; no network runs, and no pixel is made.

        Arguments and errors as in ``decode``.
        """
        with opened(source, limits=replace(DEFAULT_LIMITS, max_pixels=max_pixels)) as reader:
            self._decoder.check(reader)

    def decode_symbols(self, source: Source | Reader, order: Iterable[int] | None = None) -> PictureSymbols:
        """All symbols of a file, without any network. ``source``: as for ``decode``.

        ``order``: tiles in the order to be decoded, each number once; any order gives the same result.
        """
        with opened(source) as reader:
            return self._decoder.symbols(reader, order)


def _picture_of(item: PictureLike | Callable[[], PictureLike]) -> PictureLike:
    return item() if callable(item) else item


def _base_quality(quality: float | None, targets: Targets) -> Quality:
    """The quality that a caller has given, or the default one. Raises InputError where a target chooses it instead."""
    if quality is not None and targets.chosen:
        raise InputError(f"a quality ({quality}) and {targets.chosen[0]} exclude each other: the target chooses it")
    return Quality.of(60.0 if quality is None else quality)


def open_codec(model: Model, options: BackendOptions | None = None) -> Codec:
    """The codec of a model.

    Raises ModelMismatchError where this version does not know the model's family, InputError or BackendError where
    the options cannot be met.
    """
    return Codec(Engine(model, options))


def _open_same(name: str, model_hash: str, folder: str, only: str | None, options: BackendOptions) -> Codec:
    """A pickled codec, opened anew; raises as ``zoo.find_same`` and ``open_codec`` do."""
    model = find_same(name, model_hash, folder)
    return open_codec(model if only is None else model.using(only), options)
