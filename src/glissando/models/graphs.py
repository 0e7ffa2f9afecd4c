"""The graphs that a shipped model consists of, as modules to be exported.

Arrays at the borders are what the codec has at hand: pixels (1, H, W, 3) uint8, latents channels-last.
Everything that depends on the quality enters as an input, so that one graph serves every rate, and a quality that
differs from place to place as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from .codec import Analysis, CodecNetwork, Synthesis
from .content import BitCode, ContentNetwork
from .vae import VaeNetwork

__all__ = [
    "CONTENT_GRAPHS",
    "GRAPHS",
    "VAE_GRAPHS",
    "AnalysisGraph",
    "ContentAnalysisGraph",
    "ContentDecodeGraph",
    "DecodeGraph",
    "ExportedGraph",
    "QuantiseGraph",
    "VaeAnalysisGraph",
    "VaeDecodeGraph",
]


def channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def analyse(a: Analysis, pixels: Tensor) -> Tensor:
    """pixels (1, H, W, 3) uint8 → latents (1, latents, H/16, W/16)."""
    _, height, width, _ = pixels.shape
    # The pixel unshuffle of channels-last pixels, in one transposition.
    x = pixels.reshape(1, height // 8, 8, width // 8, 8, 3).permute(0, 5, 2, 4, 1, 3)
    x = x.reshape(1, 192, height // 8, width // 8).float() / 255 - 0.5
    out: Tensor = a.latent_blocks(a.down(a.blocks(a.enter(x))))
    return out


def to_pixels(s: Synthesis, trunk: Tensor) -> Tensor:
    """Features at 1/8 behind the upsampling, (1, width, h, w) → pixels (1, 8h, 8w, 3) uint8."""
    x = s.leave(s.blocks(trunk))
    _, _, height, width = x.shape
    x = torch.round((x + 0.5).clamp(0, 1) * 255).to(torch.uint8)
    # The pixel shuffle to channels-last pixels, in one transposition of bytes.
    x = x.reshape(1, 3, 8, 8, height, width).permute(0, 4, 2, 5, 3, 1)
    return x.reshape(1, 8 * height, 8 * width, 3)


class ExportedGraph(nn.Module):
    """A module that becomes a graph: the names of its inputs and outputs.

    Inputs in ``broadcast`` are (1, 1, 1, channels), or have as many rows and columns as what they are combined with.
    """

    inputs: ClassVar[tuple[str, ...]]
    outputs: ClassVar[tuple[str, ...]]
    broadcast: ClassVar[tuple[str, ...]] = ()


class AnalysisGraph(ExportedGraph):
    """pixels (1, 64a, 64b, 3) uint8 → y (1, 4a, 4b, latents), z (1, a, b, hyper), float32, before any gain."""

    inputs = ("pixels",)
    outputs = ("y", "z")

    def __init__(self, network: CodecNetwork) -> None:
        super().__init__()
        self.analysis = network.analysis
        self.hyper_analysis = network.hyper_analysis

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        y = analyse(self.analysis, pixels)
        z = self.hyper_analysis(y)
        return y.permute(0, 2, 3, 1), z.permute(0, 2, 3, 1)


class Means(nn.Module):
    """What encoder and decoder share: means of both passes."""

    def __init__(self, network: CodecNetwork) -> None:
        super().__init__()
        self.hyper_synthesis = network.hyper_synthesis
        self.first_means = network.first_means
        (self.context,) = network.contexts  # a file knows two passes
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

    def __init__(self, network: CodecNetwork) -> None:
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


class DecodeGraph(ExportedGraph):
    """Pixels from symbols: means, context, inverse gain and synthesis in one graph.

    residual (1, h, w, latents), symbols times inverse gain; z, means_offset and even as for QuantiseGraph;
    synthesis_factor, synthesis_offset (width,) → pixels (1, 16h, 16w, 3) uint8.
    """

    inputs = ("residual", "z", "means_offset", "even", "synthesis_factor", "synthesis_offset")
    outputs = ("pixels",)

    def __init__(self, network: CodecNetwork) -> None:
        super().__init__()
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
        return to_pixels(s, x)


class VaeAnalysisGraph(ExportedGraph):
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


class VaeDecodeGraph(ExportedGraph):
    """latents (1, h, w, latents) float32 → pixels (1, 16h, 16w, 3) uint8."""

    inputs = ("latents",)
    outputs = ("pixels",)

    def __init__(self, network: VaeNetwork) -> None:
        super().__init__()
        self.synthesis = network.synthesis

    def forward(self, latents: Tensor) -> Tensor:
        s = self.synthesis
        return to_pixels(s, s.up(s.latent_blocks(channels_first(latents))))


GRAPHS: dict[str, Callable[[CodecNetwork], ExportedGraph]] = {
    "analysis": AnalysisGraph,
    "quantise": QuantiseGraph,
    "decode": DecodeGraph,
}

VAE_GRAPHS: dict[str, Callable[[VaeNetwork], ExportedGraph]] = {"analysis": VaeAnalysisGraph, "decode": VaeDecodeGraph}


class ContentAnalysisGraph(ExportedGraph):
    """pixels (1, 64a, 64b, 3) uint8 → code (1, h, w, n), −1.0 or 1.0, and importance p (1, h, w, 1) float32."""

    inputs = ("pixels",)
    outputs = ("code", "importance")

    def __init__(self, network: ContentNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        n = self.network
        if isinstance(n.analysis, Analysis):
            y = analyse(n.analysis, pixels)
        else:
            y = n.analysis(channels_first(pixels).float() / 255)
        logits = n.code.enter(y).permute(0, 2, 3, 1)
        code = _refine(n.code, logits) if isinstance(n.code, BitCode) else _signs(logits)
        return code, n.importance_of(y).permute(0, 2, 3, 1)


def _signs(logits: Tensor) -> Tensor:
    return (logits > 0).float() * 2 - 1


def _refine(code: BitCode, given: Tensor) -> Tensor:
    """Logits (1, h, w, n) before any feedback → bits; ``content.BitCode.encode`` level by level."""
    group = given.shape[3] // code.levels
    bits = _signs(given[..., :group])
    for start in range(group, given.shape[3], group):
        stop = start + group
        logits = given[..., start:stop] - bits @ code.feedback[start:stop, :start].T
        bits = torch.cat([bits, _signs(logits)], -1)
    return bits


class ContentDecodeGraph(ExportedGraph):
    """code (1, h, w, n) of −1.0, 0.0 (not kept) and 1.0 → pixels (1, H, W, 3) uint8."""

    inputs = ("code",)
    outputs = ("pixels",)

    def __init__(self, network: ContentNetwork) -> None:
        super().__init__()
        self.network = network  # as a whole: a graph's own attribute "code" would hide the layer of that name

    def forward(self, code: Tensor) -> Tensor:
        x = self.network.code.decode(channels_first(code))
        s = self.network.synthesis
        if isinstance(s, Synthesis):
            return to_pixels(s, s.up(s.latent_blocks(x)))
        return torch.round(s(x).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)


CONTENT_GRAPHS: dict[str, Callable[[ContentNetwork], ExportedGraph]] = {
    "analysis": ContentAnalysisGraph,
    "decode": ContentDecodeGraph,
}
