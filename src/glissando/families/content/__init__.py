"""The content-weighted family: a learnt level map says place by place how many bits a picture gets."""

from glissando.families.registry import Family

from .reach import decoder_halo, encoder_halo

__all__ = ["FAMILY"]

FAMILY = Family(
    name="content",
    package=__name__,
    codes="Bits in levels, of which a learnt level map keeps the first few at each place.",
    pixels_per_latent=None,
    last_layer="synthesis.leave",
    latents_layer="synthesis.latent_blocks.0.enter",
    decoder_halo=decoder_halo,
    encoder_halo=encoder_halo,
)
