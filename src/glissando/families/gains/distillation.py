"""A teacher's part in the loss of a student: pixels and latents that the teacher has for the same pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from glissando.errors import TrainingError
from glissando.training.checkpoints import load_checkpoint
from glissando.training.distortion import mse

from .network import Forward, GainsNetwork
from .recipe import Distillation
from .reshaping import config_of

__all__ = ["Teacher", "watched_latents"]


@contextlib.contextmanager
def watched_latents(network: GainsNetwork) -> Iterator[list[Tensor]]:
    """The latents (B, latents, h, w) that the network's analysis makes while the ``with`` block runs."""
    seen: list[Tensor] = []
    hook = network.analysis.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        hook.remove()


class Teacher:
    """A trained network that stays as it is.

    Raises TrainingError where ``recipe.teacher`` is no checkpoint of the family or has other latents than the student.
    """

    def __init__(self, recipe: Distillation, student: GainsNetwork) -> None:
        state = load_checkpoint(Path(recipe.teacher))
        if state["recipe"]["family"] != "gains":
            raise TrainingError(
                f"distil.teacher: {recipe.teacher} is a model of the family {state['recipe']['family']}"
            )
        self.recipe, self.network = recipe, GainsNetwork(config_of(state["recipe"]["network"]))
        try:
            self.network.load_state_dict(state["ema"])
        except RuntimeError as error:
            raise TrainingError(f"distil.teacher: {recipe.teacher} cannot be read: {error}") from error
        if self.network.config.latents != student.config.latents:
            raise TrainingError(
                f"distil.teacher: {recipe.teacher} has {self.network.config.latents} latents, the student "
                f"{student.config.latents}"
            )
        self.network.to(next(student.parameters()).device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.eval().requires_grad_(False)

    def loss(self, out: Forward, latents: Tensor, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """255²·MSE to the teacher's pixels, and the latents' squared error in bpp; both (B,), by the recipe's weights.

        ``out`` and ``latents``: what the student has made of ``picture`` at ``quality``. The teacher's symbols are
        rounded, as in a file.
        """
        with torch.no_grad(), watched_latents(self.network) as seen:
            known = self.network(picture, quality, noise=False)
        gain = torch.exp2(self.network.gain(self.network.position(quality)))
        apart = ((latents.float() - seen[0].float()) * gain).square().mean((1, 2, 3))
        pixels = 255**2 * mse(out.reconstruction, known.reconstruction)
        return self.recipe.pixels * pixels, self.recipe.latents * apart
