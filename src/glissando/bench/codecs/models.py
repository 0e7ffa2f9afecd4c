"""The models of this package: "glissando:NAME" for each installed one, "glissando:FOLDER" for an exported one.

"glissando:NAME@8" encodes with effort 8.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import glissando
from glissando import zoo
from glissando.bench.packages import package_versions
from glissando.bench.results import ModelInfo
from glissando.codec.effort import DEFAULT_EFFORT, check_effort, schedule_of
from glissando.errors import BenchmarkError, CodecUnavailableError, GlissandoError, InputError, ModelError
from glissando.zoo import Card

from .base import Codec, Pixels, family, register, rgb8

__all__ = ["ModelCodec", "named_effort"]


class ModelCodec(Codec):
    """One model; the setting is its quality, 0 to 100, any real number."""

    # Above 95 files have corrections, which bound errors; they are no part of the curve that photographs are sent on.
    settings = (*(float(quality) for quality in range(0, 91, 10)), 95.0)
    quick = (0.0, 20.0, 40.0, 60.0, 80.0, 95.0)
    whole = False
    ours = True
    opened_by: ClassVar[str]  # what ``glissando.open_model`` is given: a name or a folder
    card: ClassVar[Card]
    effort: ClassVar[int] = DEFAULT_EFFORT

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        try:
            self._codec = glissando.open_model(self.opened_by, threads=threads)
        except GlissandoError as error:
            raise CodecUnavailableError(f"{self.name} cannot be opened: {error}") from error

    @property
    def version(self) -> str:
        from glissando.runtime import choose_engine, fast_int8, fast_precision

        engine = choose_engine("auto", "auto", self.threads)
        top = max(self.card.bf16_quality, self.card.bf16_encode_quality)
        precision = f"bf16 up to quality {top:g}" if top >= 0 and fast_precision(engine) == "bf16" else "f32"
        encoder = self.card.encoders.get(self.card.encoder)
        if encoder is not None and encoder.int8_quality >= 0 and fast_int8(engine):
            precision += f", analysis int8 up to quality {encoder.int8_quality:g}"
        library = f"{engine} {package_versions()[engine]}, {precision}"
        effort = "" if self.effort == DEFAULT_EFFORT else f", effort {self.effort}"
        return f"glissando {glissando.__version__}, model {self.card.hash} ({library}{effort})"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        try:
            return self._codec.encode(pixels, setting, effort=self.effort)
        except GlissandoError as error:
            raise BenchmarkError(f"{self.name}: {error}") from error

    def decode(self, data: bytes) -> Pixels:
        try:
            decoded = self._codec.decode(data)
        except GlissandoError as error:
            raise BenchmarkError(f"{self.name}: {error}") from error
        return rgb8(decoded, self.name)


def named_effort(name: str) -> tuple[str, int]:
    """A codec's name without its effort, and that: 8 for "glissando:medium@8", the default effort where it has none.

    Raises InputError for an effort that there is not.
    """
    before, _, number = name.rpartition("@")
    return (before, check_effort(int(number))) if before and number.isdecimal() else (name, DEFAULT_EFFORT)


def _codec_of(card: Card, opened_by: str, label: str, effort: int = DEFAULT_EFFORT) -> type[ModelCodec]:
    """The class of one model, which ``glissando.open_model(opened_by)`` opens, at an effort."""
    usual = effort == DEFAULT_EFFORT
    model = ModelInfo(
        name=card.name,
        hash=str(card.hash),
        parameters=int(card.parameters),
        encode_kmac_per_pixel=float(card.encode_kmac_per_pixel),
        decode_kmac_per_pixel=float(card.decode_kmac_per_pixel),
    )
    values = {
        "name": f"glissando:{opened_by}" if usual else f"glissando:{opened_by}@{effort}",
        "label": label if usual else f"{label}, effort {effort}",
        "effort": effort,
        "slow": schedule_of(effort) is not None,
        "opened_by": opened_by,
        "card": card,
        "model": model,
        "tuned_for": _tuned_for(card),
    }
    return type("ModelCodec", (ModelCodec,), values)


def _tuned_for(card: Card) -> str:
    """What the model was trained for, where its card tells it."""
    recipe = card.training.get("recipe")
    if not isinstance(recipe, dict):
        return ""
    distortion = str(recipe.get("rate", {}).get("distortion", "mse"))
    return {"mse": "squared error", "ms-ssim": "MS-SSIM", "eye": "SSIMULACRA 2 and squared error"}.get(distortion, "")


@family("glissando")
def _named(rest: str) -> type[Codec]:
    """Of "FOLDER", "FOLDER@EFFORT" and "NAME@EFFORT". Raises BenchmarkError where there is no such model or effort."""
    try:
        opened_by, effort = named_effort(rest)
        card = zoo.find(opened_by).card
    except (InputError, ModelError) as error:
        raise BenchmarkError(f"glissando:{rest}: {error}") from error
    # The name alone of a model in a folder may well be that of an installed model, measured beside it.
    within = "" if opened_by == card.name else f" ({Path(opened_by).resolve().name})"
    return _codec_of(card, opened_by, f"Glissando {card.name}{within}", effort)


for _card in {card.name: card for card in reversed(glissando.list_models())}.values():  # of each name the newest
    register(_codec_of(_card, _card.name, f"Glissando {_card.name}"))
