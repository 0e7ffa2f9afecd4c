"""The graphs that a shipped model of the content family consists of, as modules to be exported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from glissando.networks.graphs import ExportedGraph, PixelGraph, analyse, channels_first, synthesise
from glissando.networks.transforms import Analysis, Synthesis

from .network import BitCode, ContentNetwork

__all__ = ["GRAPHS", "AnalysisGraph", "DecodeGraph"]


class AnalysisGraph(ExportedGraph):
    """pixels (1, 64a, 64b, 3) uint8 → code (1, h, w, n), −1.0 or 1.0, and the level map p (1, h, w, 1); float32."""

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
    """Logits (1, h, w, n) before any feedback → bits; ``BitCode.encode`` level by level."""
    group = given.shape[3] // code.levels
    bits = _signs(given[..., :group])
    for start in range(group, given.shape[3], group):
        stop = start + group
        logits = given[..., start:stop] - bits @ code.feedback[start:stop, :start].T
        bits = torch.cat([bits, _signs(logits)], -1)
    return bits


class DecodeGraph(PixelGraph):
    """code (1, h, w, n) of −1.0, 0.0 (not kept) and 1.0 → pixels (1, H, W, 3), see ``PixelGraph``."""

    inputs = ("code",)

    def __init__(self, network: ContentNetwork, *, eight_bits: bool = False) -> None:
        super().__init__(eight_bits=eight_bits)
        self.network = network  # not its parts: an attribute "code" of the graph would hide the layer of that name

    def forward(self, code: Tensor) -> Tensor:
        x = self.network.code.decode(channels_first(code))
        s = self.network.synthesis
        if isinstance(s, Synthesis):
            return self.pixels(synthesise(s, s.up(s.latent_blocks(x))), 8)
        return self.pixels(s(x), 1)


GRAPHS: dict[str, Callable[[ContentNetwork], ExportedGraph]] = {
    "analysis": AnalysisGraph,
    "decode": DecodeGraph,
    "decode-8bit": partial(DecodeGraph, eight_bits=True),
}
