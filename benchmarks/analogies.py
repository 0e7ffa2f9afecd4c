"""The word-analogy test of word2vec (Mikolov et al. 2013): a is to b as c is to …?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import BenchmarkError

__all__ = ["Analogies", "Scores", "evaluate", "read_questions"]

_BATCH = 512  # questions; their scores against 25,000 words take 50 MB


@dataclass(frozen=True)
class Analogies:
    """Questions inside a vocabulary.

    Attributes:
        rows: int64 [n, 4], the words' rows: a is to b as c is to d, and d is asked for.
        total: questions in the file, those with unknown words included.
    """

    rows: NDArray[np.int64]
    total: int

    def subset(self, count: int | None, seed: int = 0) -> Analogies:
        """So many questions drawn at random; all of them for None or for more than there are."""
        if count is None or count >= len(self.rows):
            return self
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self.rows))[:count])
        return Analogies(self.rows[chosen], self.total)


@dataclass(frozen=True)
class Scores:
    """Shares in [0, 1]: of questions with the answer among the best ten and on top; mean reciprocal rank."""

    hits10: float
    mrr: float
    top1: float


def read_questions(path: Path, words: Sequence[str]) -> Analogies:
    """Read the file, lower-cased; ``words``: the vocabulary. Raises BenchmarkError where it is no such file."""
    row = {word: i for i, word in enumerate(words)}
    rows, total = [], 0
    try:
        lines = path.read_text(encoding="utf-8").lower().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"cannot read the questions: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.startswith(":") or not line.strip():
            continue
        four = line.split()
        if len(four) != 4:
            raise BenchmarkError(f"{path}, line {number}: a question has four words, not {len(four)}")
        total += 1
        if all(word in row for word in four):
            rows.append([row[word] for word in four])
    if not rows:
        raise BenchmarkError(f"{path}: no question of {total} has all its words in the vocabulary")
    return Analogies(np.array(rows), total)


def evaluate(vectors: NDArray[Any], analogies: Analogies) -> Scores:
    """3CosAdd: rank all words by their cosine with b - a + c, the question's own three words left out.

    Vectors are scaled to length 1 first; one without a length is like no other. Where words tie with the answer,
    it ranks below them all, so that vectors quantised to the same value earn nothing.

    Args:
        vectors: floats [V, d].
        analogies: the questions.
    """
    unit = vectors.astype(np.float32)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    ranks = []
    for start in range(0, len(analogies.rows), _BATCH):
        rows = analogies.rows[start : start + _BATCH]
        a, b, c, answers = rows.T
        cosines = (unit[b] - unit[a] + unit[c]) @ unit.T
        wanted = np.take_along_axis(cosines, answers[:, None], 1)
        # An answer that stands in its own question is left out with it, and so ranks last.
        wanted[(rows[:, :3] == answers[:, None]).any(1)] = -np.inf
        np.put_along_axis(cosines, rows[:, :3], -np.inf, 1)
        ranks.append(np.maximum((cosines >= wanted).sum(1), 1))
    rank = np.concatenate(ranks)
    return Scores(float((rank <= 10).mean()), float((1 / rank).mean()), float((rank == 1).mean()))
