"""What may decide the scales? Four answers at equal training, everything else frozen.

    python -m benchmarks.ablation CHECKPOINT [--data DIR] [--steps 600] [--pictures N] [--json out.json]

From one trained model, copies of the scale network are trained side by side for the same steps on the
same crops, to lower the latents' bits alone:

- z            scales of both passes from the hyper-latents' symbols (integers);
- symbols      the second pass also sees magnitudes of the first pass's symbols (integers): what ships;
- unrounded    the same network in floats, without rounding: what the integers cost;
- float        the second pass sees the decoded latents themselves, through a float network of the same
               shape: what other codecs do, and what only identical machines can decode.

Printed: bits per pixel of the latents on the Kodak pictures at several qualities. CHECKPOINT is a trainer's
file or a shipped model's folder. Needs ``glissando[train]``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from glissando.errors import GlissandoError, TrainingError
from glissando.families.gains.network import GainsNetwork, scale_network
from glissando.families.gains.recipe import GainsRecipe
from glissando.families.gains.scale_network import ScaleNetwork
from glissando.files import atomic_write
from glissando.networks.layers import Pointwise, first_pass_mask
from glissando.training.data import Crops, load_tiles
from glissando.training.loop import load_checkpoint
from glissando.training.optimiser import learning_factor, set_rates
from glissando.training.recipe import from_dict

from .data import Picture, data_folder, load_pictures

QUALITIES = (20.0, 50.0, 80.0)
VARIANTS = ("z", "symbols", "unrounded", "float")
SECOND = ("near", "second")  # what the names of the second pass's layers begin with
LEARNING_RATE, WARMUP = 1e-3, 50  # of AdamW, decaying to zero; steps


class FloatContext(nn.Module):
    """The second pass's correction from decoded latents: the shape of the integer layers, in floats."""

    def __init__(self, latents: int, width: int = 96) -> None:
        super().__init__()
        self.near = nn.Conv2d(latents, latents, 5, padding=2, groups=latents)
        self.mix = Pointwise(2 * latents, width)
        self.out = Pointwise(width, latents)
        nn.init.constant_(self.near.weight, 2 / 25)
        for layer in (self.near, self.mix, self.out):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.out.weight)

    def forward(self, values: Tensor, scales: Tensor) -> Tensor:
        near = torch.relu(self.near(values.abs()))
        out: Tensor = self.out(torch.relu(self.mix(torch.cat([near, scales], 1))))
        return out


class Heads(nn.Module):
    """The variants, each with its own copy of everything it may train."""

    def __init__(self, network: GainsNetwork) -> None:
        super().__init__()
        self.scales = nn.ModuleDict({f"{name}_scales": self._fresh(network) for name in VARIANTS})
        self.context = FloatContext(network.config.latents)
        for name in VARIANTS:
            scales = self.scales[f"{name}_scales"]
            assert isinstance(scales, ScaleNetwork)
            scales.set_exact(name in ("z", "symbols"))

    @staticmethod
    def _fresh(network: GainsNetwork) -> ScaleNetwork:
        """The trained first pass, and a second pass that knows nothing yet: the same start for all."""
        scales = scale_network(network.config)
        trained = {name: weight for name, weight in network.scales.state_dict().items() if not name.startswith(SECOND)}
        scales.load_state_dict({**scales.state_dict(), **trained})
        return scales.requires_grad_(True)

    def forward(self, name: str, z: Tensor, offset: Tensor, symbols: Tensor, values: Tensor, gain: Tensor) -> Tensor:
        """Scales of both passes; ``symbols`` and ``values`` of the first pass, zero elsewhere."""
        scales = self.scales[f"{name}_scales"]
        assert isinstance(scales, ScaleNetwork)
        first = scales.first(z) + offset
        if name == "z":
            return first
        known = first.detach()
        correction = self.context(values * gain, known) if name == "float" else scales.second(symbols.abs(), known)
        mask = first_pass_mask(first.shape[1], first.shape[2], first.shape[3])
        return torch.where(mask, first, first + correction)


