"""What a family of models is to the rest of the package, and which families there are.

A family is a way to code pictures: what its latents are, which networks make them and read them, and how they become
symbols. Everything of one family stands in one package. The package's ``__init__`` announces it with a constant
``FAMILY``, and its other modules are imported only when they are first used:

    PACKAGE/__init__.py     FAMILY, a Family; imports nothing but this module and plain arithmetic
    PACKAGE/coding.py       CODING, the numpy half: latents to symbols and back (``glissando.codec.coding``)
    PACKAGE/refinement.py   REFINEMENT, if it has one: its latents as variables (``glissando.codec.refinement``)
    PACKAGE/training.py     TRAINING, the torch half: recipe, network, objective, export

So decoding never imports torch, and looking at a family's announcement imports neither half.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from glissando.errors import InputError, ModelMismatchError

from .reach import one_cell

__all__ = ["Family", "families", "family", "register"]


@dataclass(frozen=True)
class Family:
    """A family's announcement.

    Attributes:
        name: what cards and recipes call it.
        package: the package that holds it, for instance ``glissando.families.gains``.
        codes: what it codes, in one sentence.
        encoder_graphs: graphs that only an encoder runs. The first is the analysis: from uint8 pixels (1, H, W, 3),
            its input "pixels", to the latents. It turns them into real numbers itself, and so takes float32 from 0 to
            255 in their place, where samples have more than 8 bits (``onnx_graph.with_real_input``).
        decoder_graph: the graph from decoded latents to pixels: float32 (1, H, W, 3), 0 is black and 1 is white,
            neither clamped nor rounded.
        decoder_graph_8bit: the same graph followed by clamping and rounding to uint8, whose output has a
            quarter of the bytes; None where the family has none, so that ``codec.pixels`` rounds, as for other depths.
        pixels_per_latent: pixels that one latent covers, each way; None where it differs from model to model.
        last_layer: the name of the pointwise layer that makes the 3·8·8 samples of each patch of 8 by 8 pixels, in the
            order of a pixel shuffle and less ½, at the end of the decoder graph; None where there is no such layer. By
            it pictures are decoded smaller (``codec.painting``), and without it at the cost of the whole.
        latents_layer: the name of the first layer of the synthesis, which reads the latents; None where there is none.
        takes_quality_field: whether its files may have a quality that differs from place to place.
        refines: whether its latents can be refined for a picture; its package then has a module ``refinement``.
        encoder_keys: prefixes of the keys of a recipe's ``network`` table that no decoder depends on.
        decoder_halo: from the configuration of a model's networks, the pixels around a window on which its pixels can
            depend: a multiple of 64, and at least that.
        encoder_halo: the same for its latents.
    """

    name: str
    package: str
    codes: str
    encoder_graphs: tuple[str, ...] = ("analysis",)
    decoder_graph: str = "decode"
    decoder_graph_8bit: str | None = "decode-8bit"
    pixels_per_latent: int | None = 16
    last_layer: str | None = None
    latents_layer: str | None = None
    takes_quality_field: bool = False
    refines: bool = False
    encoder_keys: tuple[str, ...] = ("analysis_",)
    decoder_halo: Callable[[Mapping[str, Any]], int] = one_cell
    encoder_halo: Callable[[Mapping[str, Any]], int] = one_cell

    def decoder_configuration(self, network: Mapping[str, Any]) -> dict[str, Any]:
        """The keys of a recipe's ``network`` table that shape a decoder; they are part of the model's hash."""
        return {key: value for key, value in network.items() if not key.startswith(self.encoder_keys)}

    def encoder_configuration(self, network: Mapping[str, Any]) -> dict[str, Any]:
        """The other keys of a recipe's ``network`` table, on which no decoder depends."""
        return {key: value for key, value in network.items() if key.startswith(self.encoder_keys)}

    @cached_property
    def coding(self) -> Any:
        """What makes the codec's half from a model and an engine; see ``glissando.codec.coding.Coding``."""
        return importlib.import_module(f"{self.package}.coding").CODING

    @cached_property
    def refinement(self) -> Any:
        """What makes ``glissando.codec.refinement.Refinement`` from a model and its coding, where it ``refines``."""
        return importlib.import_module(f"{self.package}.refinement").REFINEMENT

    @cached_property
    def training(self) -> Any:
        """What the trainer needs of the family. Imports torch."""
        return importlib.import_module(f"{self.package}.training").TRAINING


_PACKAGES = {name: f"glissando.families.{name}" for name in ("gains", "vae", "content")}
"""The package of each family by its name. Those of this package are known without being imported."""


def register(package: str) -> Family:
    """Add a family from outside this package; ``package`` is imported and must have a constant ``FAMILY``.

    Registering the same package again changes nothing.

    Raises:
        InputError: the package cannot be imported, announces no family or one of another package, or its name is
            another family's.
    """
    found = _announced(package)
    if _PACKAGES.setdefault(found.name, package) != package:
        raise InputError(f"{package} announces a family {found.name!r}, which {_PACKAGES[found.name]} is already")
    return found


def family(name: str) -> Family:
    """The family of that name. Raises ModelMismatchError where none is registered."""
    if name not in _PACKAGES:
        raise ModelMismatchError(
            f"the family {name!r} is not known; there are {', '.join(_PACKAGES)} "
            "(glissando.families.register adds others)"
        )
    return _announced(_PACKAGES[name])


def families() -> tuple[Family, ...]:
    """All registered families, those of this package first."""
    return tuple(map(_announced, _PACKAGES.values()))


def _announced(package: str) -> Family:
    try:
        found = importlib.import_module(package).FAMILY
    except (ImportError, AttributeError) as error:
        raise InputError(f"{package} cannot be used as a family: {error}") from error
    if not isinstance(found, Family) or found.package != package:
        raise InputError(f"{package}.FAMILY must be a Family whose package is {package!r}, not {found!r}")
    return found
