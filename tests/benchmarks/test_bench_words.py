"""The word study: scores against a slow reference, interpolation, and a whole run on a small posterior."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import words, words_report
from benchmarks.analogies import Analogies, evaluate, read_questions
from benchmarks.words import load_posterior, main
from benchmarks.words_report import BEGIN, CURVES, END, bits_at, levels_of
from glissando.errors import BenchmarkError

WORDS, DIMENSIONS = 120, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A posterior in which d = b - a + c holds for words 0 .. 59 up to their std, the rest is noise; questions."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("words")
    mean = random.normal(size=(WORDS, DIMENSIONS))
    std = np.full((WORDS, DIMENSIONS), 0.3)
    std[60:] = 3.0
    relation = random.normal(size=DIMENSIONS)
    mean[30:60] = mean[:30] + relation + 0.05 * random.normal(size=(30, DIMENSIONS))
    names = [f"w{i}" for i in range(WORDS)]
    np.savez(
        path / "posterior.npz",
        words=np.array(names),
        counts=np.arange(WORDS, 0, -1),
        mean=mean.astype(np.float32),
        std=std.astype(np.float32),
        training=np.array(
            json.dumps({"recipe": "tiny [0]", "sweeps": 3, "seconds": 60.0, "threads": 1, "evidence": -1.0})
        ),
    )
    lines = [": pairs", *(f"W{i} w{30 + i} w{j} w{30 + j}" for i in range(30) for j in range(0, 30, 7) if i != j)]
    (path / "questions.txt").write_text("\n".join([*lines, "w0 w1 w2 unknown"]) + "\n", encoding="utf-8")
    return path


def slow_ranks(vectors: np.ndarray, rows: np.ndarray) -> list[int]:
    """Place of the answer when all other words are sorted by cosine, ties before it."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    ranks = []
    for a, b, c, d in rows:
        cosine = {w: float(unit[w] @ (unit[b] - unit[a] + unit[c])) for w in range(len(unit)) if w not in (a, b, c)}
        ranks.append(sum(value >= cosine[d] - 1e-7 for value in cosine.values()) if d in cosine else 10**9)
    return ranks


def test_scores_are_those_of_sorting_all_words(folder: Path) -> None:
    posterior = load_posterior(folder / "posterior.npz")
    analogies = read_questions(folder / "questions.txt", posterior.words)
    noisy = posterior.mean + np.random.default_rng(1).normal(size=posterior.mean.shape)
    ranks = np.array(slow_ranks(noisy.astype(np.float64), analogies.rows))
    found = evaluate(noisy, analogies)
    assert found.hits10 == pytest.approx((ranks <= 10).mean())
    assert found.top1 == pytest.approx((ranks == 1).mean())
    assert found.mrr == pytest.approx((1 / ranks).mean(), abs=1e-6)
    assert 0.1 < found.hits10 < 0.95


def test_words_that_tie_with_the_answer_rank_before_it() -> None:
    vectors = np.zeros((40, 2), np.float32)
    assert evaluate(vectors, Analogies(np.array([[0, 1, 2, 3]]), 1)).hits10 == 0.0


def test_an_answer_in_its_own_question_is_never_found() -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert evaluate(vectors, Analogies(np.array([[0, 1, 2, 1]]), 1)).hits10 < 1.0 or len(vectors) <= 10


def test_questions_are_lower_cased_and_those_with_unknown_words_only_counted(folder: Path) -> None:
    analogies = read_questions(folder / "questions.txt", [f"w{i}" for i in range(WORDS)])
    assert analogies.total == len(analogies.rows) + 1
    assert analogies.rows[0].tolist() == [0, 30, 7, 37]
    few = analogies.subset(5)
    assert len(few.rows) == 5
    np.testing.assert_array_equal(few.rows, analogies.subset(5).rows)


def test_questions_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "q.txt"
    path.write_text("a b c\n")
    with pytest.raises(BenchmarkError, match="line 1"):
        read_questions(path, ["a"])
    path.write_text("a b c d\n")
    with pytest.raises(BenchmarkError, match="no question of 1"):
        read_questions(path, ["a"])
    with pytest.raises(BenchmarkError, match="cannot read"):
        read_questions(tmp_path / "none.txt", ["a"])


