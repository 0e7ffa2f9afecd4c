"""Word embeddings: counts, gradients against autograd, and a small corpus from text to posterior."""

from __future__ import annotations

import json
import lzma
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

import torch

from glissando import training
from glissando.errors import RecipeError, TrainingError
from glissando.training.words import POSTERIOR, WordsRecipe, WordsTrainer, read_words_recipe, run_words
from glissando.training.words.corpus import PairCounts, Text, count_pairs, read_text
from glissando.training.words.initial import svd_start
from glissando.training.words.model import Pairs, Side, Update, both_sides, evidence, update_side
from glissando.training.words.recipe import Corpus, words_from_dict
from glissando.training.words.train import deal_words

RECIPES = Path(__file__).parents[2] / "recipes"
TEXT = ["the cat sat on the mat", "the dog sat", "a cat and a dog", "", "the the cat"]


def write_text(folder: Path, lines: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "corpus-0.txt").write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
    (folder / "corpus-1.txt.xz").write_bytes(lzma.compress("\n".join(lines[2:]).encode()))
    return folder


def topics(count: int = 400, seed: int = 0) -> list[str]:
    """Paragraphs about one of two topics, whose words stand beside each other; w0 is the most frequent of each."""
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, 21)
    lines = []
    for number in range(count):
        topic = "ab"[number % 2]
        lines.append(" ".join(f"{topic}{w}" for w in random.choice(20, 30, p=share / share.sum())))
    return lines


def dense(counts: PairCounts) -> np.ndarray:
    size = counts.starts.size - 1
    matrix = np.zeros((size, size))
    for row in range(size):
        span = slice(counts.starts[row], counts.starts[row + 1])
        matrix[row, counts.columns[span]] = counts.values[span]
    return matrix


def small_recipe(**tables: dict[str, Any]) -> WordsRecipe:
    values: dict[str, Any] = {
        "family": "words",
        "corpus": {"vocabulary": 40, "subsample": 0.0},
        "model": {"dimensions": 4, "negatives": 2.0},
        "schedule": {"sweeps": 12},
        "run": {"block": 16, "evidence_every": 6, "save_every": 6},
    }
    for name, table in tables.items():
        values[name] = values[name] | table
    return words_from_dict(values)


# --- Corpus --------------------------------------------------------------------------------------------------


def test_the_vocabulary_holds_the_most_frequent_words_and_the_text_their_ranks(tmp_path: Path) -> None:
    text = read_text(write_text(tmp_path, TEXT), 4)
    expected = Counter(" ".join(TEXT).split())
    assert text.words[:2] == ["the", "cat"]
    assert text.counts.tolist() == [expected[word] for word in text.words]
    assert text.total == sum(expected.values())
    back = [text.words[i] for i in text.tokens]
    assert back == [word for word in " ".join(TEXT).split() if word in text.words]
    assert np.bincount(text.paragraphs).tolist()[-1] == 3


def test_pairs_are_counted_as_windows_see_them(tmp_path: Path) -> None:
    text = read_text(write_text(tmp_path, TEXT), 100)
    corpus = Corpus(window=3, subsample=0.0)
    expected = np.zeros((len(text.words), len(text.words)))
    for line in TEXT:
        ids = [text.words.index(word) for word in line.split()]
        for i, left in enumerate(ids):
            for j, right in enumerate(ids):
                if 0 < abs(i - j) <= 3:
                    expected[left, right] += (4 - abs(i - j)) / 3
    counts = count_pairs(text, corpus, np.random.default_rng(0))
    np.testing.assert_allclose(dense(counts), expected, rtol=1e-5)
    np.testing.assert_allclose(counts.marginals, expected.sum(1), rtol=1e-5)


def test_counting_in_pieces_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = read_text(write_text(tmp_path, topics(40)), 100)
    whole = count_pairs(text, Corpus(draws=2), np.random.default_rng(0))
    monkeypatch.setattr("glissando.training.words.corpus._CHUNK", 97)
    pieces = count_pairs(text, Corpus(draws=2), np.random.default_rng(0))
    np.testing.assert_allclose(dense(whole), dense(pieces), rtol=1e-4)


