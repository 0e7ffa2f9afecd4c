"""The transforms that families share: pictures to latents at 1/16 and back, over one trunk at 1/8 resolution.

Source: trunk and blocks after EVC and its successors (arXiv 2302.05071, DCVC-RT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from .layers import BlockSequence, Downshuffle, Pointwise, Upshuffle

__all__ = ["Analysis", "Synthesis", "TransformConfig"]


class TransformConfig(Protocol):
    """What shapes analysis and synthesis, whatever the family."""

    @property
    def width(self) -> int: ...
    @property
    def latents(self) -> int: ...
    @property
    def analysis_blocks(self) -> int: ...
    @property
    def analysis_latent_blocks(self) -> int: ...
    @property
    def synthesis_blocks(self) -> int: ...
    @property
    def synthesis_latent_blocks(self) -> int: ...
    @property
    def ratio(self) -> int: ...


class Analysis(nn.Module):
    """Picture (B, 3, H, W) in [0, 1], sides multiples of 16 → latents (B, latents, H/16, W/16).

    ``ratio`` of its blocks' feed-forward pairs and ``width`` of its features at 1/8, the configuration's if 0.
    ``widths`` of single layers: two for each block in their order, ``inner`` and ``hidden`` of ``DepthConvBlock``.
    With several ``stages`` it is the mean of so many analyses of this shape, of which each learns what the earlier ones
    left: EVC's scalable encoder (arXiv 2302.05071, residual representation learning). ``later`` are all but the first.
    """

    def __init__(
        self,
        c: TransformConfig,
        *,
        ratio: int = 0,
        gated: bool = False,
        leak: float = 0.0,
        width: int = 0,
        widths: Sequence[int] = (),
        stages: int = 1,
    ) -> None:
        super().__init__()
        ratio, width = ratio or c.ratio, width or c.width
        self.patch = nn.PixelUnshuffle(8)
        at_8, at_16 = widths[: 2 * c.analysis_blocks], widths[2 * c.analysis_blocks :]
        self.enter = Pointwise(192, width)
        self.blocks = BlockSequence(c.analysis_blocks, width, ratio, gated=gated, leak=leak, widths=at_8)
        self.down = Downshuffle(width, c.latents)
        self.latent_blocks = BlockSequence(
            c.analysis_latent_blocks, c.latents, ratio, gated=gated, leak=leak, widths=at_16
        )
        self.later = nn.ModuleList(
            Analysis(c, ratio=ratio, gated=gated, leak=leak, width=width, widths=widths) for _ in range(1, stages)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.of_patches(self.patch(x - 0.5))

    def of_patches(self, patches: Tensor) -> Tensor:
        """Latents of a picture that is unshuffled already, (B, 192, H/8, W/8) in [−0.5, 0.5]."""
        # Under autocast the blocks' products are bfloat16; the sum that they add to stays float32.
        features = self.blocks(self.enter(patches).float())
        out: Tensor = self.latent_blocks(self.down(features).float())
        for stage in self.later:
            assert isinstance(stage, Analysis)
            out = out + stage.of_patches(patches)
        return out / (1 + len(self.later)) if len(self.later) else out

    def with_later_stages(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``weights`` of an analysis of fewer stages, by their names in it, for this one.

        New stages begin as the first, so that the mean of two is what the first alone was.
        """
        first = {name: value for name, value in weights.items() if not name.startswith("later.")}
        found = dict(weights)
        for stage in range(len(self.later)):
            for name, value in first.items():
                found.setdefault(f"later.{stage}.{name}", value.clone())
        return found


class Synthesis(nn.Module):
    """Latents (B, latents, h, w), and two level vectors (B, width, 1, 1) if any → picture (B, 3, 16h, 16w).

    ``widths`` of single layers as in ``Analysis``.
    """

    def __init__(
        self, c: TransformConfig, *, gated: bool = False, leak: float = 0.0, widths: Sequence[int] = ()
    ) -> None:
        super().__init__()
        at_16, at_8 = widths[: 2 * c.synthesis_latent_blocks], widths[2 * c.synthesis_latent_blocks :]
        self.latent_blocks = BlockSequence(
            c.synthesis_latent_blocks, c.latents, c.ratio, gated=gated, leak=leak, widths=at_16
        )
        self.up = Upshuffle(c.latents, c.width)
        self.blocks = BlockSequence(c.synthesis_blocks, c.width, c.ratio, gated=gated, leak=leak, widths=at_8)
        self.leave = Pointwise(c.width, 192, exact=True)
        self.patch = nn.PixelShuffle(8)

    def forward(self, y: Tensor, factor: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
        x = self.up(self.latent_blocks(y)).float()
        if factor is not None and offset is not None:
            x = x * factor + offset
        out: Tensor = self.patch(self.leave(self.blocks(x))) + 0.5
        return out