def curve(*points: tuple[float, float]) -> list[dict[str, float]]:
    return [{"bits_per_value": bits, "hits10": hits} for bits, hits in points]


def test_bits_are_read_off_straight_lines_and_never_beyond_what_was_measured() -> None:
    rows = curve((3.0, 0.6), (1.0, 0.2), (2.0, 0.4))
    assert bits_at(rows, 0.3) == pytest.approx(1.5)
    assert bits_at(rows, 0.6) == pytest.approx(3.0)
    assert bits_at(rows, 0.61) is None
    assert bits_at(rows, 0.2) is None
    assert bits_at(curve((1.0, 0.2), (2.0, 0.5), (3.0, 0.4), (4.0, 0.6)), 0.45) == pytest.approx(1.0 + 0.25 / 0.3)


def test_a_run_measures_real_files_and_the_report_shows_them(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs", reason="zstd comes with imagecodecs")
    results, target = tmp_path / "words.json", tmp_path / "words.md"
    asked = ["measure", str(folder / "posterior.npz"), "--questions", str(folder / "questions.txt")]
    assert main([*asked, "--json", str(results), "--every", "3"]) == 0
    found = json.loads(results.read_text())
    assert set(found["curves"]) == set(CURVES)
    for rows in found["curves"].values():
        assert all(row["bits_per_value"] == pytest.approx(8 * row["bytes"] / (WORDS * DIMENSIONS)) for row in rows)
    ours = sorted(found["curves"]["bayes"], key=lambda row: row["bytes"])
    assert ours[-1]["hits10"] > 0.9 * found["uncompressed"]["hits10"]
    assert ours[0]["hits10"] < ours[-1]["hits10"]
    uniform = min(found["curves"]["uniform-arithmetic"], key=lambda row: row["setting"])
    assert uniform["hits10"] == pytest.approx(found["uncompressed"]["hits10"], abs=0.05)

    target.write_text(f"# Words\n{BEGIN}\nold\n{END}\nend\n", encoding="utf-8")
    assert main(["report", str(results), str(target)]) == 0
    text = target.read_text()
    assert "old" not in text
    assert "![Hits@10 against bits per value](words.svg)" in text
    assert f"{levels_of(found)[0][1]:.3f}" in text
    assert "recipe tiny [0]" in text
    drawn = (tmp_path / "words.svg").read_bytes()
    assert drawn.startswith(b"<svg")
    assert drawn == words_report.plot(found)


def test_uncertainty_pays_where_the_words_that_matter_are_the_certain_ones(folder: Path) -> None:
    """Ten times the std for half of the words, none of which is asked for: their bits are saved."""
    posterior = load_posterior(folder / "posterior.npz")
    analogies = read_questions(folder / "questions.txt", posterior.words)
    results = words.measure(posterior, analogies, rate_weights=np.geomspace(0.01, 30, 24).tolist(), steps=(), levels=())
    level = 0.9 * results["uncompressed"]["hits10"]
    ours = bits_at(results["curves"]["bayes"], level)
    blind = bits_at(results["curves"]["bayes-same-std"], level)
    assert ours is not None
    assert blind is not None
    assert ours < 0.9 * blind


@pytest.mark.parametrize("content", ["{}", "[]", "no json", '{"curves": {"bayes": []}}'])
def test_results_that_are_none_are_an_error_and_leave_the_page_alone(tmp_path: Path, content: str) -> None:
    results, target = tmp_path / "r.json", tmp_path / "w.md"
    results.write_text(content)
    target.write_text(f"{BEGIN}\nold\n{END}\n")
    assert main(["report", str(results), str(target)]) == 1
    assert target.read_text() == f"{BEGIN}\nold\n{END}\n"


def test_a_posterior_that_is_none_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "posterior.npz"
    np.savez(path, words=np.array(["a"]), counts=np.array([1]), mean=np.ones((1, 2)), std=np.zeros((1, 2)))
    with pytest.raises(BenchmarkError, match="positive"):
        load_posterior(path)
    path.write_bytes(b"nothing")
    assert main(["measure", str(path), "--questions", "q", "--json", "j"]) == 1
    assert "posterior" in capsys.readouterr().err
