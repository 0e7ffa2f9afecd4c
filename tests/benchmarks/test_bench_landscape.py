"""Where our models stand among published codecs: what is read of them, the table, the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from study_fakes import as_kodak

from benchmarks.documents import begin_marker, end_marker
from benchmarks.landscape import (
    ANCHOR,
    draw,
    landscape_block,
    main,
    our_standings,
    published_points,
    published_standings,
)
from glissando.bench.results import Results
from glissando.errors import BenchmarkError

DECIBELS = (24.0, 28.0, 32.0, 36.0, 40.0)


def points(factor: float) -> list[dict[str, float]]:
    """Of a codec that needs ``factor`` times the bits of the anchor."""
    return [{"bpp": factor * 2 ** ((psnr - 32.0) / 4.0), "psnr": psnr} for psnr in DECIBELS]


@pytest.fixture
def published() -> dict[str, Any]:
    return {
        "_meta": {
            "sources": {
                ANCHOR: {},
                "BPG-444-x265-ycbcr": {},
                "fitted": {
                    "rates": "estimates: no coder",
                    "models": "one decoder per image and rate",
                    "decode_kmac_per_pixel": None,
                    "decode_kmac_source": "README: less than 3 kMAC/px",
                },
                "refined": {"rates": "estimates", "encode": "3000 steps of SGA", "decode_kmac_per_pixel": 20.5},
                "networks": {"rates": "not stated in the file", "models": "one model per rate"},
            },
            "decode_kmac_of_existing": {"networks": {"min": 100.0, "max": 140.0, "source": "others"}},
        },
        ANCHOR: points(1.0),
        "BPG-444-x265-ycbcr": points(1.2),
        "fitted": points(1.05),
        "refined": points(1.3),
        "networks": points(0.9),
        "networks [ms-ssim]": points(3.0),
    }


def test_what_is_known_of_published_codecs(published: dict[str, Any]) -> None:
    found = {one.name: one for one in published_standings(published)}
    assert list(found) == ["BPG-444-x265-ycbcr", "fitted", "refined", "networks"]
    assert {name: one.percent for name, one in found.items()} == pytest.approx(
        {"BPG-444-x265-ycbcr": 20.0, "fitted": 5.0, "refined": 30.0, "networks": -10.0}
    )
    assert {name: one.kmac for name, one in found.items()} == {
        "BPG-444-x265-ycbcr": None,
        "fitted": (3.0, 3.0),
        "refined": (20.5, 20.5),
        "networks": (100.0, 140.0),
    }
    assert [name for name, one in found.items() if one.at_most] == ["fitted"]
    assert [name for name, one in found.items() if one.fitted] == ["fitted", "refined"]
    assert [one.rates for one in found.values()] == ["files", "estimates", "estimates", "not stated"]


def test_the_table_is_sorted_and_says_what_a_figure_is(published: dict[str, Any]) -> None:
    lines = landscape_block(published_standings(published)).splitlines()
    assert lines[2] == "| networks | 100 … 140 | -10.0 % | 24.0 … 40.0 | not stated |"
    assert lines[3] == (
        "| fitted (optimised for each picture) | < 3 | +5.0 % | 24.0 … 40.0 | estimated from probabilities |"
    )
    assert lines[4].startswith("| BPG-444-x265-ycbcr | — | +20.0 %")


def test_our_models_stand_among_them(published: dict[str, Any], comparison: Results, tmp_path: Path) -> None:
    results, anchor = as_kodak(comparison), published_points(published, ANCHOR)
    ours = our_standings(results, anchor)
    assert [one.name for one in ours] == [codec.label for codec in results.codecs if codec.model is not None]
    assert all(one.ours and one.rates == "files" and one.kmac is not None for one in ours)
    picture = tmp_path / "landscape.svg"
    draw([*published_standings(published), *ours], picture)
    drawn = picture.read_text()
    assert all(one.name.removeprefix("Glissando ") in drawn for one in ours)
    assert "refined" in drawn


def test_command(published: dict[str, Any], comparison: Results, tmp_path: Path) -> None:
    results, curves, document = (tmp_path / name for name in ("results.json", "published.json", "results.md"))
    results.write_text(as_kodak(comparison).to_json())
    curves.write_text(json.dumps(published))
    document.write_text(f"before\n{begin_marker('landscape')}\n{end_marker('landscape')}\nafter\n")
    picture = tmp_path / "landscape.png"
    assert main([str(results), str(curves), str(document), "--picture", str(picture)]) == 0
    assert "| networks | 100 … 140 |" in document.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_refusals(
    published: dict[str, Any], comparison: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, curves = tmp_path / "results.json", tmp_path / "published.json"
    results.write_text(comparison.to_json())  # three pictures
    curves.write_text(json.dumps(published))
    assert main([str(results), str(curves)]) == 1
    assert "24 Kodak pictures" in capsys.readouterr().err
    with pytest.raises(BenchmarkError, match="not a file of published curves"):
        published_standings({"curves": []})
    assert main([str(results), str(tmp_path / "none.json")]) == 1
