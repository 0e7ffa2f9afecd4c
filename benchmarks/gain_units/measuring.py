"""Measuring a trained model on Kodak: real files, decoded again, and what the gains cost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from glissando.bitstream import SymbolTables
from glissando.errors import BenchmarkError, InputError

from ..data import Picture
from .bases import Base
from .coders import Reader, Writer, same_symbols
from .rates import Rated

__all__ = ["curve", "overhead", "points_beyond"]

HEADER = 8
"""Bytes of a file beside its stream: width, height and quality in two each, and the number of a model."""

BEYOND = (-60.0, -40.0, -30.0, -20.0, -15.0, -10.0, -5.0, 105.0, 110.0, 115.0, 120.0, 130.0, 140.0, 160.0)
TIMED = 30


def _tensor(picture: Picture) -> Tensor:
    return torch.tensor(picture.pixels).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def code(rated: Rated, picture: Picture, quality: float, tables: SymbolTables) -> tuple[float, float]:
    """Bits per pixel of the file of a picture, and the PSNR of what it decodes to, 8-bit pixels.

    Raises BenchmarkError where the file does not give back the symbols that were written.
    """
    base = rated.base
    original = _tensor(picture)
    height, width = original.shape[-2:]
    if height % 64 or width % 64:
        raise BenchmarkError(f"{picture.name} has {width}x{height} pixels; the study codes multiples of 64")
    with rated.at(quality):
        writer = Writer(base.distribution)
        y = base.analysis(original)
        base.code(writer, y, y.shape[-2:])
        file = writer.file(tables)
        reader = Reader(base.distribution, file, tables)
        decoded = base.synthesis(base.code(reader, None, (height // 16, width // 16)))
    reader.decoder.finish()
    if not same_symbols(writer, reader):
        raise BenchmarkError(f"the file of {picture.name} at quality {quality} decodes to other symbols")
    error = ((decoded.clamp(0, 1) * 255).round() / 255 - original).square().mean()
    return 8 * (len(file) + HEADER) / (height * width), float(-10 * torch.log10(error.clamp_min(1e-10)))


def curve(rated: Rated, pictures: Sequence[Picture], qualities: Iterable[float]) -> list[list[float]]:
    """[quality, bpp, PSNR] at each quality, means over the pictures."""
    tables = rated.base.distribution.tables()
    points = []
    for quality in qualities:
        pairs = [code(rated, picture, quality, tables) for picture in pictures]
        points.append([quality, fmean(bpp for bpp, _ in pairs), fmean(psnr for _, psnr in pairs)])
    return points


def points_beyond(rated: Rated, pictures: Sequence[Picture]) -> list[list[float]]:
    """As ``curve``, at qualities outside 0 … 100, as far as their gains are numbers that can be used."""
    points = []
    for quality in BEYOND:
        try:
            points += curve(rated, pictures, [quality])
        except InputError:
            continue
    return points


@torch.no_grad()
def overhead(rated: Rated) -> dict[str, float]:
    """What the way to vary the rate costs: numbers, multiply-adds for each pixel, and time, beside the base model's.

    Multiply-adds are those of encoding and decoding once. Times are medians of ``TIMED`` passes in turn.
    """
    base = Base(rated.base.config).eval()
    base.load_state_dict(rated.base.state_dict())
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter:
        base(picture)
    pixels = picture[0, 0].numel()
    added = 2 * rated.base.config.latents / 256
    if rated.codec.hyper_unit is not None:
        added += 2 * rated.base.hyper_channels / 4096
    if rated.conditional is not None:
        added += _outputs(base, picture) / pixels
    seconds: dict[str, list[float]] = {"base": [], "rated": []}
    for _ in range(TIMED):
        for name in seconds:
            started = time.process_time()
            if name == "base":
                base(picture)
            else:
                rated(picture, torch.tensor([50.0]))
            seconds[name].append(time.process_time() - started)
    return {
        "base_parameters": sum(parameter.numel() for parameter in base.parameters()),
        "added_parameters": rated.rate_parameters(),
        "base_macs": counter.get_total_flops() / 2 / pixels,
        "added_macs": added,
        "base_ms": 1000 * median(seconds["base"]),
        "rated_ms": 1000 * median(seconds["rated"]),
        "ms_spread": 1000 * float(np.subtract(*np.percentile(seconds["base"], [75, 25]))),
    }


def _outputs(base: Base, picture: Tensor) -> float:
    """How many numbers all convolutions put out for a picture: each is multiplied once by a conditional model."""
    total = 0.0

    def count(module: Any, inputs: Any, output: Tensor) -> None:
        nonlocal total
        total += output.numel()

    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    hooks = [module.register_forward_hook(count) for module in base.modules() if isinstance(module, kinds)]
    base(picture)
    for hook in hooks:
        hook.remove()
    return total
