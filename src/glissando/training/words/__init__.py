"""Bayesian word embeddings: text → pair counts → Gaussian posteriors (needs ``glissando[train]``)."""

from .recipe import FAMILY, WordsRecipe, read_words_recipe
from .train import POSTERIOR, WordsTrainer, run_words

__all__ = ["FAMILY", "POSTERIOR", "WordsRecipe", "WordsTrainer", "read_words_recipe", "run_words"]
