"""The smallest network that a recipe can name, for tests of what is around it."""

NETWORK = """
[network]
latents = 32
hyper = 8
levels = 3
analysis_blocks = 1
analysis_latent_blocks = 0
synthesis_blocks = 1
synthesis_latent_blocks = 0
means_width = 8
context_width = 8
"""
