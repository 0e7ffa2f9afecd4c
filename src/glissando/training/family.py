"""What a family of picture models brings to a training: announced once, as ``TRAINING`` in its module ``training``.

TRAINING ─┬─ recipe            the tables of its TOML file, with their checks
          ├─ objective         its network, how it begins, its loss, its points of validation
          ├─ parameter_groups  which parameters learn at rates of their own
          ├─ reshaping         how its networks grow and lose channels
          ├─ export            its graphs and integers, and how they are verified
          ├─ cost              multiply-adds per pixel
          └─ …                 rules for reading checkpoints
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from numpy.typing import NDArray
from torch import Tensor, nn

from glissando.families import family
from glissando.networks.graphs import ExportedGraph

from .graph_export import Examples
from .optimiser import ParameterGroups, level_tables
from .recipe import PictureRecipe
from .reshaping import Reshaping

__all__ = ["FamilyExport", "Objective", "TrainingFamily", "training_of"]

RecipeType = TypeVar("RecipeType", bound=PictureRecipe)


class Objective(Protocol):
    """A family's part in a training; the trainer does all that is common."""

    qualities: tuple[float, ...]  # at which validation measures

    def build(self, sample: Tensor | None) -> nn.Module:
        """The network, initialised from ``sample`` (N, 3, 256, 256) in [0, 1] if the recipe wants that."""

    def begin(self, step: int, share: float) -> float:
        """Called before each step, with the share of the schedule that is done; returns a factor on learning rates."""

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each picture's part of the loss, its bpp, and its MSE of pixels in [0, 1]; all (B,)."""

    def constrain(self, network: nn.Module) -> None:
        """Called after each step: bring weights back to where they are allowed to be, in place."""

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Bits (B,) and the reconstruction (B, 3, H, W), as near to what a file would give as this stage can tell."""

    def scores(self, levels: Tensor, picture: Tensor) -> dict[str, Tensor]:
        """Metrics by name, (B,), that validation reports beside PSNR; of 8-bit pixels (B, 3, H, W) in [0, 1]."""


class FamilyExport(ABC):
    """A family's part in an export: a trained network on its way into a model's folder."""

    encoder_parts: ClassVar[tuple[str, ...]] = ()
    """Prefixes of the names of parameters that only an encoder needs."""
    integer_parts: ClassVar[tuple[str, ...]] = ()
    """Prefixes of the names of parameters that only integers.npz holds."""

    analysis: ClassVar[str | None] = None
    """The module of the network that the first of the encoder's graphs begins with, where that graph may be written a
    second time, in 8-bit integers: it takes pictures (B, 3, H, W) in [0, 1]."""

    network: nn.Module
    integers: dict[str, NDArray[Any]]
    """What goes into integers.npz."""
    arrays: Mapping[str, dict[str, NDArray[Any]]] = {}
    """What goes into decoder.npz and encoder.npz beside the weights."""

    @abstractmethod
    def __init__(self, recipe: Any, weights: dict[str, Tensor], data: Path | None = None) -> None:
        """From the family's recipe and weights as they are shipped; ``data``: the folder of the training's shards."""

    @abstractmethod
    def graphs(self) -> dict[str, ExportedGraph]:
        """What is written as NAME.onnx. Among them are "decode" and "decode-8bit", which are ``PixelGraph``s."""

    @abstractmethod
    def examples(self) -> Examples:
        """Example inputs of its graphs."""

    @abstractmethod
    def verify(self, folder: Path) -> dict[str, float]:
        """Check what was written against torch; the largest difference of each graph. Raises TrainingError."""


def _no_weights(configuration: Mapping[str, Any], integers: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {}


def _as_written(recipe: dict[str, Any]) -> dict[str, Any]:
    return recipe


@dataclass(frozen=True)
class TrainingFamily(Generic[RecipeType]):
    """Everything that training, export and reading checkpoints ask of a family."""

    recipe: type[RecipeType]
    objective: Callable[[RecipeType], Objective]
    export: type[FamilyExport]
    """Made from a recipe, trained weights as they are shipped, and the folder of the training's data where it was
    given."""
    cost: Callable[[nn.Module, str], dict[str, float]]
    """Thousands of multiply-adds per pixel of each part of a network on the path "encode" or "decode", and "total"."""
    parameter_groups: ParameterGroups = level_tables
    reshaping: Reshaping[Any] = field(default_factory=Reshaping)
    """How its networks grow and lose channels."""
    integer_weights: Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]]], dict[str, Tensor]] = _no_weights
    """Those parameters of a shipped model that its folder holds as integers alone, from its recipe's ``network`` table
    and integers.npz. Raises KeyError or RuntimeError where they do not fit."""
    unweighted: tuple[str, ...] = ()
    """Keys of the recipe's ``network`` table that change what a network computes, but not the shapes of its weights:
    weights that were trained with another value would still fit."""
    written_before: Callable[[dict[str, Any]], dict[str, Any]] = field(default=_as_written)
    """A recipe as an earlier version of the family wrote it → what it means in today's keys."""


def training_of(name: str) -> TrainingFamily[Any]:
    """What the family of this name brings to a training. Raises ModelMismatchError where there is none."""
    found: TrainingFamily[Any] = family(name).training
    return found
