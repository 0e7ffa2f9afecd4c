"""What shapes a network of the gains family."""

from __future__ import annotations

from dataclasses import dataclass

from glissando.networks.config import NetworkConfig, optional
from glissando.networks.layers import hidden_width

__all__ = ["GainsConfig"]

SCALE_FIRST = 96  # channels of the scale network's first layer, where no widths are given


@dataclass(frozen=True)
class GainsConfig(NetworkConfig):
    """What shapes a network. Every field is a key of a recipe's ``[network]`` table."""

    width: int = 192
    latents: int = 256
    hyper: int = 128
    levels: int = 11
    analysis_blocks: int = 2
    analysis_latent_blocks: int = 1
    synthesis_blocks: int = 2
    synthesis_latent_blocks: int = 1
    ratio: int = 2
    means_width: int = 192
    context_width: int = 288
    block: str = "depthconv"  # or "gated", where the feed-forward pair multiplies two halves; as costly
    leak: float = 0.0  # slope below zero of the activations in transforms and means; 0 is ReLU, whose units can die
    analysis_ratio: int = 0  # feed-forward ratio of the analysis' blocks; 0: ``ratio``
    analysis_stages: int = 1  # analyses whose mean is taken (EVC's scalable encoder); run.learns may name the last
    # Of the following, files support two steps, two layers and magnitudes; other values are for experiments.
    context_steps: int = 2  # passes over the latents: 1, 2 (checkerboard) or 4 (quadtree), see ``step_masks``
    scale_kernel: int = 5  # of the depthwise layer over the magnitudes: 3, 5 or 7
    scale_width: int = 96  # of the corrections' hidden layers
    scale_hyper_width: int = 64  # behind the hyper-latents
    scale_layers: int = 2  # pointwise layers of a correction; with 3 there is one more hidden layer
    scale_sees: str = "magnitudes"  # or "signed", "own-half"
    # Widths of single layers, as a decayed network has them. Without them they follow from the keys above. A block has
    # two: behind its depthwise layer, and between its feed-forward pair.
    analysis_width: int = optional(0)  # of the analysis' features at 1/8; 0: ``width``, which is that of the synthesis
    analysis_widths: tuple[int, ...] = optional(())  # of each block, those at 1/8 first
    analysis_hyper_widths: tuple[int, ...] = optional(())  # hyper-analysis: first layer, features at 1/32, its block's
    synthesis_widths: tuple[int, ...] = optional(())  # of each block, those at 1/16 first
    hyper_widths: tuple[int, ...] = optional(())  # hyper-synthesis: features at 1/32, its block's
    scale_widths: tuple[int, ...] = optional(())  # scale network: z_mix, z_up, mid_mix, mid_up

    @property
    def gated(self) -> bool:
        return self.block == "gated"

    @property
    def hyper_analysis_widths(self) -> tuple[int, ...]:
        """Of the hyper-analysis: its first layer, its features at 1/32, and the two of its block."""
        return self.analysis_hyper_widths or (self.latents, *self._hyper_block)

    @property
    def hyper_synthesis_widths(self) -> tuple[int, ...]:
        """Of the hyper-synthesis: its features at 1/32, and the two of its block."""
        return self.hyper_widths or self._hyper_block

    @property
    def scale_first_widths(self) -> tuple[int, ...]:
        """Of the scale network's layers z_mix, z_up, mid_mix and mid_up, behind a pixel shuffle if any."""
        return self.scale_widths or (SCALE_FIRST, *(self.scale_hyper_width,) * 3)

    @property
    def _hyper_block(self) -> tuple[int, ...]:
        return (self.hyper, self.hyper, hidden_width(self.hyper, self.ratio, gated=self.gated))

    def checks(self) -> dict[str, bool]:
        """Whether each rule of its own keys holds, by the message for where it does not."""
        sizes = (self.hyper, self.means_width, self.context_width)
        analysis = 2 * (self.analysis_blocks + self.analysis_latent_blocks)
        synthesis = 2 * (self.synthesis_blocks + self.synthesis_latent_blocks)
        lists = {
            "analysis_widths": analysis,
            "analysis_hyper_widths": 4,
            "synthesis_widths": synthesis,
            "hyper_widths": 3,
            "scale_widths": 4,
        }
        return {
            "network.latents must be even": self.latents % 2 == 0,
            "network.hyper, means_width and context_width must be positive": min(sizes) > 0,
            "network.levels must be at least 2": self.levels >= 2,
            "network.analysis_stages must be positive": self.analysis_stages > 0,
            "network.block must be 'depthconv' or 'gated'": self.block in ("depthconv", "gated"),
            "network.leak must be below 1": self.leak < 1,
            "network.context_steps must be 1, 2 or 4": self.context_steps in (1, 2, 4),
            "network.latents must be a multiple of 4 for four context_steps": (
                self.context_steps != 4 or self.latents % 4 == 0
            ),
            "network.scale_kernel must be 3, 5 or 7": self.scale_kernel in (3, 5, 7),
            "network.scale_width and scale_hyper_width must be positive": (
                min(self.scale_width, self.scale_hyper_width) > 0
            ),
            "network.scale_layers must be 2 or 3": self.scale_layers in (2, 3),
            "network.scale_sees must be 'magnitudes', 'signed' or 'own-half'": (
                self.scale_sees in ("magnitudes", "signed", "own-half")
            ),
            "network.scale_width must be even for scale_sees 'own-half'": (
                self.scale_sees != "own-half" or self.scale_width % 2 == 0
            ),
            **{
                f"network.{key} must hold {number} positive widths, or none": (
                    not (widths := getattr(self, key)) or (len(widths) == number and min(widths) > 0)
                )
                for key, number in lists.items()
            },
        }