def test_subsampling_thins_out_frequent_words(tmp_path: Path) -> None:
    text = read_text(write_text(tmp_path, topics()), 100)
    share = text.counts / text.total
    counts = count_pairs(text, Corpus(subsample=0.005, draws=3), np.random.default_rng(0))
    full = count_pairs(text, Corpus(subsample=0.0), np.random.default_rng(0))
    kept = counts.marginals / full.marginals
    assert kept[share > 0.05].max() < 0.4
    assert kept[:5].mean() < 0.5 * kept[-5:].mean()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds no text"), (b"word", "at least 2"), (b"\xff\xfe", "cannot read")],
)
def test_text_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "corpus-0.txt").write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        read_text(tmp_path, 10)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "corpus-0.txt.xz").write_bytes(lzma.compress(b"some words " * 100)[:-20])
    with pytest.raises(TrainingError, match=r"corpus-0\.txt\.xz"):
        read_text(tmp_path, 10)


# --- Model ---------------------------------------------------------------------------------------------------


@pytest.fixture
def problem(tmp_path: Path) -> tuple[np.ndarray, Pairs, Pairs, Side, Side]:
    text = read_text(write_text(tmp_path, topics(20)), 40)
    counts = count_pairs(text, Corpus(subsample=0.0), np.random.default_rng(0))
    generator = torch.Generator().manual_seed(0)
    sides = [
        Side(torch.randn(40, 5, generator=generator) * 0.5, torch.full((40, 5), 1e12), torch.zeros(40, 5))
        for _ in range(2)
    ]
    return dense(counts), *both_sides(counts, 7, 3.0, 0.75), sides[0], sides[1]


def negatives(positive: np.ndarray) -> torch.Tensor:
    words = positive.sum(1)
    return torch.tensor(3.0 * words[:, None] * words**0.75 / (words**0.75).sum())


def log_likelihood(u: torch.Tensor, v: torch.Tensor, positive: np.ndarray) -> torch.Tensor:
    logits = u @ v.T
    seen = torch.tensor(positive) * torch.nn.functional.logsigmoid(logits)
    return (seen + negatives(positive) * torch.nn.functional.logsigmoid(-logits)).sum()


