"""What workers do for whoever tries settings: files of a picture that is kept, their scores, where their bits go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glissando.errors import InputError

from .jobs import Answer, Codecs, EncodeJob, Until

if TYPE_CHECKING:
    from glissando.codec import Analysed, Codec, EncodeOptions, QualityField

__all__ = ["BitsJob", "OriginalJob", "PreviewJob", "ScoresJob"]

NOT_KEPT = ("target_size", "target_bpp", "target_psnr", "target_ssimulacra2", "max_size", "lossless")
"""Options with which a file is made from the beginning: a search chooses the precision of the networks by its end."""


@dataclass(frozen=True)
class Prepared:
    """What a file is coded from."""

    codec: Codec
    analysed: Analysed
    field: QualityField | None
    quality: float
    options: EncodeOptions
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PreviewJob(EncodeJob):
    """As ``EncodeJob``, from an analysis that is kept for the next job of the same picture.

    It is as precise as the highest quality needs. So a file of a low quality may differ by a few bytes from that of
    ``EncodeJob``, whose networks then compute with less precision.
    """

    def run(self, codecs: Codecs) -> Answer:
        if any(self.options.get(name, False) is not False for name in NOT_KEPT):
            return super().run(codecs)
        until = Until(self.seconds, codecs.unwanted)
        prepared = self.prepared(codecs)
        data = prepared.codec.encode_analysed(
            prepared.analysed,
            prepared.quality,
            quality_field=prepared.field,
            keep_size=prepared.options.keep_size,
            effort=prepared.options.effort,
            progress=until,
        )
        return Answer(data, (*prepared.notes, *until.notes))

    def prepared(self, codecs: Codecs) -> Prepared:
        """All that a file is coded from; what is kept of the picture is used, and what is not is kept now."""
        from glissando.api import tuned_model
        from glissando.codec import EncodeOptions

        codec = codecs.named(tuned_model(self.tune, self.model), self.encoder)
        kept = codecs.kept.of(self.picture, convert=self.convert, max_pixels=self.max_pixels)
        importance, notes = self.read_importance()
        given = {name: value for name, value in self.options.items() if name not in (*NOT_KEPT, "quality")}
        options = EncodeOptions(importance, **given)
        encoder = codec.engine.model.encoder_at(options.effort).card.name
        key = codec.card.hash, encoder, options.alpha_quality, options.exact
        analysed = kept.analysis(key)
        if analysed is None:
            analysed = codec.analyse(
                kept.picture, alpha_quality=options.alpha_quality, exact=options.exact, effort=options.effort
            )
            kept.keep_analysis(key, analysed)
        field = None
        if importance is not None:
            field = codec.quality_field(kept.picture, importance, options.strength)
        quality = float(self.options.get("quality", 60.0))
        return Prepared(codec, analysed, field, quality, options, (*kept.picture.notes, *notes))


@dataclass(frozen=True)
class BitsJob(PreviewJob):
    """Where the bits go of the file that ``PreviewJob`` makes, before any refinement.

    The value is a PNG of one pixel for each latent, in the colours of ``glissando.picture.heat``, and what it means:
    "side", pixels that a latent covers each way; "top", bits per pixel of the brightest colour; "bits", of all.
    """

    def run(self, codecs: Codecs) -> Answer:
        from glissando.bitstream import ANY_SIZE, Reader
        from glissando.codec import Quality
        from glissando.picture import Picture, encode_picture
        from glissando.picture.heat import colours_of_bits

        if any(self.options.get(name, False) is not False for name in NOT_KEPT):
            raise InputError("the bits of each place are told for a quality, not for a target or without loss")
        prepared = self.prepared(codecs)
        codec, analysed, field, quality = prepared.codec, prepared.analysed, prepared.field, prepared.quality
        if prepared.options.keep_size:
            data = codec.encode_analysed(analysed, quality, quality_field=field, keep_size=True)
            quality = Quality(Reader(data, limits=ANY_SIZE).header.quality).number
        bits = codec.bits_per_latent(analysed, quality, quality_field=field)
        colours, top = colours_of_bits(bits, side=codec.pixels_per_latent)
        data, _ = encode_picture(Picture(pixels=colours), "png")
        return Answer((data, {"side": codec.pixels_per_latent, "top": top, "bits": float(bits.sum())}))


@dataclass(frozen=True)
class ScoresJob:
    """How near a .gliss file comes to the picture that it was made of.

    Attributes:
        picture: the picture file's bytes.
        file: the .gliss file's.
        max_pixels: refuse a larger picture.
    """

    picture: bytes
    file: bytes
    max_pixels: int

    def run(self, codecs: Codecs) -> Answer:
        from glissando.bitstream import ANY_SIZE, Reader

        kept = codecs.kept.of(self.picture, convert=True, max_pixels=self.max_pixels)
        with Reader(self.file, limits=ANY_SIZE) as file:
            header = file.header
            if (header.width, header.height) != (kept.picture.width, kept.picture.height):
                raise InputError(
                    f"the file has {header.width}x{header.height} pixels and the picture "
                    f"{kept.picture.width}x{kept.picture.height}: they are of two pictures"
                )
            shown = codecs.of_file(file).decode_picture(file, max_pixels=self.max_pixels)
        depth, colour = shown.format.depth, shown.colour
        if depth != kept.picture.format.depth or colour.ndim != kept.picture.colour.ndim:
            raise InputError(f"the file has {shown.format} pixels and the picture {kept.picture.format}")
        return Answer(kept.scores(colour, depth))


@dataclass(frozen=True)
class OriginalJob:
    """A picture file as a PNG that any browser shows: upright, as it is read here.

    Attributes:
        picture: the picture file's bytes.
        max_pixels: refuse a larger picture.
    """

    picture: bytes
    max_pixels: int

    def run(self, codecs: Codecs) -> Answer:
        from glissando.picture import encode_picture

        kept = codecs.kept.of(self.picture, convert=True, max_pixels=self.max_pixels)
        data, notes = encode_picture(kept.picture, "png")
        return Answer(data, (*kept.picture.notes, *notes))
