"""The smallest family that a picture codec can have: what a new one costs, in three files of one folder.

A linear transform of 8×8 patches, which begins as a cosine transform; one step of quantisation for all channels, set by
the quality; static tables, chosen for each channel by its own scale.
"""

from glissando.families import Family

__all__ = ["FAMILY", "TABLES", "log2_step"]

FAMILY = Family(
    name="toy",
    package=__name__,
    codes="Coefficients of a linear transform of 8×8 patches.",
    pixels_per_latent=8,
)

TABLES = 96  # of scales 2^−4 to 2^7.875, eight an octave


def log2_step(units: int) -> int:
    """The quantiser's step at a quality in 1/256 units, 0 to 25600: its log2 in 1/256, from −1 to −6 octaves."""
    return -(256 + units // 20)
