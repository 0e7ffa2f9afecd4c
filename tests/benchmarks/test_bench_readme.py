"""Figures of one set of weights in the documents: claims on a comparison, the three blocks, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from study_fakes import as_kodak

from benchmarks import readme
from benchmarks.claim import Claim
from benchmarks.comparison import claims, codec_of_model, curve, matching, our_codec
from benchmarks.data import Picture
from benchmarks.documents import begin_marker, end_marker, replace_between, update_blocks
from benchmarks.readme import comparison_block, main, results_block
from glissando.bench.results import Results
from glissando.bench.summary import against, summarise
from glissando.errors import BenchmarkError
from glissando.machine import Machine

MEDIUM = "glissando:medium"


@pytest.fixture
def checks() -> dict[str, Any]:
    return {
        "date": "2026-01-01 00:00 UTC",
        "pictures": 3,
        "model": {"name": "fake", "hash": "0123456789abcdef"},
        "machine": {"python": "3.11"},
        "versions": {"numpy": "2"},
        "claims": [Claim("largest fall of bytes", 0.0, bar=0.5, digits=3).to_json()],
    }


@pytest.fixture
def sources(comparison: Results, checks: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Both files, for weights that are the installed ones."""
    monkeypatch.setattr(readme, "check_installed", lambda results, codec: None)
    (tmp_path / "results.json").write_text(comparison.to_json())
    (tmp_path / "checks.json").write_text(json.dumps(checks))
    return [str(tmp_path / "results.json"), str(tmp_path / "checks.json")]


PSNR = "glissando:medium-psnr"


def claim(results: Results, words: str, codec: str = PSNR) -> Claim:
    """The claim with these words, of the model of the comparison as if it were the one for PSNR, or another."""
    every = claims(called(results, codec), codec)
    found = [c for c in every if words in c.what]
    assert len(found) == 1, [c.what for c in every]
    return found[0]


def called(results: Results, codec: str) -> Results:
    """The comparison with another name for its model."""
    return Results.from_json(results.to_json().replace(MEDIUM, codec))


def test_the_summary_is_sorted_and_relative_to_the_anchor(comparison: Results) -> None:
    rows = summarise(comparison)
    assert [row.codec.name for row in rows] == [MEDIUM, "avif-psnr", "avif", "odd", "jp2", "webp", "jpeg"]
    ours, _, avif, odd, *_, jpeg = rows
    assert ours.bd["psnr"].percent == pytest.approx(-10.0)  # the mean curve's, not a picture's
    assert (ours.encode_mpx_s, ours.decode_mpx_s) == pytest.approx((8.0, 10.0))
    assert (ours.encode_ratio, ours.decode_ratio) == pytest.approx((4.0, 0.5))
    assert avif.encode_mpx_s == pytest.approx(2.0)  # at 0.4 megapixels, not at 8
    assert (avif.memory_mb, ours.memory_mb) == (50.0, None)
    assert jpeg.encode_mpx_s is None
    assert odd.bd["ms-ssim"].percent is None
    assert against(comparison, MEDIUM, "jpeg", "psnr").percent == pytest.approx(-55.0)


def test_bd_rates_are_claims(comparison: Results) -> None:
    found = claim(comparison, "by PSNR against JPEG | old")
    assert found.value == pytest.approx(-55.0)
    assert found.note == "25.0…40.0 dB"
    like = claim(comparison, "by PSNR against AVIF for PSNR")
    assert (like.value, like.verdict) == (pytest.approx(-5.3, abs=0.1), "meets bar")
    stated = [c for c in claims(called(comparison, PSNR), PSNR) if c.what.endswith("against AVIF")]
    assert [c.verdict for c in stated] == ["stated"]
    # 3 dB are a factor of two; 0.054 bpp give 25 dB here, 0.12 bpp there.
    published = claim(comparison, "BD-rate against published JPEG2000")
    assert published.value == pytest.approx(-55.0)
    assert "3 pictures against a curve of 24: not comparable" in published.note
    missing = claim(comparison, "published VTM")
    assert (missing.verdict, missing.note) == ("not measured", "not among the published curves")
    check = claim(comparison, "check: BD-rate of JPEG | old against published JPEG")
    assert (check.value, check.verdict) == (pytest.approx(0.0, abs=1e-6), "stated")
    # Of codecs that did not take part, those are told that have a bar.
    assert not [c for c in claims(called(comparison, PSNR), PSNR) if "webp-best" in c.what]
    assert claim(comparison, "against jxl-best", MEDIUM).note == "it did not take part"


