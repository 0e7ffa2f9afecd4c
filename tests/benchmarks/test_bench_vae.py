"""The VAE study's own arithmetic: ranges of rates, and the table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the study reads training pictures: pip install glissando[train]")

from study_fakes import FakeCodec

from benchmarks import vae, vae_variants
from benchmarks.points import QUALITIES
from benchmarks.vae import LABELS, better_range, markdown
from benchmarks.vae_variants import CENTRES, LEVELS, as_in_the_source, by_kmeans, shallow_first
from glissando.bench.results import Results
from glissando.errors import BenchmarkError


def curve(*points: tuple[float, float]) -> list[dict[str, float]]:
    return [{"bpp": bpp, "psnr": score, "ms-ssim": score / 2} for bpp, score in points]


def test_the_range_in_which_a_curve_is_better() -> None:
    theirs = curve((0.1, 20.0), (1.6, 40.0))
    above = curve((0.2, 35.0), (3.2, 45.0))
    low, high = better_range(above, theirs, "psnr")
    assert (low, high) == pytest.approx((0.2, 1.6), rel=0.02)
    crossing = curve((0.1, 25.0), (1.6, 35.0))  # they meet in the middle, at 0.4
    assert better_range(crossing, theirs, "psnr") == pytest.approx((0.1, 0.4), rel=0.02)
    assert better_range(theirs, above, "psnr") == (0.0, 0.0)


def test_the_table_says_what_was_measured() -> None:
    ours = curve(*((0.1 * 1.4**k, 25.0 + 1.5 * k) for k in range(len(QUALITIES))))
    ours = [{**point, "quality": quality} for point, quality in zip(ours, QUALITIES, strict=True)]
    dearer = [{**point, "bpp": 2 * point["bpp"]} for point in ours]
    text = markdown(
        {
            "date": "2026-01-01",
            "pictures": 24,
            "model": {"name": "vae", "hash": "00"},
            "machine": {"processor": "A CPU", "extensions": ["AVX2"]},
            "curves": {**dict.fromkeys(LABELS, dearer), "uncertainty": ours},
        }
    )
    assert "| JPEG | -50.0 % | -50.0 % |" in text
    assert "24 Kodak pictures" in text
    assert text.count("| 95 |") == 1


class Recorded:
    """Stands for ``Listed``: keeps the lists of points that it is given."""

    def __init__(self, model: Any, levels: Any, mean: Any, deviation: Any) -> None:
        self.levels = levels


@pytest.fixture
def posteriors(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.setattr(vae_variants, "Listed", Recorded)
    random = np.random.default_rng(0)
    mean = random.laplace(scale=[1.0, 5.0, 0.1], size=(16, 8, 8, 3)).astype(np.float32)
    return mean, random.uniform(0.05, 0.2, mean.shape).astype(np.float32)


def test_k_means_rounds_to_the_nearest_point(posteriors: tuple[Any, Any]) -> None:
    mean, deviation = posteriors
    found: Any = by_kmeans(None, mean, deviation)  # type: ignore[arg-type]
    assert [level.values.shape for level in found.levels] == [(3, count) for count in CENTRES]
    assert CENTRES == (3, 7, 15, 31, 63, 127)
    for level in found.levels[:3]:
        symbols = level.symbols(mean, np.ones_like(deviation))
        nearest = np.abs(mean[..., None] - level.values).argmin(axis=-1) - level.values.shape[1] // 2
        assert (symbols == nearest).mean() > 0.999  # ties


def test_the_source_takes_deeper_points_where_bits_are_cheap(posteriors: tuple[Any, Any]) -> None:
    mean, deviation = posteriors
    found: Any = as_in_the_source(None, mean, deviation)  # type: ignore[arg-type]
    assert len(found.levels) == LEVELS
    weights = [level.rate_weight for level in found.levels]
    assert weights == sorted(weights, reverse=True)
    sizes = [level.values.shape[1] for level in found.levels]
    assert sizes == sorted(sizes)
    errors = []
    for level in found.levels:
        symbols = level.symbols(mean, deviation)
        errors.append(np.abs(level.decoded(symbols) - mean).mean())
        nearest = np.abs(mean[..., None] - level.values).min(axis=-1)
        assert (np.abs(level.decoded(symbols) - mean) >= nearest - 1e-5).all()
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.2 * errors[0]


def test_shallow_points_have_small_symbols() -> None:
    assert shallow_first(1).tolist() == [-1, 0, 1]
    assert shallow_first(3).tolist() == [-7, -3, -6, -1, -5, -2, -4, 0, 4, 2, 5, 1, 6, 3, 7]


def test_a_run_takes_the_known_curves_from_the_comparison(
    comparison: Results, data_set: Any, make_picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SimpleNamespace(card=SimpleNamespace(name="vae", hash="0123456789abcdef", bytes=1))
    codec = FakeCodec()
    monkeypatch.setattr(vae, "METRICS", ("psnr",))  # the fake's pictures are too small for MS-SSIM
    monkeypatch.setattr(vae.zoo, "find", lambda folder: model)
    monkeypatch.setattr(vae, "posteriors", lambda folder, data: (None, None))
    monkeypatch.setattr(vae, "variants", lambda *_: iter([("uniform", codec)]))
    found = vae.measure("vae", comparison, data_set, None)
    assert [point["quality"] for point in found["curves"]["uncertainty"]] == list(QUALITIES[:-1])  # 100 has corrections
    assert found["curves"]["uncertainty"][0]["bpp"] == pytest.approx(0.054)
    assert found["curves"]["jpeg"][0]["bpp"] == pytest.approx(0.12)
    assert len(found["curves"]["uniform"]) == LEVELS
    data = [codec.encode(make_picture(i), 100.0) for i in (1, 2, 3)]
    assert found["curves"]["uniform"][-1]["bpp"] == pytest.approx(sum(8 * len(d) for d in data) / (3 * 64 * 96))
    with pytest.raises(BenchmarkError, match="3 other pictures than the 2"):
        vae.measure("vae", comparison, data_set, 2)
