"""What may decide the scales? Four answers at equal training, everything else frozen.

    python -m benchmarks.ablation CHECKPOINT [--data DIR] [--steps 600] [--json out.json]

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
import copy
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from glissando.models import CodecNetwork
from glissando.models.codec import first_pass_mask
from glissando.models.layers import Pointwise
from glissando.models.scales import IntegerConv, ScaleNetwork
from glissando.training.data import Crops, load_tiles
from glissando.training.loop import load_checkpoint
from glissando.training.recipe import Recipe, from_dict

QUALITIES = (20.0, 50.0, 80.0)
VARIANTS = ("z", "symbols", "unrounded", "float")


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

    def __init__(self, network: CodecNetwork) -> None:
        super().__init__()
        self.scales = nn.ModuleDict({f"{name}_scales": self._fresh(network.scales) for name in VARIANTS})
        self.context = FloatContext(network.config.latents)

    @staticmethod
    def _fresh(trained: ScaleNetwork) -> ScaleNetwork:
        """The trained first pass, and a second pass that knows nothing yet: the same start for all."""
        scales = copy.deepcopy(trained)
        blank = ScaleNetwork(scales.first_out.out_channels, scales.z_mix.in_channels)
        for name in ("near", "second_mix", "second_out"):
            getattr(scales, name).load_state_dict(getattr(blank, name).state_dict())
        return scales.requires_grad_(True)

    def forward(self, name: str, z: Tensor, offset: Tensor, symbols: Tensor, values: Tensor, gain: Tensor) -> Tensor:
        """Scales of both passes; ``symbols`` and ``values`` of the first pass, zero elsewhere."""
        scales = self.scales[f"{name}_scales"]
        assert isinstance(scales, ScaleNetwork)
        IntegerConv.exact = name in ("z", "symbols")
        first = scales.first(z) + offset
        if name == "z":
            return first
        known = first.detach()
        correction = self.context(values * gain, known) if name == "float" else scales.second(symbols.abs(), known)
        mask = first_pass_mask(first.shape[1], first.shape[2], first.shape[3])
        return torch.where(mask, first, first + correction)


@torch.no_grad()
def frozen(network: CodecNetwork, picture: Tensor, quality: Tensor) -> dict[str, Tensor]:
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
    return {
        "z": z,
        "offset": network.scale_offset(position),
        "symbols": symbols,
        "values": values,
        "gain": gain,
        "residual": torch.where(mask, first, second),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GLISSANDO_DATA", ".")))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    state = load_checkpoint(arguments.checkpoint)
    recipe = from_dict(state["recipe"])
    if not isinstance(recipe, Recipe):
        parser.error(f"{arguments.checkpoint} is of the family {recipe.family}; this measures the main family")
    network = CodecNetwork(recipe.network)
    network.load_state_dict(state["ema"])
    network.eval().requires_grad_(False)
    torch.manual_seed(0)
    heads = Heads(network)
    crops = Crops(
        load_tiles(arguments.data / "train").training,
        arguments.crop,
        arguments.batch,
        torch.Generator().manual_seed(0),
        halved=0.5,
        choices=2,
    )
    optimiser = torch.optim.AdamW(heads.parameters(), lr=1e-3, weight_decay=0.0)
    started = time.monotonic()
    for step in range(arguments.steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 50) * (1 - step / arguments.steps)
        quality = 100 * (torch.arange(arguments.batch) + torch.rand(())) / arguments.batch
        known = frozen(network, crops.next(), quality)
        residual = known.pop("residual")
        noisy = residual + torch.rand_like(residual) - 0.5
        late = ~first_pass_mask(*noisy.shape[1:])
        bits = {
            name: network.likelihood.bits(noisy, heads(name, **known), late).sum() / noisy.numel() for name in VARIANTS
        }
        optimiser.zero_grad()
        sum(bits.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % 50 == 0:
            text = "  ".join(f"{name} {float(value.detach()):.4f}" for name, value in bits.items())
            print(f"step {step + 1}: bits per latent  {text}  {time.monotonic() - started:.0f} s", file=sys.stderr)

    pictures = sorted((arguments.data / "kodak").glob("*.png"))
    rows: list[dict[str, Any]] = []
    with torch.no_grad():
        for q in QUALITIES:
            totals = dict.fromkeys(VARIANTS, 0.0)
            for path in pictures:
                picture = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy())
                known = frozen(network, picture.permute(2, 0, 1)[None].float() / 255, torch.tensor([q]))
                symbols = torch.round(known.pop("residual"))
                for name in VARIANTS:
                    late = ~first_pass_mask(*symbols.shape[1:])
                    bits_of = network.likelihood.bits(symbols, heads(name, **known), late).sum()
                    totals[name] += float(bits_of) / picture[..., 0].numel() / len(pictures)
            rows.append({"quality": q, **totals})

    print(f"Latents' bits per pixel on {len(pictures)} Kodak pictures, {arguments.steps} steps each\n")
    print(
        "| quality | z alone | z and symbols, integers | the same unrounded | float context "
        "| integers to z alone | to unrounded | to float context |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        bits_per_pixel = " | ".join(f"{row[name]:.4f}" for name in VARIANTS)
        against = " | ".join(
            f"{100 * (row['symbols'] / row[name] - 1):+.2f} %" for name in VARIANTS if name != "symbols"
        )
        print(f"| {row['quality']:.0f} | {bits_per_pixel} | {against} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"steps": arguments.steps, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