@pytest.mark.parametrize("turned", [False, True])
def test_moves_follow_the_gradient_and_precisions_the_curvature(
    problem: tuple[np.ndarray, Pairs, Pairs, Side, Side], turned: bool
) -> None:
    positive, pairs, back, inputs, contexts = problem
    u = inputs.mean.double().clone().requires_grad_(True)
    v = contexts.mean.double().clone().requires_grad_(True)
    prior = 0.8
    whole = log_likelihood(u, v, positive) - (u.square().sum() + v.square().sum()) / (2 * prior**2)
    wanted = torch.autograd.grad(whole, v if turned else u)[0].float()
    s = torch.sigmoid(u @ v.T).detach()
    weight = (torch.tensor(positive) + negatives(positive)) * s * (1 - s)
    curvature = weight.T @ u.detach().square() if turned else weight @ v.detach().square()

    side, other, seen = (contexts, inputs, back) if turned else (inputs, contexts, pairs)
    before = side.mean.clone()
    update = Update(step=0.01, momentum=0.0, precision=1.0, limit=1.0, prior=prior)
    update_side(side, other.mean, seen, update, torch.Generator().manual_seed(0))
    precision = curvature.float() + 1 / prior**2
    torch.testing.assert_close(side.precision, precision, rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(side.mean - before, 0.01 * wanted / precision, rtol=1e-2, atol=1e-5)


def test_bfloat16_gives_nearly_the_same_moves(problem: tuple[np.ndarray, Pairs, Pairs, Side, Side]) -> None:
    _, pairs, _, inputs, contexts = problem
    moved = []
    for dtype in (torch.float32, torch.bfloat16):
        side = Side(inputs.mean.clone(), inputs.precision.clone(), torch.zeros_like(inputs.mean))
        update = Update(step=0.1, momentum=0.0, precision=1.0, limit=10.0, prior=1.0, dtype=dtype)
        update_side(side, contexts.mean, pairs, update, torch.Generator().manual_seed(0))
        moved.append(side)
    torch.testing.assert_close(moved[0].precision, moved[1].precision, rtol=0.03, atol=0.01)
    assert (moved[0].mean - moved[1].mean).abs().max() < 0.05 * (moved[0].mean - inputs.mean).abs().max()


def test_no_coordinate_moves_further_than_the_limit(problem: tuple[np.ndarray, Pairs, Pairs, Side, Side]) -> None:
    _, pairs, _, inputs, contexts = problem
    before = inputs.mean.clone()
    update = Update(step=5.0, momentum=0.0, precision=1.0, limit=0.02, prior=1.0)
    update_side(inputs, contexts.mean, pairs, update, torch.Generator().manual_seed(0))
    assert (inputs.mean - before).abs().max() == pytest.approx(0.02, rel=1e-4)


def test_the_evidence_is_likelihood_less_divergence(problem: tuple[np.ndarray, Pairs, Pairs, Side, Side]) -> None:
    positive, pairs, _, inputs, contexts = problem
    inputs.precision.fill_(1e8)
    contexts.precision.fill_(1e8)
    found = evidence(inputs, contexts, pairs, 0.7, torch.Generator().manual_seed(0))
    normal = torch.distributions.Normal
    divergence = sum(
        torch.distributions.kl_divergence(normal(side.mean.double(), 1e-4), normal(0.0, 0.7)).sum()
        for side in (inputs, contexts)
    )
    total = log_likelihood(inputs.mean.double(), contexts.mean.double(), positive) - divergence
    assert found == pytest.approx(float(total) / positive.sum(), rel=1e-3)


def test_svd_start_factors_the_shifted_pmi(tmp_path: Path) -> None:
    text = read_text(write_text(tmp_path, topics(50)), 40)
    counts = count_pairs(text, Corpus(subsample=0.0), np.random.default_rng(0))
    pairs, _ = both_sides(counts, 8, 1.0, 0.75)
    u, v = svd_start(counts, pairs, 40, torch.Generator().manual_seed(0))
    positive = dense(counts)
    with np.errstate(divide="ignore"):
        expected = np.maximum(np.log(positive / (negatives(positive).numpy() / 3.0)), 0)
    shift = math.sqrt(3.0 / 40)
    signs = torch.sign((u - v).mean(0)) * shift
    np.testing.assert_allclose(((u - signs) @ (v + signs).T).numpy(), expected, atol=0.02)


# --- Training ------------------------------------------------------------------------------------------------


def test_the_same_recipe_gives_the_same_posterior_which_knows_topics_and_frequencies(tmp_path: Path) -> None:
    text = read_text(write_text(tmp_path, topics()), 40)
    posteriors = []
    for _ in range(2):
        trainer = WordsTrainer(small_recipe(), text)
        first = None
        for sweep in range(12):
            trainer.sweep(sweep / 12)
            first = trainer.evidence() if first is None else first
        assert trainer.evidence() > first
        posteriors.append(trainer.posterior())
    for key in ("mean", "std", "words"):
        np.testing.assert_array_equal(posteriors[0][key], posteriors[1][key])
    found = posteriors[0]
    assert found["words"].tolist() == text.words
    unit = found["mean"] / np.linalg.norm(found["mean"], axis=1, keepdims=True)
    same = np.char.startswith(found["words"], "a")[:, None] == np.char.startswith(found["words"], "a")
    cosines = unit @ unit.T
    assert cosines[same].mean() > cosines[~same].mean() + 0.3
    std = np.median(found["std"], axis=1)
    assert std[:8].mean() < 0.8 * std[-8:].mean()  # frequent words are known better


def test_blocks_hold_frequent_and_rare_words_alike(tmp_path: Path) -> None:
    text = read_text(write_text(tmp_path, topics()), 40)
    dealt, ranks = deal_words(text, 16)
    assert sorted(dealt.words) == sorted(text.words)
    assert [dealt.words[i] for i in dealt.tokens] == [text.words[i] for i in text.tokens]
    assert [dealt.words[i] for i in np.argsort(ranks)] == text.words
    for block in (range(14), range(14, 27), range(27, 40)):
        assert min(ranks[i] for i in block) < 3
        assert max(ranks[i] for i in block) >= 37


def write_recipe(path: Path, **changes: str) -> Path:
    lines = [
        'family = "words"', 'name = "tiny"', "[corpus]", "vocabulary = 40", "[model]", "dimensions = 4",
        "[schedule]", f"sweeps = {changes.get('sweeps', '4')}",
        "[run]", "block = 16", "save_every = 2", "evidence_every = 2",
    ]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_common_entry_point_trains_words_and_resumes(tmp_path: Path) -> None:
    recipe, data = write_recipe(tmp_path / "tiny.toml"), write_text(tmp_path / "text", topics(100))
    whole = training.run(recipe, data=data, out=tmp_path / "whole", threads=1)
    assert whole == tmp_path / "whole" / POSTERIOR
    with np.load(whole) as file:
        assert file["mean"].shape == file["std"].shape == (40, 4)
        assert file["mean"].dtype == np.float32
        described = json.loads(str(file["training"]))
    assert described["sweeps"] == 4
    assert math.isfinite(described["evidence"])
    assert json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[-1])["step"] == 4

    longer = write_recipe(tmp_path / "longer.toml", sweeps="6")
    more = run_words(longer, data=data, out=tmp_path / "more", resume=tmp_path / "whole" / "last.pt")
    with np.load(more) as file:
        assert json.loads(str(file["training"]))["sweeps"] == 6


