"""The graphs that a shipped model of the vae family consists of, as modules to be exported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from glissando.networks.graphs import ExportedGraph, PixelGraph, analyse, channels_first, synthesise

from .network import VaeNetwork

__all__ = ["GRAPHS", "AnalysisGraph", "DecodeGraph"]


class AnalysisGraph(ExportedGraph):
    """pixels (1, 64a, 64b, 3) uint8 → posterior mean and deviation, (1, 4a, 4b, latents) float32 each."""

    inputs = ("pixels",)
    outputs = ("mean", "deviation")

    def __init__(self, network: VaeNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        n = self.network
        mean = analyse(n.analysis, pixels)
        return mean.permute(0, 2, 3, 1), n.deviation(mean).permute(0, 2, 3, 1)


class DecodeGraph(PixelGraph):
    """latents (1, h, w, latents) float32 → pixels (1, 16h, 16w, 3), see ``PixelGraph``."""

    inputs = ("latents",)

    def __init__(self, network: VaeNetwork, *, eight_bits: bool = False) -> None:
        super().__init__(eight_bits=eight_bits)
        self.synthesis = network.synthesis

    def forward(self, latents: Tensor) -> Tensor:
        s = self.synthesis
        return self.pixels(synthesise(s, s.up(s.latent_blocks(channels_first(latents)))), 8)


GRAPHS: dict[str, Callable[[VaeNetwork], ExportedGraph]] = {
    "analysis": AnalysisGraph,
    "decode": DecodeGraph,
    "decode-8bit": partial(DecodeGraph, eight_bits=True),
}