def test_the_model_for_the_eye_is_judged_by_several_metrics(comparison: Results) -> None:
    found = claim(comparison, "by MS-SSIM against AVIF", MEDIUM)
    assert (found.value, found.bar, found.aim) == (pytest.approx(-10.0), -4.0, -15.0)
    assert found.verdict == "meets bar"
    missing = claim(comparison, "by psnr-hvs-m against AVIF", MEDIUM)
    assert missing.note == "the comparison was made without this metric"
    assert not [c for c in claims(comparison, MEDIUM) if "published" in c.what and "check" not in c.what]


def test_the_page_shows_both_models(comparison: Results, checks: dict[str, Any]) -> None:
    both = called(comparison, PSNR)
    both = replace(
        comparison,
        codecs=[*comparison.codecs, *[c for c in both.codecs if c.name == PSNR]],
        points=[*comparison.points, *[p for p in both.points if p.codec == PSNR]],
    )
    _, model = our_codec(both, MEDIUM)
    text = readme.kodak_block(both, checks, MEDIUM, model)
    before, after = text.split("`medium-psnr`, by squared error:")
    assert "against published JPEG2000" not in before
    assert "BD-rate by MS-SSIM against AVIF" in before
    assert "against published JPEG2000" in after


def test_kodak_is_compared_with_the_published_curves(comparison: Results) -> None:
    kodak = as_kodak(comparison)
    assert "not comparable" not in claim(kodak, "BD-rate against published JPEG2000").note
    assert claim(kodak, "check: BD-rate of JPEG | old").verdict == "expected about -12.0 %"
    low, high = (claim(kodak, f"Kodak mean rate at quality {q}") for q in ("0", "100"))
    assert low.value == pytest.approx(0.054)
    assert low.verdict == "meets bar"
    assert high.value == pytest.approx(1.728)
    assert high.verdict == "short"


def test_means_are_of_decibels(comparison: Results) -> None:
    row = curve(comparison, MEDIUM, ["psnr", "ms-ssim"])[-1]
    assert row == pytest.approx({"quality": 100.0, "bpp": 1.728, "psnr": 40.0, "ms-ssim": 19.0})
    with pytest.raises(BenchmarkError, match="no points of odd by psnr and ms-ssim"):
        curve(comparison, "odd", ["psnr", "ms-ssim"])


@pytest.mark.parametrize(("extensions", "bar", "aim"), [(("AVX2",), 6.0, 70.0), (("AVX2", "AMX bf16"), 15.0, 100.0)])
def test_speed_limits_follow_the_processor(
    extensions: tuple[str, ...], bar: float, aim: float, comparison: Results
) -> None:
    results = replace(comparison, machine=Machine("some", extensions, 1, "any", "3"))
    for name in ("encode", "decode"):
        pictures, share = claim(results, f"{name}: pictures"), claim(results, f"{name}: multiply-adds")
        assert (pictures.bar, share.aim) == (bar, aim)
        assert "AVX2" in pictures.note
    assert claim(results, "encode: pictures").value == pytest.approx(8.0 * 1e6 / (768 * 512))
    assert claim(results, "encode: multiply-adds").value == pytest.approx(100 * 12.0 * 8.0 / 120.0)
    assert claim(results, "decode: multiply-adds").value == pytest.approx(100 * 10.0 * 10.0 / 120.0)
    assert claim(results, "encode: speed as a multiple of AVIF's").value == pytest.approx(4.0)
    assert claim(results, "decode: speed as a multiple of AVIF's").value == pytest.approx(0.5)


def test_what_was_not_timed_is_not_claimed(comparison: Results) -> None:
    assert claim(replace(comparison, timings=[]), "speed").verdict == "not measured"
    bare = replace(comparison, matrix_product_gmac_s=None)
    assert claim(bare, "decode: multiply-adds").verdict == "not measured"


def test_models_are_found_by_their_weights(comparison: Results) -> None:
    assert codec_of_model(comparison, "0123456789abcdef").name == MEDIUM
    with pytest.raises(BenchmarkError, match=r"of other weights \(fake 0123456789abcdef\), not of 00"):
        codec_of_model(comparison, "00")
    with pytest.raises(BenchmarkError, match="avif is no model that took part"):
        our_codec(comparison, "avif")


def test_pictures_must_be_the_same(comparison: Results, make_picture: Any) -> None:
    pictures = [Picture(f"kodim{i:02d}", make_picture(i)) for i in (3, 1, 2)]
    matching(comparison, pictures)
    with pytest.raises(BenchmarkError, match="3 other pictures than the 2"):
        matching(comparison, pictures[:2])


