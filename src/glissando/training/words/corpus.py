"""Text to counts: the vocabulary, and how often each pair of words stands within one window."""

from __future__ import annotations

import lzma
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import TrainingError

from .recipe import Corpus

__all__ = ["PairCounts", "Text", "count_pairs", "read_text"]

_CHUNK = 4_000_000  # tokens whose pairs are sorted at once: bounds the memory


@dataclass(frozen=True)
class Text:
    """A corpus reduced to its vocabulary.

    Attributes:
        words: the vocabulary, most frequent first; ties by first occurrence.
        counts: int64 [V], occurrences of each in the corpus.
        tokens: int32 [n], the running text as ranks; words outside the vocabulary are left out.
        paragraphs: int32 [n], number of each token's paragraph, never falling. Windows end with it.
        total: words in the corpus, those outside the vocabulary included.
    """

    words: list[str]
    counts: NDArray[np.int64]
    tokens: NDArray[np.int32]
    paragraphs: NDArray[np.int32]
    total: int


@dataclass(frozen=True)
class PairCounts:
    """A symmetric sparse matrix of expected pair counts, row by row.

    Attributes:
        starts: int64 [V + 1], where each row's entries begin.
        columns: int32 [nnz], rising within a row.
        values: float32 [nnz], positive.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]

    @property
    def marginals(self) -> NDArray[np.float64]:
        """Sum of each row, [V]."""
        sums = np.concatenate([[0.0], np.cumsum(self.values, dtype=np.float64)])
        result: NDArray[np.float64] = np.diff(sums[self.starts])
        return result


def read_text(folder: Path, vocabulary: int) -> Text:
    """Read ``corpus-*.txt`` and ``corpus-*.txt.xz``: a paragraph a line, words split at white space.

    Raises:
        TrainingError: there is no such file, one cannot be read, or it holds fewer than two words.
    """
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__
    ids, lengths = array("i"), array("i")
    for line in _lines(folder):
        before = len(ids)
        ids.extend(map(index.__getitem__, line.split()))
        lengths.append(len(ids) - before)
    everything = np.frombuffer(ids, np.int32)
    counts = np.bincount(everything, minlength=len(index))
    order = np.argsort(-counts, kind="stable")[:vocabulary]
    if order.size < 2:
        raise TrainingError(f"{folder}: the corpus has {order.size} different words; at least 2 are needed")
    rank = np.full(len(index), -1, np.int32)
    rank[order] = np.arange(order.size, dtype=np.int32)
    ranks = rank[everything]
    paragraphs = np.repeat(np.arange(len(lengths), dtype=np.int32), np.frombuffer(lengths, np.int32))
    kept = ranks >= 0
    spelling = list(index)
    return Text([spelling[i] for i in order], counts[order], ranks[kept], paragraphs[kept], everything.size)


def _lines(folder: Path) -> Iterator[str]:
    paths = sorted([*folder.glob("corpus-*.txt"), *folder.glob("corpus-*.txt.xz")])
    if not paths:
        raise TrainingError(f"{folder} holds no text: files named corpus-*.txt or corpus-*.txt.xz are expected")
    for path in paths:
        opener: Any = lzma.open if path.suffix == ".xz" else open
        try:
            with opener(path, "rt", encoding="utf-8") as file:
                yield from file
        except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
            raise TrainingError(f"cannot read the text in {path}: {error}") from error


def count_pairs(text: Text, corpus: Corpus, generator: np.random.Generator) -> PairCounts:
    """Expected counts of (word, context) pairs as word2vec draws them.

    Frequent words are thinned out first (Mikolov et al. 2013, section 2.3), which widens the windows of the
    others; the random width of a window is replaced by its expectation, so that distance d weighs
    (window + 1 - d) / window.
    """
    size = len(text.words)
    share = text.counts / text.total
    keep = np.minimum(1.0, np.sqrt(corpus.subsample / share)) if corpus.subsample else np.ones(size)
    weights = (corpus.window - np.arange(corpus.window)) / (corpus.window * corpus.draws)
    keys, sums = np.empty(0, np.int64), np.empty(0, np.float32)
    for _ in range(corpus.draws):
        chosen = generator.random(text.tokens.size) < keep[text.tokens]
        tokens, paragraphs = text.tokens[chosen], text.paragraphs[chosen]
        for start in range(0, tokens.size, _CHUNK):
            # A chunk's windows reach into the next chunk, never back: no pair is missed or counted twice.
            stop = min(start + _CHUNK + corpus.window, tokens.size)
            fresh = _chunk_pairs(tokens[start:stop], paragraphs[start:stop], size, weights, min(_CHUNK, stop - start))
            keys, sums = _merge(np.concatenate([keys, fresh[0]]), np.concatenate([sums, fresh[1]]))
    lower, upper = np.divmod(keys, size)
    apart = lower != upper
    rows = np.concatenate([lower, upper[apart]])
    columns = np.concatenate([upper, lower[apart]])
    values = np.concatenate([np.where(apart, sums, 2 * sums), sums[apart]])  # a word next to itself counts twice
    order = np.argsort(rows * size + columns)
    starts = np.searchsorted(rows[order], np.arange(size + 1))
    return PairCounts(starts, columns[order].astype(np.int32), values[order].astype(np.float32))


def _chunk_pairs(
    tokens: NDArray[np.int32], paragraphs: NDArray[np.int32], size: int, weights: NDArray[Any], first: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Keys lower * size + upper and weights of the pairs whose first word is among the ``first`` tokens."""
    span = len(weights)
    found = []
    for distance in range(1, span + 1):
        left, right = tokens[:-distance][:first], tokens[distance:][:first]
        together = paragraphs[:-distance][:first] == paragraphs[distance:][:first]
        left, right = left[together].astype(np.int64), right[together].astype(np.int64)
        # The distance rides along in the key: sorting bare integers is many times faster than sorting pairs.
        found.append((np.minimum(left, right) * size + np.maximum(left, right)) * span + (distance - 1))
    packed = np.concatenate(found)
    packed.sort()
    keys, distances = np.divmod(packed, span)
    return _sum_runs(keys, weights[distances].astype(np.float32))


def _merge(keys: NDArray[np.int64], values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    order = np.argsort(keys, kind="stable")
    return _sum_runs(keys[order], values[order])


def _sum_runs(keys: NDArray[np.int64], values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Sum the values of equal keys, which lie side by side."""
    if not keys.size:
        return keys, values
    begin = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[begin], np.add.reduceat(values, begin)