@torch.no_grad()
def frozen(network: GainsNetwork, picture: Tensor, quality: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """All that the scales may be computed from, and the residuals that they describe."""
    position = quality * ((network.config.levels - 1) / 100)
    y = network.analysis(picture)
    hyper_gain = network.hyper_gain(position)
    z = torch.round(network.hyper_analysis(y) * torch.exp2(hyper_gain)) * torch.exp2(-hyper_gain)
    gain, inverse = torch.exp2(network.gain(position)), torch.exp2(network.inverse_gain(position))
    features, means = network.means(z, position)
    mask = first_pass_mask(y.shape[1], y.shape[2], y.shape[3])
    first = (y - means) * gain
    symbols = torch.round(first) * mask
    values = (means + symbols * inverse) * mask
    second = (y - network.context(features, values)) * gain
    known = {
        "z": z,
        "offset": network.scale_offset(position),
        "symbols": symbols,
        "values": values,
        "gain": gain,
    }
    return known, torch.where(mask, first, second)


def open_network(checkpoint: Path) -> GainsNetwork:
    """The averaged weights, frozen. Raises TrainingError where they are not of the main family, with two steps."""
    state = load_checkpoint(checkpoint)
    recipe = from_dict(state["recipe"])
    if not isinstance(recipe, GainsRecipe):
        raise TrainingError(f"{checkpoint} is of the family {recipe.family}; this measures the main family")
    if recipe.network.context_steps != 2:
        raise TrainingError(f"{checkpoint} codes in {recipe.network.context_steps} steps; this measures two")
    network = GainsNetwork(recipe.network)
    network.load_state_dict(state["ema"])
    return network.eval().requires_grad_(False)


def train_heads(network: GainsNetwork, crops: Crops, steps: int) -> Heads:
    """All variants on the same crops, at qualities spread over each batch."""
    torch.manual_seed(0)
    heads = Heads(network)
    optimiser = torch.optim.AdamW([{"params": list(heads.parameters()), "peak": LEARNING_RATE}], weight_decay=0.0)
    started = time.monotonic()
    for step in range(steps):
        set_rates(optimiser, learning_factor(step, step / steps, WARMUP, 1.0))
        picture = crops.next()
        quality = 100 * (torch.arange(len(picture)) + torch.rand(())) / len(picture)
        known, residual = frozen(network, picture, quality)
        noisy = residual + torch.rand_like(residual) - 0.5
        bits = {name: total / noisy.numel() for name, total in _bits(network, heads, known, noisy).items()}
        optimiser.zero_grad()
        sum(bits.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % 50 == 0:
            text = "  ".join(f"{name} {float(value.detach()):.4f}" for name, value in bits.items())
            seconds = time.monotonic() - started
            print(f"step {step + 1}: bits per latent  {text}  {seconds:.0f} s", file=sys.stderr, flush=True)
    return heads


def _bits(network: GainsNetwork, heads: Heads, known: dict[str, Tensor], residual: Tensor) -> dict[str, Tensor]:
    """Each variant's bits for all of ``residual``."""
    late = ~first_pass_mask(*residual.shape[1:])
    return {name: network.likelihood.bits(residual, heads(name, **known), late).sum() for name in VARIANTS}


@torch.no_grad()
def measure(network: GainsNetwork, heads: Heads, pictures: Sequence[Picture]) -> list[dict[str, float]]:
    """For each quality, each variant's bits per pixel of the latents, mean over the pictures."""
    rows = []
    for quality in QUALITIES:
        row = {"quality": quality, **dict.fromkeys(VARIANTS, 0.0)}
        for picture in pictures:
            height, width = picture.pixels.shape[:2]
            pixels = torch.tensor(picture.pixels).permute(2, 0, 1)[None].float() / 255
            known, residual = frozen(network, pixels, torch.tensor([quality]))
            for name, bits in _bits(network, heads, known, torch.round(residual)).items():
                row[name] += float(bits) / (height * width * len(pictures))
        rows.append(row)
    return rows


def markdown(rows: Sequence[dict[str, float]]) -> str:
    """The table: bits per pixel, and what the second variant needs more than each other."""
    lines = [
        "| quality | z alone | z and symbols, integers | the same unrounded | float context "
        "| integers to z alone | to unrounded | to float context |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        bits_per_pixel = [f"{row[name]:.4f}" for name in VARIANTS]
        against = [f"{100 * (row['symbols'] / row[name] - 1):+.2f} %" for name in VARIANTS if name != "symbols"]
        lines.append("| " + " | ".join([f"{row['quality']:.0f}", *bits_per_pixel, *against]) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, help="folder that holds kodak/ and train/; $GLISSANDO_DATA unless given")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=192, help="pixels, a multiple of 64")
    parser.add_argument("--pictures", type=int, help="as many Kodak pictures, instead of all")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    if min(given.steps, given.batch, given.crop) < 1 or given.crop % 64:
        parser.error("--steps and --batch must be positive, --crop a positive multiple of 64")
    try:
        network = open_network(given.checkpoint)
        data = data_folder(given.data)
        pictures = load_pictures(data, given.pictures)
        tiles = load_tiles(data / "train").training
        generator = torch.Generator().manual_seed(0)
        crops = Crops(tiles, given.crop, given.batch, generator, halved=0.5, choices=2)
        rows = measure(network, train_heads(network, crops, given.steps), pictures)
        if given.json:
            atomic_write(given.json, (json.dumps({"steps": given.steps, "rows": rows}, indent=2) + "\n").encode())
    except (OSError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(f"Latents' bits per pixel on {len(pictures)} Kodak pictures, {given.steps} steps each\n\n{markdown(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