def test_tables(comparison: Results) -> None:
    table = comparison_block(comparison)
    row = "| **Glissando medium** | squared error | -10.0 % | -10.0 % | 8.0 (4.00×) | 10.0 (0.50×) |"
    assert row in table
    assert "| JPEG \\| old | — | +100.0 % | +100.0 % | — | — |" in table
    assert "Some processor (AVX2, AVX-512)" in table
    assert "Models: fake 0123456789abcdef." in table
    page = results_block(comparison)
    for said in (
        "glissando bench pictures",
        "-10.0 % (25.0 … 40.0)",
        "odd: a BD-rate needs at least two points",
        "| AVIF | 200 / 20 | 4000 / 400 |",
        "| Glissando medium | 50 / 40 | — |",
        "vvencapp is not on the path",
        "b.png: cannot be read",
        "libavif 1; tuned for SSIMULACRA 2; threads: 2",
    ):
        assert said in page
    bare = results_block(replace(comparison, timings=[], memory=[], missing=[], failures=[]))
    assert "Time" not in bare
    assert "Memory" not in bare


def block(name: str, text: str = "old") -> str:
    return f"{begin_marker(name)}\n{text}\n{end_marker(name)}"


def test_writing(sources: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, document = tmp_path / "results.md", tmp_path / "README.md"
    page.write_text(f"top\n{block('results')}\nbottom")
    document.write_text("no markers")
    assert main([*sources, str(page), str(document)]) == 1
    assert "none of the lines <!-- kodak:begin -->" in capsys.readouterr().err
    assert "old" in page.read_text()  # nothing is written where one file cannot be
    document.write_text(f"# Title\n{block('kodak')}\nbetween\n{block('comparison')}\nrest\n")
    assert main([*sources, str(page), str(document)]) == 0
    assert page.read_text().startswith(f"top\n{begin_marker('results')}\n    glissando bench")
    assert page.read_text().endswith("bottom")
    text = document.read_text()
    assert text.startswith(f"# Title\n{begin_marker('kodak')}\n| what | measured | bar |")
    assert "| largest fall of bytes | 0.000 % | 0.500 % | n/a | meets bar |" in text
    assert "| quality | bpp | PSNR, dB | MS-SSIM, dB |" in text
    assert "| 100 | 1.728 | 40.00 | 19.00 |" in text
    assert f"{end_marker('kodak')}\nbetween\n{begin_marker('comparison')}\n| codec | tuned for |" in text
    assert text.endswith(f"{end_marker('comparison')}\nrest\n")
    assert "old\n" not in text
    assert text.count("0123456789abcdef") == 2  # each block names the weights
    assert main([*sources, str(page), str(document)]) == 0  # again, over its own
    assert document.read_text() == text


def test_a_marker_without_its_pair_is_refused(tmp_path: Path) -> None:
    for text in (begin_marker("kodak"), end_marker("kodak"), end_marker("kodak") + begin_marker("kodak")):
        (tmp_path / "a.md").write_text(text)
        with pytest.raises(BenchmarkError, match="once each"):
            update_blocks([tmp_path / "a.md"], {"kodak": "new"})
        assert (tmp_path / "a.md").read_text() == text
    with pytest.raises(BenchmarkError, match="once each"):
        replace_between("b a", "a", "b", "")


def test_figures_of_two_models_are_refused(
    sources: list[str], checks: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "README.md"
    document.write_text(block("kodak"))
    for other in ({**checks, "model": {"name": "fake", "hash": "00ff"}}, {"claims": []}, [], {**checks, "claims": [3]}):
        (tmp_path / "checks.json").write_text(json.dumps(other))
        assert main([*sources, str(document)]) == 1
        assert document.read_text() == block("kodak")
    told = capsys.readouterr().err
    assert "of model 0123456789abcdef, the checks are of 00ff: measure both anew" in told
    assert "does not hold checks" in told


def test_figures_of_weights_that_are_not_installed_are_refused(
    comparison: Results, checks: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text(comparison.to_json())
    (tmp_path / "checks.json").write_text(json.dumps(checks))
    (tmp_path / "README.md").write_text(block("kodak"))
    assert main([str(tmp_path / name) for name in ("results.json", "checks.json", "README.md")]) == 1
    assert "are of model 0123456789abcdef, but the installed one is" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == block("kodak")


def test_results_survive_json(comparison: Results) -> None:
    assert Results.from_json(comparison.to_json()) == comparison


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 2, "codecs": 3}', '{"format":2,"x":2}'])
def test_what_is_no_results_is_an_error(text: str) -> None:
    with pytest.raises(BenchmarkError):
        Results.from_json(text)
