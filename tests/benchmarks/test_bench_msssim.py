"""MS-SSIM beside published codecs, and one model beside models for one rate: on a fake codec, and the command lines."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from study_fakes import FakeCodec

from benchmarks import msssim, points, single_rate
from benchmarks.data import Picture
from glissando.bench.metrics import psnr, ssim
from glissando.bench.results import PublishedCurve, Results
from glissando.errors import BenchmarkError


@pytest.fixture
def kodak(tmp_path: Path) -> Path:
    """Two small pictures."""
    random = np.random.default_rng(0)
    folder = tmp_path / "data"
    (folder / "kodak").mkdir(parents=True)
    for i in range(1, 3):
        coarse = Image.fromarray(random.integers(0, 256, (24, 28, 3), dtype=np.uint8))
        coarse.resize((224, 192), Image.Resampling.BICUBIC).save(folder / "kodak" / f"kodim0{i}.png")
    return folder


def single(quality: float | None, offset: int = 0) -> Any:
    codec = FakeCodec(offset)
    rate = {} if quality is None else {"single": True, "quality": quality}
    card = SimpleNamespace(name=f"at {quality}", hash="00", training={"recipe": {"rate": rate}})
    return SimpleNamespace(encode=codec.encode, decode=codec.decode, card=card)


def test_decibels_are_those_of_the_mean() -> None:
    assert msssim.decibels(0.99) == pytest.approx(20.0)
    with pytest.raises(BenchmarkError, match="no decibels"):
        msssim.decibels(1.0)
    with pytest.raises(BenchmarkError, match="no decibels"):
        msssim.decibels(math.nan)


def test_points_are_means_of_the_pictures(comparison: Results) -> None:
    """Decibels of the mean MS-SSIM, not the mean of decibels."""
    points = [replace(p, scores={**p.scores, "ms-ssim": 10.0 * (1 + k % 2)}) for k, p in enumerate(comparison.points)]
    found = msssim.ms_ssim_curve(replace(comparison, points=points), "glissando:medium")
    scores = [p.scores["ms-ssim"] for p in points if (p.codec, p.setting) == ("glissando:medium", 0.0)]
    assert sorted(scores) in ([10.0, 10.0, 20.0], [10.0, 20.0, 20.0])
    mean = sum(1 - 10 ** (-score / 10) for score in scores) / 3
    assert found[0]["ms_ssim"] == pytest.approx(mean)
    assert found[0]["ms_ssim_db"] == pytest.approx(-10 * math.log10(1 - mean))
    assert found[0]["bpp"] == pytest.approx(0.054)
    assert found[0]["psnr"] == pytest.approx(25.0)


def test_points_of_studies_are_means_of_real_files(kodak: Path) -> None:
    pictures = [Picture(p.stem, np.asarray(Image.open(p))) for p in sorted((kodak / "kodak").iterdir())]
    codec = FakeCodec()
    point = points.mean_point("fake", codec, pictures, 40.0, ("psnr", "ssim"))
    files = [codec.encode(p.pixels, 40.0) for p in pictures]
    assert point["quality"] == 40.0
    assert point["bpp"] == pytest.approx(sum(8 * len(data) for data in files) / (2 * 192 * 224))
    for name, metric in (("psnr", psnr), ("ssim", ssim)):
        values = [metric(p.pixels, codec.decode(data)) for p, data in zip(pictures, files, strict=True)]
        assert point[name] == pytest.approx(sum(values) / 2)
    assert points.mean_point("fake", codec, pictures, 40.0, ()) == {"quality": 40.0, "bpp": point["bpp"]}


def published(name: str, *pairs: tuple[float, float]) -> PublishedCurve:
    return PublishedCurve(name, {"ms-ssim": [[bpp, score] for bpp, score in pairs]}, "made up")


def test_differences_are_taken_where_ours_has_files() -> None:
    ours = [{"bpp": 0.1 * 2**i, "ms_ssim_db": 10.0 + 3 * i} for i in range(5)]  # 0.1 … 1.6 bpp
    theirs = published("theirs", (0.05, 6.0), (0.2, 12.0), (0.8, 18.0), (3.2, 24.0))
    rates, db = msssim.differences(ours, theirs)
    assert rates == [0.2, 0.8]
    assert db == pytest.approx([1.0, 1.0])
    # a decibel is a third of an octave
    assert msssim.against(ours, theirs).percent == pytest.approx(100 * (2 ** (-1 / 3) - 1), abs=0.5)
    far = published("far", (5.0, 40.0), (6.0, 50.0))
    assert msssim.differences(ours, far) == ([], [])
    assert msssim.against(ours, far).percent is None
    assert "share no range" in msssim.against(ours, far).reason


def test_the_tables_are_of_every_model(comparison: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = published("theirs [ms-ssim]", (0.06, 9.0), (0.48, 15.0))
    far = published("far [ms-ssim]", (5.0, 40.0), (6.0, 50.0))
    text = msssim.markdown(comparison, [theirs, far])
    # Everybody's MS-SSIM rises by 2 dB with each octave; ours is 0.9 of a rate below theirs.
    assert "| theirs [ms-ssim] | -10.0 % | 9.0 … 15.0 dB | +0.30 | +0.30 | +0.30 |" in text
    assert "| far [ms-ssim] | ours and far [ms-ssim] share no range of scores | – | – | – | – |" in text
    assert "| Glissando medium, quality | bpp | MS-SSIM | MS-SSIM, dB | PSNR, dB |" in text
    assert "| 100 | 1.728 | 0.98741 | 19.00 | 40.00 |" in text
    assert "3 pictures (not Kodak's 24: not comparable)" in text
    (tmp_path / "results.json").write_text(comparison.to_json())
    assert msssim.main([str(tmp_path / "results.json")]) == 0
    assert capsys.readouterr().out.count("[ms-ssim] |") == 6  # the package's
    peers = replace(comparison, codecs=[c for c in comparison.codecs if not c.ours])
    with pytest.raises(BenchmarkError, match="no model of this package took part"):
        msssim.markdown(peers, [theirs])


def test_curves_that_cannot_be_read(comparison: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, curves = tmp_path / "results.json", tmp_path / "published.json"
    source.write_text(comparison.to_json())
    for content, message in (
        ('{"source": "me", "curves": []}', "none is called"),
        ('{"source": "me", "curves": [{"name": "A [ms-ssim]", "points": 3}]}', "not a file of published curves"),
        ("{", "not a file of published curves"),
    ):
        curves.write_text(content)
        assert msssim.main([str(source), "--published", str(curves)]) == 1
        assert message in capsys.readouterr().err
    assert msssim.main([str(tmp_path / "missing.json")]) == 1
    assert "missing.json" in capsys.readouterr().err


def test_the_loss_of_one_model_to_one_for_a_rate(
    kodak: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The same codec loses nothing to itself, and wins over one whose pictures come out brighter."""
    opened = {"one": FakeCodec(), "same": single(50.0), "high": single(90.0), "brighter": single(30.0, 3)}
    monkeypatch.setattr(single_rate, "open_models", lambda names, threads: [opened[name] for name in names])
    out = tmp_path / "out.json"
    assert single_rate.main(["one", "high", "same", "--data", str(kodak), "--json", str(out)]) == 0
    results = json.loads(out.read_text())
    assert [row["single"]["quality"] for row in results["rows"]] == [50.0, 90.0]
    for row in results["rows"]:
        assert row["loss"] == pytest.approx(0.0, abs=0.05)
        rates = [point["bpp"] for point in row["one"]]
        assert min(rates) <= row["single"]["bpp"] <= max(rates)
    assert results["largest_loss"] == max(row["loss"] for row in results["rows"])
    assert "Largest loss of the one model: " in capsys.readouterr().out
    assert single_rate.main(["one", "brighter", "--data", str(kodak), "--json", str(out)]) == 0
    assert json.loads(out.read_text())["largest_loss"] < -0.1


def test_models_that_cannot_be_compared(
    kodak: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = {"one": FakeCodec(), "all": single(None)}
    monkeypatch.setattr(single_rate, "open_models", lambda names, threads: [opened[name] for name in names])
    assert single_rate.main(["one", "all", "--data", str(kodak)]) == 1
    assert "at None (00) was not trained for one quality alone" in capsys.readouterr().err
    picture = [Picture("a", np.zeros((32, 32, 3), np.uint8))]
    with pytest.raises(BenchmarkError, match=r"has files of .* bpp, not of 500"):
        single_rate.quality_at(FakeCodec(), picture, 500.0)


def test_a_model_that_is_not_there(kodak: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert single_rate.main(["no-such-model", "medium", "--data", str(kodak)]) == 1
    assert "no-such-model" in capsys.readouterr().err
    broken = SimpleNamespace(encode=lambda p, q: b"", decode=lambda d: np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(BenchmarkError, match=r"a: decoded to uint8 of shape \(1, 1, 3\)"):
        points.mean_point("x", broken, [Picture("a", np.zeros((32, 32, 3), np.uint8))], 50.0, ("psnr",))
