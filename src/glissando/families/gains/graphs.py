"""The graphs that a shipped model of the gains family consists of, as modules to be exported.

Everything that depends on the quality enters as an input, so that one graph serves every rate, and a quality that
differs from place to place as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from glissando.networks.graphs import ExportedGraph, PixelGraph, analyse, channels_first, synthesise

from .network import GainsNetwork

__all__ = ["GRAPHS", "AnalysisGraph", "DecodeGraph", "QuantiseGraph"]


class AnalysisGraph(ExportedGraph):
    """pixels (1, 64a, 64b, 3) uint8 → y (1, 4a, 4b, latents), z (1, a, b, hyper), float32, before any gain."""

    inputs = ("pixels",)
    outputs = ("y", "z")

    def __init__(self, network: GainsNetwork) -> None:
        super().__init__()
        self.analysis = network.analysis
        self.hyper_analysis = network.hyper_analysis

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        y = analyse(self.analysis, pixels)
        z = self.hyper_analysis(y)
        return y.permute(0, 2, 3, 1), z.permute(0, 2, 3, 1)


class Means(nn.Module):
    """What encoder and decoder share: the means of both passes."""

    def __init__(self, network: GainsNetwork) -> None:
        super().__init__()
        self.hyper_synthesis = network.hyper_synthesis
        self.first_means = network.first_means
        (self.context,) = network.contexts  # exactly one, as files have two passes
        self.pass_channels = network.config.latents // 2

    def start(self, z: Tensor, even: Tensor, means_offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features, means of the first pass, and the mask of what the first pass codes (1.0 or 0.0)."""
        features = self.hyper_synthesis(channels_first(z)) + means_offset.reshape(1, -1, 1, 1)
        even = channels_first(even)
        shape = (-1, self.pass_channels, -1, -1)
        mask = torch.cat([even.expand(*shape), (1 - even).expand(*shape)], 1)
        return features, self.first_means(features), mask


class QuantiseGraph(ExportedGraph):
    """Residual symbols of both passes.

    y (1, h, w, latents); z (1, h/4, w/4, hyper), the decoded hyper-latents; gain (1, h, w, latents), zero
    where the first pass skips; inverse_gain (1, h, w, latents), or (1, 1, 1, latents) for all places;
    means_offset (means_width,); even (1, h, w, 1), 1.0 on the even squares of the checkerboard → symbols
    (1, h, w, latents) float32.
    """

    inputs = ("y", "z", "gain", "inverse_gain", "means_offset", "even")
    outputs = ("symbols",)
    broadcast = ("inverse_gain",)
    rounded = True

    def __init__(self, network: GainsNetwork) -> None:
        super().__init__()
        self.means = Means(network)

    def forward(
        self, y: Tensor, z: Tensor, gain: Tensor, inverse_gain: Tensor, means_offset: Tensor, even: Tensor
    ) -> Tensor:
        y, gain, inverse_gain = channels_first(y), channels_first(gain), channels_first(inverse_gain)
        features, first_means, mask = self.means.start(z, even, means_offset)
        first = torch.round((y - first_means) * gain)
        second_means = self.means.context(features, (first_means + first * inverse_gain) * mask)
        second = torch.round((y - second_means) * gain)
        return (second + (first - second) * mask).permute(0, 2, 3, 1)


class DecodeGraph(PixelGraph):
    """Pixels from symbols: means, context, inverse gain and synthesis in one graph.

    residual (1, h, w, latents), symbols times inverse gain; z, means_offset and even as for QuantiseGraph;
    synthesis_factor, synthesis_offset (width,) → pixels (1, 16h, 16w, 3), see ``PixelGraph``.
    """

    inputs = ("residual", "z", "means_offset", "even", "synthesis_factor", "synthesis_offset")

    def __init__(self, network: GainsNetwork, *, eight_bits: bool = False) -> None:
        super().__init__(eight_bits=eight_bits)
        self.means = Means(network)
        self.synthesis = network.synthesis

    def forward(
        self,
        residual: Tensor,
        z: Tensor,
        means_offset: Tensor,
        even: Tensor,
        synthesis_factor: Tensor,
        synthesis_offset: Tensor,
    ) -> Tensor:
        residual = channels_first(residual)
        features, first_means, mask = self.means.start(z, even, means_offset)
        second_means = self.means.context(features, (first_means + residual) * mask)
        y = second_means + (first_means - second_means) * mask + residual
        s = self.synthesis
        x = s.up(s.latent_blocks(y)) * synthesis_factor.reshape(1, -1, 1, 1) + synthesis_offset.reshape(1, -1, 1, 1)
        return self.pixels(synthesise(s, x), 8)


GRAPHS: dict[str, Callable[[GainsNetwork], ExportedGraph]] = {
    "analysis": AnalysisGraph,
    "quantise": QuantiseGraph,
    "decode": DecodeGraph,
    "decode-8bit": partial(DecodeGraph, eight_bits=True),
}
