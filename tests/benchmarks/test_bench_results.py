"""The comparison's summary, and the tables made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.results import BEGIN, END, full, main, short
from glissando.bench.machine import Machine
from glissando.bench.results import (
    BDRow,
    CodecInfo,
    Failure,
    Memory,
    Metric,
    Missing,
    PictureInfo,
    Point,
    Results,
    Timing,
)
from glissando.bench.summary import summarise
from glissando.errors import BenchmarkError


@pytest.fixture
def results() -> Results:
    codecs = [
        CodecInfo("avif", "AVIF", "libavif 1", ours=False, threads="2"),
        CodecInfo("jpeg", "JPEG | old", "libjpeg 2", ours=False, threads="1 (cannot use more)"),
        CodecInfo("glissando:medium", "Glissando medium", "0.1", ours=True, threads="2"),
        CodecInfo("odd", "Odd", "1", ours=False, threads="1"),
    ]
    return Results(
        version="0.1.0",
        date="2026-01-02T03:04:05+00:00",
        command="glissando bench pictures",
        machine=Machine("Some processor", ("AVX2", "AVX-512"), 2, "Linux", "3.11"),
        threads=2,
        anchor="avif",
        bd_method="pchip",
        metrics=[Metric("psnr", "PSNR", "dB", "this"), Metric("ssimulacra2", "SSIMULACRA 2", "", "that 3")],
        codecs=codecs,
        missing=[Missing("vvc", "vvencapp is not on the path")],
        pictures=[PictureInfo("a.png", 768, 512, "0" * 16)],
        points=[Point("avif", "a.png", 50.0, 1000, 0.02, {"psnr": 30.0})],
        bd=[
            BDRow("jpeg", "psnr", "", 80.0, 30.0, 40.0),
            BDRow("avif", "psnr", "", 0.0, 30.0, 40.0),
            BDRow("glissando:medium", "psnr", "", -10.04, 30.5, 39.5),
            BDRow("glissando:medium", "ssimulacra2", "", None, None, None, "too little overlap"),
            BDRow("glissando:medium", "psnr", "a.png", 99.0, 30.5, 39.5),
        ],
        timings=[
            Timing("avif", 0.4, 50.0, 0.5, 0.2, 0.02, 5),
            Timing("avif", 8.0, 50.0, 0.5, 4.0, 0.4, 3),
            Timing("glissando:medium", 0.4, 43.0, 0.5, 0.05, 0.04, 5),
        ],
        memory=[Memory("avif", 0.4, 50.0, 20.0)],
        failures=[Failure("b.png", "cannot be read")],
    )


def test_the_summary_is_sorted_and_relative_to_the_anchor(results: Results) -> None:
    rows = summarise(results)
    assert [row.codec.name for row in rows] == ["glissando:medium", "avif", "jpeg", "odd"]
    ours, avif, jpeg, _ = rows
    assert ours.bd["psnr"].percent == -10.04  # the mean curve's, not a picture's
    assert (ours.encode_mpx_s, ours.decode_mpx_s) == pytest.approx((8.0, 10.0))
    assert (ours.encode_ratio, ours.decode_ratio) == pytest.approx((4.0, 0.5))
    assert avif.encode_mpx_s == pytest.approx(2.0)  # at 0.4 megapixels, not at 8
    assert (avif.memory_mb, ours.memory_mb) == (50.0, None)
    assert jpeg.encode_mpx_s is None


def test_tables(results: Results) -> None:
    table = short(results)
    assert "| **Glissando medium** | -10.0 % | — | 8.0 (4.00×) | 10.0 (0.50×) |" in table
    assert "| JPEG \\| old | +80.0 % | — | — | — |" in table
    assert "Some processor (AVX2, AVX-512)" in table
    page = full(results)
    for said in (
        "glissando bench pictures",
        "-10.0 % (30.5 … 39.5)",
        "too little overlap",
        "| AVIF | 200 / 20 | 4000 / 400 |",
        "| Glissando medium | 50 / 40 | — |",
        "vvencapp is not on the path",
        "b.png: cannot be read",
        "libavif 1; threads: 2",
    ):
        assert said in page
    bare = full(replace(results, timings=[], memory=[], missing=[], failures=[]))
    assert "Time" not in bare
    assert "Memory" not in bare


def test_writing(results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, page, readme = tmp_path / "results.json", tmp_path / "page.md", tmp_path / "readme.md"
    source.write_text(results.to_json())
    page.write_text(f"top\n{BEGIN}\nold\n{END}\nbottom")
    readme.write_text("no markers")
    assert main([str(source), str(page), str(readme)]) == 1
    assert "once each" in capsys.readouterr().err
    assert "old" in page.read_text()  # nothing is written where one file cannot be
    readme.write_text(f"{BEGIN}{END}")
    assert main([str(source), str(page), str(readme)]) == 0
    assert page.read_text().startswith(f"top\n{BEGIN}\n    glissando bench")
    assert page.read_text().endswith("bottom")
    assert "Glissando medium" in readme.read_text()
    assert main([str(source), str(page), str(readme)]) == 0  # again, over its own


def test_results_survive_json(results: Results) -> None:
    assert Results.from_json(results.to_json()) == results


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "codecs": 3}', '{"format":1,"x":2}'])
def test_what_is_no_results_is_an_error(text: str) -> None:
    with pytest.raises(BenchmarkError):
        Results.from_json(text)
