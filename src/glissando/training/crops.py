"""Random crops of tiles, mirrored and turned, cut in the memory that holds the tiles: the machine's or a GPU's.

On a CPU each crop is a slice, since whole rows are copied four times as fast as a gather collects single bytes. On a
GPU, where each slice would start a kernel of its own, one gather cuts all crops of a scale. Both ways cut the same
crops from the same random numbers.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glissando.errors import TrainingError

from .procedural import draw, draw_many

__all__ = ["Crops", "send"]

_DRAWN = 2**31  # random integers are drawn below this


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor`` on ``device``; a copy to a GPU is queued, and nothing waits for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class Crops:
    """Batches of random crops.

    ``tiles`` (N, 3, S, S) uint8. ``halved``: share of crops cut twice as large and halved. ``choices``: how many crops
    are drawn for each that is kept, the most detailed one. ``procedural``: share of pictures that are drawn, not cut;
    ``drawn``: how many different ones, drawn at once and kept beside the tiles, or 0, a new one each time. ``share``:
    which pictures of each batch to cut, where several processes share one; all draw the random numbers of the whole
    batch. Raises TrainingError where the tiles are too small for ``crop``.
    """

    def __init__(
        self,
        tiles: Tensor,
        crop: int,
        batch: int,
        generator: torch.Generator,
        *,
        halved: float = 0.0,
        choices: int = 1,
        procedural: float = 0.0,
        drawn: int = 0,
        share: slice = slice(None),
    ) -> None:
        largest = 2 * crop if halved else crop
        if largest > tiles.shape[-1] or crop % 64:
            raise TrainingError(f"crop {crop} must be a multiple of 64; it needs tiles of {largest} pixels")
        self.tiles, self.crop, self.batch, self.generator = tiles, crop, batch, generator
        self.halved, self.choices, self.procedural, self.share = halved, choices, procedural, share
        self.drawings: Tensor | None = None  # (drawn, 3, crop, crop) uint8, beside the tiles
        if procedural and drawn:
            self.drawings = torch.from_numpy(draw_many(drawn, crop)).permute(0, 3, 1, 2).contiguous().to(tiles.device)

    def draw_positions(self) -> Tensor:
        """Where to cut, for each choice of each picture of the share: (tile, top, left, scale), int64 on the CPU."""
        drawn = torch.randint(0, _DRAWN, (self.batch, self.choices, 4), generator=self.generator)
        tile, top, left, half = drawn[self.share].flatten(0, 1).unbind(1)
        scale = 1 + (half < math.ceil(self.halved * _DRAWN)).long()
        room = self.tiles.shape[-1] - scale * self.crop + 1
        return torch.stack([tile % len(self.tiles), top % room, left % room, scale], 1)

    def slice(self, positions: Tensor) -> Tensor:
        """Crops (len(positions), 3, crop, crop), float in [0, 255], one after the other."""
        cuts = []
        for tile, top, left, scale in positions.tolist():
            side = scale * self.crop
            cut = self.tiles[tile, :, top : top + side, left : left + side].float()
            cuts.append(F.avg_pool2d(cut, 2) if scale == 2 else cut)
        return torch.stack(cuts)

    def gather(self, positions: Tensor) -> Tensor:
        """The same crops, all at once. Sizes are computed from the positions while these are on the CPU, so that
        nothing waits for the GPU.
        """
        order = positions[:, 3].argsort(stable=True)
        doubled = int((positions[:, 3] == 2).sum())
        device = self.tiles.device
        channels = torch.arange(3, device=device)[:, None, None]
        parts = []
        sorted_positions = send(positions[order], device)
        for scale, part in (
            (1, sorted_positions[: len(positions) - doubled]),
            (2, sorted_positions[len(positions) - doubled :]),
        ):
            if not len(part):
                continue
            reach = torch.arange(scale * self.crop, device=device)
            tile, top, left = (part[:, i, None, None, None] for i in range(3))
            cut = self.tiles[tile, channels, top + reach[:, None], left + reach].float()
            parts.append(F.avg_pool2d(cut, 2) if scale == 2 else cut)
        return torch.cat(parts)[send(order.argsort(), device)]

    def _drawn(self, seeds: Tensor) -> Tensor:
        """The pictures (len(seeds), 3, crop, crop), uint8, that these seeds draw, or choose of those that are drawn."""
        if self.drawings is not None:
            return self.drawings[send(seeds % len(self.drawings), self.tiles.device)]
        pictures = np.stack([draw(seed, self.crop) for seed in seeds.tolist()])
        return send(torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), self.tiles.device)

    def next(self) -> Tensor:
        """The share of one batch (pictures, 3, crop, crop), float in [0, 1]. Nothing here waits for the GPU."""
        device = self.tiles.device
        positions = self.draw_positions()
        cuts = self.slice(positions) if device.type == "cpu" else self.gather(positions)
        if self.choices > 1:  # keep the most detailed of each few, as photographs hold a lot of empty sky
            green = cuts[:, 1, ::2]
            detail = (green[..., 1:] - green[..., :-1]).abs().mean((1, 2)).view(-1, self.choices)
            first = torch.arange(0, len(cuts), self.choices, device=device)
            cuts = cuts[first + detail.argmax(1)]
        drawn = torch.randint(0, 4, (2, self.batch, 1, 1, 1), generator=self.generator)[:, self.share]
        mirror, turn = send(drawn, device)
        cuts = torch.where(mirror % 2 == 0, cuts, cuts.flip(3))
        # Pictures are mostly upright; a quarter turn now and then costs nothing.
        cuts = torch.where(turn == 0, cuts.transpose(2, 3), cuts)
        if self.procedural:
            which, seeds = torch.randint(0, _DRAWN, (2, self.batch), generator=self.generator)[:, self.share]
            places = (which < self.procedural * _DRAWN).nonzero()[:, 0]
            if len(places):
                cuts[send(places, device)] = self._drawn(seeds[places]).float()
        return cuts.div_(255).contiguous(memory_format=torch.channels_last)
