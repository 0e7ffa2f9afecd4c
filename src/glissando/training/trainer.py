"""One training's network, optimisers and state, and what a step does. CPU or CUDA, one process or one of several."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from glissando.errors import RecipeError, TrainingError
from glissando.files import atomic_file
from glissando.networks.masks import MaskedNetwork

from .checkpoints import Progress, load_checkpoint
from .crops import Crops, send
from .data import Tiles
from .distributed import ALONE, Processes
from .family import training_of
from .optimiser import Muon, WhitenedMuon, build_optimisers, set_rates
from .recipe import PictureRecipe

__all__ = ["FIGURES", "Trainer", "begun"]

VALIDATION_TILES = 48
LONGEST_REASON = 300  # characters of a compiler's message that the log shows; they may be hundreds of lines
MOMENTA = ("momentum", "exp_avg")  # what optimisers keep of each parameter, in its shape
FIGURES = ("loss", "bpp", "psnr", "norm")
"""What each step measures, in this order."""


class Trainer:
    """Network, optimisers and state of one training.

    Parameters: ``recipe``; ``tiles`` decoded; ``device``; ``out``, the folder for ``last.pt`` and logs; ``processes``
    that share each batch, RecipeError where they cannot; ``fresh``, false where ``resume`` follows and the network may
    begin as anything. Raises RecipeError where ``run.learns`` names what the network does not have.
    """

    def __init__(
        self,
        recipe: PictureRecipe,
        tiles: Tiles,
        device: torch.device,
        out: Path,
        processes: Processes = ALONE,
        *,
        fresh: bool = True,
    ) -> None:
        self.recipe, self.device, self.out, self.processes = recipe, device, out, processes
        self.family = training_of(recipe.family)
        self.objective = self.family.objective(recipe)
        torch.manual_seed(recipe.run.seed)
        self.generator = torch.Generator().manual_seed(recipe.run.seed)
        self.pictures = processes.share(recipe.data.batch)  # the part of each batch that this process works on
        fitted = fresh and recipe.run.initial != "random"
        sample = Crops(tiles.training, 256, 256, torch.Generator().manual_seed(0)).next() if fitted else None
        self.network = self.objective.build(sample)
        _freeze_all_but(self.network, recipe.run.learns)
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = copy.deepcopy(self.network).requires_grad_(False)
        processes.share_weights(self.network, self.ema)
        self.crops = Crops(
            tiles.training.to(device),
            recipe.data.crop,
            recipe.data.batch,
            self.generator,
            halved=recipe.data.halved,
            choices=recipe.data.choices,
            procedural=recipe.data.procedural,
            drawn=recipe.data.drawn,
            share=self.pictures,
        )
        size = min(256, tiles.validation.shape[-1])
        self.validation = tiles.validation[:VALIDATION_TILES, :, :size, :size].to(device)
        self.optimisers = self._build_optimisers()
        self.progress = Progress()
        self.data = tiles.describe()
        self.autocast = False
        self.share = 0.0  # the share of the schedule that is done, by pictures or by minutes
        self.warm_from = 0  # the step that the warm-up of the learning rates counts from
        self.waits = device.type == "cpu"  # whether a step may wait for what it computes; a GPU would be idle meanwhile
        self.watch: Callable[[str], None] = lambda part: None  # called after each part of a step, by its name
        self._backend = ""  # what compiles the network, if anything does
        self.cutting = 0.0  # seconds that the steps spent asking for crops
        self._skipped = torch.zeros((), device=device)  # skipped steps that progress.skipped does not count yet
        processes.seed_noise(recipe.run.seed, 0)

    def _build_optimisers(self) -> list[Optimizer]:
        return build_optimisers(
            self.network, self.recipe.optimiser, self.processes, parameter_groups=self.family.parameter_groups
        )

    # One step ---------------------------------------------------------------------------------------

    def loss(self, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss (scalar), bpp (B,) and MSE of pixels in [0, 1] (B,)."""
        context = torch.autocast(self.device.type, torch.bfloat16) if self.autocast else contextlib.nullcontext()
        with context:
            each, bpp, mse = self.objective.loss(self.network, picture, quality)
        if most := self.recipe.optimiser.outlier:
            known = each.detach()
            each = each * (most * known.median() / known).clamp_max(1)
        return each.mean(), bpp.detach(), mse.detach()

    def draw(self) -> tuple[Tensor, Tensor]:
        """This process's crops and a quality for each. A batch's qualities are evenly spread over [0, 100], from a
        random offset on.
        """
        batch = self.recipe.data.batch
        offset = torch.rand((), generator=self.generator)
        quality = 100 * ((torch.arange(batch) + offset) / batch)
        return self.crops.next(), send(quality[self.pictures], self.device)

    def step(self, factor: float) -> dict[str, float]:
        """Do ``advance``; return its figures and "data", the share of the time that was spent on crops."""
        started, cutting = time.perf_counter(), self.cutting
        figures = dict(zip(FIGURES, self.advance(factor).tolist(), strict=True))
        self.count_skipped()
        return {**figures, "data": (self.cutting - cutting) / (time.perf_counter() - started)}

    def advance(self, factor: float) -> Tensor:
        """One optimiser step at ``factor`` times the recipe's learning rates; its FIGURES, left on the device.

        Nothing here waits for a GPU. A step whose loss or gradient is not finite is skipped, and counted by
        ``count_skipped``. On a CPU it changes nothing. On a GPU the optimisers see it there and leave weights and
        momenta as they are, while the averaged weights still move towards the current ones.
        """
        factor *= self.objective.begin(self.progress.step, self.share)
        started = time.perf_counter()
        picture, quality = self.draw()
        self.cutting += time.perf_counter() - started
        self.watch("crops")
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
            if isinstance(optimiser, WhitenedMuon):
                optimiser.look(lambda: self.loss(picture, quality), self.progress.step - self.warm_from)
                self.watch("looks")
        loss, bpp, mse = self.loss(picture, quality)
        self.watch("forward")
        loss.backward()  # type: ignore[no-untyped-call]
        self.watch("backward")
        figures = torch.stack([loss.detach(), bpp.mean(), (-10 * torch.log10(mse)).mean()]).float()
        parameters = list(self.network.parameters())
        self.processes.average([figures, *(p.grad for p in parameters if p.grad is not None)])
        norm = nn.utils.clip_grad_norm_(parameters, self.recipe.optimiser.clip)
        self.watch("gradients")
        self._update(factor, torch.isfinite(figures[0]) & torch.isfinite(norm))
        self.progress.count(self.recipe.data.batch)
        if (after := self.family.reshaping.successor(self.recipe, self.network, self.ema)) is not None:
            self._go_on_with(*after)
        return torch.cat([figures, norm[None]])

    def _go_on_with(self, recipe: PictureRecipe, network: nn.Module, average: nn.Module) -> None:
        """Train another network from here on. A warm-up rebuilds the optimisers' state."""
        qualities = self.objective.qualities
        self.recipe, self.objective = recipe, self.family.objective(recipe)
        self.objective.qualities = qualities
        _freeze_all_but(network, recipe.run.learns)
        self.network, self.ema = (
            each.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            for each in (network, average)
        )
        self.optimisers = self._build_optimisers()
        self.use_bfloat16(self.autocast)
        self.warm_from = self.progress.step
        if self._backend:
            self.compile(self._backend)

    def _update(self, factor: float, finite: Tensor) -> None:
        """Optimisers, constraints and averages. ``finite``: a scalar on the device, whether the step counts."""
        skip = None
        if not self.waits:
            skip = (~finite).float()
            self._skipped += skip
        elif not finite:
            self._skipped += 1
            return
        for optimiser in self.optimisers:
            set_rates(optimiser, factor)
            optimiser.found_inf = skip  # type: ignore[attr-defined]  # as GradScaler tells a fused optimiser
            optimiser.step()
            self.watch(type(optimiser).__name__)
        self.objective.constrain(self.network)
        self.watch("constraints")
        self._average()
        self.watch("averaging")

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights towards the current ones, in the first steps faster."""
        decay = min(self.recipe.optimiser.ema, (1 + self.progress.step) / (10 + self.progress.step))
        average: list[Tensor] = list(self.ema.parameters())
        current: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(average, current, 1 - decay)

    def count_skipped(self) -> None:
        """Bring ``progress.skipped`` up to date; this waits for a GPU."""
        self.progress.skipped += int(self._skipped)
        self._skipped.zero_()

    def compile(self, backend: str = "inductor") -> None:
        """Have PyTorch fuse the network's passes: a minute or more at the first step, and again for another shape.

        Values that change from step to step, such as weights of the loss, stay outside, as each would be compiled anew.
        """
        self._backend = backend
        self.network.compile(backend=backend)

    def compile_if_possible(self, backend: str = "inductor") -> str:
        """Compile, and do one step's passes. Where a compiler fails at that, train uncompiled, and return its message.

        Draws nothing from the training's random numbers.
        """
        self.compile(backend)
        try:
            with self._same_draws():
                self.loss(*self.draw())[0].backward()  # type: ignore[no-untyped-call]
        except Exception as error:  # of any compiler, and of what it calls
            self._backend = ""
            self.network._compiled_call_impl = None
            return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]
        finally:
            self.network.zero_grad(set_to_none=True)
        return ""

    @contextlib.contextmanager
    def _same_draws(self) -> Iterator[None]:
        """Put all random numbers back to where they were before."""
        before = self.generator.get_state(), self._noise_state()
        try:
            yield
        finally:
            self.generator.set_state(before[0])
            self._set_noise_state(before[1])

    # Measuring --------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self) -> list[dict[str, float]]:
        """Measure the averaged weights on held-out pictures: 8-bit pixels, and bits by the model's own estimate."""
        rows: list[dict[str, float]] = []
        if not len(self.validation):
            return rows  # a small data set may have no held-out pictures
        for q in self.objective.qualities:
            bpp, psnr = 0.0, 0.0
            others: dict[str, float] = {}
            for tile in self.validation.split(8):  # type: ignore[no-untyped-call]
                picture = tile.float().div(255).contiguous(memory_format=torch.channels_last)
                quality = torch.full((len(tile),), q, device=self.device)
                bits, reconstruction = self.objective.measure(self.ema, picture, quality)
                levels = (reconstruction.clamp(0, 1) * 255).round() / 255
                mse = (levels - picture).square().mean((1, 2, 3)).clamp_min(1e-10)
                bpp += float(bits.sum()) / picture[0, 0].numel()
                psnr += float((-10 * torch.log10(mse)).sum())
                for name, values in self.objective.scores(levels, picture).items():
                    others[name] = others.get(name, 0.0) + float(values.sum())
            count = len(self.validation)
            rows.append({"quality": q, "bpp": bpp / count, "psnr": psnr / count})
            rows[-1] |= {name: total / count for name, total in others.items()}
        return rows

    def choose_precision(self) -> float:
        """Time the work of two steps in what the recipe computes in, use it, and return the seconds of one step.

        "fastest" times float32 and bfloat16 autocast, as many processors only emulate bfloat16, thirty times slower
        than float32. Draws nothing from the training's random numbers. The first process chooses for all.
        """
        times = {}
        wanted = self.recipe.run.precision
        with self._same_draws():
            for autocast in (False, True) if wanted == "fastest" else (wanted == "bfloat16",):
                self.autocast = autocast
                for turn in range(2):
                    started = time.perf_counter()
                    picture, quality = self.draw()
                    self.loss(picture, quality)[0].backward()  # type: ignore[no-untyped-call]
                    if self.device.type == "cuda":
                        torch.cuda.synchronize()
                    if turn:
                        times[autocast] = time.perf_counter() - started
                if not autocast and times[autocast] > 20:
                    break  # one measurement is enough on a machine this slow
        self.network.zero_grad(set_to_none=True)
        fastest = min(times, key=lambda key: times[key])
        self.use_bfloat16(bool(self.processes.agree(fastest)))
        return self.processes.agree(times[fastest])

    def use_bfloat16(self, wanted: bool) -> None:
        """Matrix products of the networks and of Muon in bfloat16 or in float32; weights stay float32."""
        self.autocast = wanted
        for optimiser in self.optimisers:
            if isinstance(optimiser, Muon):
                optimiser.precision = torch.bfloat16 if wanted else torch.float32

    # Checkpoints ------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything that a resumed training needs; the file appears whole or not at all."""
        self.count_skipped()
        state = {
            "recipe": self.recipe.to_dict(),
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "generator": self.generator.get_state(),
            "noise": {self.device.type: self._noise_state()},
            "progress": self.progress.__dict__,
            "data": self.data,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path, sync=True) as stream:
            torch.save(state, stream)

    def _noise_state(self) -> Tensor:
        """State of the generator that the additive noise is drawn from."""
        return torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else torch.get_rng_state()

    def _set_noise_state(self, state: Tensor) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state, self.device)
        else:
            torch.set_rng_state(state)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint, or from a shipped model's weights (a short warm-up rebuilds the rest).

        The checkpoint's network may differ from the recipe's as far as the family's ``Reshaping`` can make up for it.
        """
        state = load_checkpoint(path)
        saved, ours, usual = state["recipe"]["network"], self.recipe.network, type(self.recipe.network)()
        for key in self.family.unweighted:
            before, now = saved.get(key, getattr(usual, key)), getattr(ours, key)
            if before != now:
                raise TrainingError(f"{path} was trained with network.{key} = {before}, this recipe says {now}")
        try:
            own, average = (
                self.family.reshaping.weights_for(self.network, saved, weights, self.recipe.run.learns)
                for weights in (state.get("network", state["ema"]), state["ema"])
            )
            self.network.load_state_dict(own)
            self.ema.load_state_dict(average)
            _take_still(self.network, self.ema)
        except (RuntimeError, TrainingError) as error:
            raise TrainingError(f"{path} does not fit this recipe's network: {error}") from error
        self.progress = Progress(**state["progress"])
        try:
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                _take_state(optimiser, saved)
            self.generator.set_state(state["generator"])
            if self.device.type in state.get("noise", {}):
                self._set_noise_state(state["noise"][self.device.type])
        except (KeyError, ValueError, IndexError):
            # Shipped weights carry no optimiser state, and another recipe's does not fit: the warm-up rebuilds it.
            self.optimisers = self._build_optimisers()
            self.warm_from = self.progress.step
        self.processes.share_weights(self.network, self.ema)
        self.processes.seed_noise(self.recipe.run.seed, self.progress.step)


def _freeze_all_but(network: nn.Module, learns: tuple[str, ...]) -> None:
    """Let only parameters learn whose names begin in one of these ways, if any is given; masks learn in any case.

    Raises RecipeError where no name begins so.
    """
    network = network.network if isinstance(network, MaskedNetwork) else network
    names = [name for name, _ in network.named_parameters()]
    for beginning in learns:
        if not any(name.startswith(beginning) for name in names):
            raise RecipeError(f"run.learns: no parameter of the network begins with {beginning!r}")
    if learns:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.startswith(learns))


def begun(
    recipe: PictureRecipe,
    tiles: Tiles,
    device: torch.device,
    out: Path,
    processes: Processes = ALONE,
    resume: Path | None = None,
) -> Trainer:
    """A trainer at the start of a training, or where the checkpoint or model's folder ``resume`` has come to."""
    if resume is not None:
        saved = load_checkpoint(resume)["recipe"]
        if saved["family"] == recipe.family:  # of another family: ``Trainer.resume`` says what does not fit
            recipe = training_of(recipe.family).reshaping.resumed_recipe(recipe, saved["network"])
    trainer = Trainer(recipe, tiles, device, out, processes, fresh=resume is None)
    if resume is not None:
        trainer.resume(resume)
    return trainer


@torch.no_grad()
def _take_still(network: nn.Module, average: nn.Module) -> None:
    """Where parameters do not learn, have the network compute with the averaged ones, which are exported."""
    for own, kept in zip(network.parameters(), average.parameters(), strict=True):
        if not own.requires_grad:
            own.copy_(kept)


def _take_state(optimiser: Optimizer, saved: dict[str, Any]) -> None:
    """Take momenta from a checkpoint; rates and other settings stay this recipe's.

    Raises ValueError, KeyError or IndexError where they are those of another network.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for index, state in saved["state"].items():
        size = parameters[index].numel()
        if any(state[key].numel() != size for key in MOMENTA if key in state):
            raise ValueError(f"momenta of another shape than the {size} numbers of parameter {index}")
    own = optimiser.state_dict()["param_groups"]
    groups = [{**ours, "params": theirs["params"]} for ours, theirs in zip(own, saved["param_groups"], strict=True)]
    optimiser.load_state_dict({"state": saved["state"], "param_groups": groups})
