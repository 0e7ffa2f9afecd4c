"""The importance benchmark's own arithmetic, and its table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.data import Picture
from benchmarks.importance import AUTO_METRICS, AUTO_QUALITIES, QUALITIES, bd_rates, decibels, markdown, painted


def test_psnr_of_a_part() -> None:
    original = np.zeros((4, 4, 3), np.uint8)
    decoded = original.copy()
    decoded[:, 2:] = 255
    right = np.zeros((4, 4), bool)
    right[:, 2:] = True
    assert decibels(original, decoded, right) == 0
    assert decibels(original, decoded, ~right) == 100


def test_a_painted_picture(codec: Any, natural: Any) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:, 20:] = 255
    rows = list(painted(codec, Picture("a", natural(100, 150)), mask))
    assert [row["quality"] for row in rows] == list(QUALITIES)
    for row in rows:
        assert row["covered"] == pytest.approx(1 / 3, abs=0.01)
        assert row["mapped"]["bytes"] == pytest.approx(row["plain"]["bytes"], rel=0.011)
        assert row["mapped"]["inside"] > row["plain"]["inside"] + 1
        assert row["mapped"]["outside"] < row["plain"]["outside"]
        assert 10 < row["map_bytes"] < 40


def curves(saving: float) -> dict[str, list[dict[str, float]]]:
    def points(factor: float) -> list[dict[str, float]]:
        return [
            {"quality": q, "bpp": factor * 0.1 * 1.4**k, "share": 0.01 * k, **dict.fromkeys(AUTO_METRICS, 30.0 + 2 * k)}
            for k, q in enumerate(AUTO_QUALITIES)
        ]

    return {"none": points(1.0), "auto": points(1 - saving)}


def test_bd_rates_are_of_the_automatic_map() -> None:
    assert all(rate == pytest.approx(-10) for rate in bd_rates(curves(0.1)).values())


def test_the_table_says_what_was_measured() -> None:
    def row(quality: float, gain: float) -> dict[str, Any]:
        plain = {"bytes": 10_000, "inside": 30.0, "outside": 32.0}
        mapped = {"bytes": 10_050, "inside": 30.0 + gain, "outside": 31.0}
        return {
            "picture": "kodim01",
            "quality": quality,
            "covered": 0.2,
            "plain": plain,
            "mapped": mapped,
            "map_bytes": 40 if gain > 2 else 60,
        }

    text = markdown(
        {
            "date": "2026-01-01",
            "pictures": 24,
            "model": {"name": "medium", "hash": "00"},
            "machine": {"processor": "A CPU"},
            "strength": {"painted": 24.0, "auto": 12.0},
            "painted": [row(q, gain) for q in QUALITIES for gain in (1.5, 4.5)],
            "automatic": curves(0.1),
        }
    )
    assert "| 60 | +3.00 dB | +1.50 dB | -1.00 dB | +0.50 % | 0.50 % | 0.60 % | 1 of 2 | 1 of 2 |" in text
    assert text.count("| kodim01 | 20 % |") == 2 * len(QUALITIES)
    assert text.count("| -10.0 % |") == len(AUTO_METRICS)
