"""The family of plain VAEs: each latent is rounded as finely as the uncertainty about it deserves."""

from glissando.families.registry import Family

from .reach import decoder_halo, encoder_halo

__all__ = ["FAMILY"]

FAMILY = Family(
    name="vae",
    package=__name__,
    codes="Means of a posterior, rounded after training by how certain each of them is.",
    encoder_keys=("analysis_", "variance"),  # the variance is the weight of the distortion in training
    last_layer="synthesis.leave",
    latents_layer="synthesis.latent_blocks.0.enter",
    decoder_halo=decoder_halo,
    encoder_halo=encoder_halo,
)