def test_resuming_from_what_does_not_fit_is_an_error(tmp_path: Path) -> None:
    recipe, data = write_recipe(tmp_path / "tiny.toml"), write_text(tmp_path / "text", topics(100))
    training.run(recipe, data=data, out=tmp_path / "out")
    (tmp_path / "noise.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"noise\.pt is not a checkpoint"):
        run_words(recipe, data=data, out=tmp_path / "out", resume=tmp_path / "noise.pt")
    other = write_text(tmp_path / "other", [line.replace("a", "c") for line in topics(100)])
    with pytest.raises(TrainingError, match="other words"):
        run_words(recipe, data=other, out=tmp_path / "out", resume=tmp_path / "out" / "last.pt")


def test_without_text_it_says_where_text_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLISSANDO_DATA", raising=False)
    with pytest.raises(TrainingError, match="GLISSANDO_DATA"):
        run_words(write_recipe(tmp_path / "tiny.toml"))


# --- Recipes -------------------------------------------------------------------------------------------------


def test_the_recipe_of_this_repository_is_valid() -> None:
    recipe = read_words_recipe(RECIPES / "words.toml")
    assert words_from_dict(recipe.to_dict()) == recipe
    assert len(recipe.hash()) == 12


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"family": "pictures"}, "family"),
        ({"corpus": {"window": 0}}, "window"),
        ({"model": {"priors": 1.0}}, r"model\.priors"),
        ({"schedule": {"momentum": 1.0}}, "momentum"),
        ({"run": {"initial": "pca"}}, "initial"),
    ],
)
def test_impossible_keys_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        words_from_dict(values)


def test_a_recipe_of_unknown_family_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('family = "music"\n')
    with pytest.raises(RecipeError, match="music"):
        training.run(path)


def test_text_is_a_plain_record() -> None:
    text = Text(["a", "b"], np.array([2, 1]), np.array([0, 1, 0], np.int32), np.zeros(3, np.int32), 3)
    counts = count_pairs(text, Corpus(window=1, subsample=0.0), np.random.default_rng(0))
    np.testing.assert_array_equal(dense(counts), [[0, 2], [2, 0]])
