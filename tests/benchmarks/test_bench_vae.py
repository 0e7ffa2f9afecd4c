"""The VAE study's own arithmetic: ranges of rates, and the table."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the study reads training pictures: pip install glissando[train]")

from benchmarks.vae import CENTRES, QUALITIES, better_range, markdown


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
    dearer = [{**point, "bpp": 2 * point["bpp"]} for point in ours]
    text = markdown(
        {
            "date": "2026-01-01",
            "pictures": 24,
            "model": {"name": "vae", "hash": "00"},
            "machine": {"processor": "A CPU", "extensions": ["AVX2"]},
            "curves": {"uncertainty": ours, **dict.fromkeys(("jpeg", "uniform", "k-means", "one σ"), dearer)},
        }
    )
    assert "| JPEG | -50.0 % | -50.0 % |" in text
    assert "24 Kodak pictures" in text
    assert text.count("| 100 |") == 1


def test_k_means_has_as_many_points_as_a_grid() -> None:
    assert CENTRES == (3, 7, 15, 31, 63, 127, 255)
