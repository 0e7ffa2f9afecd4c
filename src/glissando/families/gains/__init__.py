"""The main family: gain units before and after the quantiser; scales and means come from hyper-latents."""

from glissando.families.registry import Family

from .reach import decoder_halo, encoder_halo

__all__ = ["FAMILY"]

FAMILY = Family(
    name="gains",
    package=__name__,
    codes="Latents scaled by gains that slide with the quality, and hyper-latents that tell how large they are.",
    encoder_graphs=("analysis", "quantise"),
    takes_quality_field=True,
    refines=True,
    last_layer="synthesis.leave",
    latents_layer="synthesis.latent_blocks.0.enter",
    decoder_halo=decoder_halo,
    encoder_halo=encoder_halo,
)
