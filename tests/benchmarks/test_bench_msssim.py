"""MS-SSIM beside published codecs, and one model beside models for one rate: on a fake codec, and the command lines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import msssim, points, single_rate
from benchmarks.data import Picture
from conftest import FakeCodec
from glissando.bench.bdrate import Curve
from glissando.bench.metrics import ms_ssim, psnr
from glissando.errors import BenchmarkError


@pytest.fixture
def kodak(tmp_path: Path) -> Path:
    """Two small pictures, and published curves beside their folder."""
    random = np.random.default_rng(0)
    folder = tmp_path / "data"
    (folder / "kodak").mkdir(parents=True)
    for i in range(1, 3):
        coarse = Image.fromarray(random.integers(0, 256, (24, 28, 3), dtype=np.uint8))
        coarse.resize((224, 192), Image.Resampling.BICUBIC).save(folder / "kodak" / f"kodim0{i}.png")
    (tmp_path / "reference").mkdir()
    entries = [{"bpp": b, "psnr": 30.0 + b, "ms_ssim": 1 - 0.1 / b} for b in (0.5, 1.0, 2.0, 4.0)]
    content = {"_meta": {}, "A [ms-ssim]": entries, "A": entries}
    (tmp_path / "reference" / "kodak-published.json").write_text(json.dumps(content))
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


def test_points_are_means_of_real_files(kodak: Path) -> None:
    pictures = [Picture(p.stem, np.asarray(Image.open(p))) for p in sorted((kodak / "kodak").iterdir())]
    codec = FakeCodec()
    (point,) = msssim.measure_curve(codec, pictures, [40.0])
    files = [codec.encode(p.pixels, 40.0) for p in pictures]
    values = [ms_ssim(p.pixels, codec.decode(data)) for p, data in zip(pictures, files, strict=True)]
    assert point["bpp"] == pytest.approx(sum(8 * len(data) for data in files) / (2 * 192 * 224))
    assert point["ms_ssim_db"] == pytest.approx(-10 * math.log10(1 - sum(values) / 2))
    assert point["psnr"] == pytest.approx(
        sum(psnr(p.pixels, codec.decode(d)) for p, d in zip(pictures, files, strict=True)) / 2
    )


def test_differences_are_taken_where_ours_has_files() -> None:
    ours = [{"bpp": 0.1 * 2**i, "ms_ssim_db": 10.0 + 3 * i} for i in range(5)]  # 0.1 … 1.6 bpp
    theirs = Curve("theirs", (0.05, 0.2, 0.8, 3.2), (6.0, 12.0, 18.0, 24.0))
    found = msssim.compare(ours, theirs)
    assert [bpp for bpp, _ in found["db"]] == [0.2, 0.8]
    assert [db for _, db in found["db"]] == pytest.approx([1.0, 1.0])
    assert found["percent"] == pytest.approx(100 * (2 ** (-1 / 3) - 1), abs=0.5)  # a decibel is a third of an octave
    far = msssim.compare(ours, Curve("far", (5.0, 6.0), (40.0, 50.0)))
    assert far["percent"] is None
    assert far["db"] == []
    assert "share no range" in far["reason"]
    text = msssim.markdown(
        {"models": [{"name": "ours"}], "pictures": 24, "note": "", "comparisons": [[found, far]],
         "curves": [[{"quality": 0.0, "psnr": 30.0, "ms_ssim": 0.9, **p} for p in ours]]}
    )  # fmt: skip
    assert "| theirs | -20.6 % | 10.0 … 22.0 dB | +1.00 | +1.00 | +1.00 |" in text
    assert "| far | ours and far share no range of scores | – | – | – | – |" in text


def test_the_command_measures_and_writes(
    kodak: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(msssim, "open_models", lambda names, threads: [FakeCodec() for _ in names])
    out = tmp_path / "out.json"
    assert msssim.main(["a", "b", "--data", str(kodak), "--json", str(out)]) == 0
    results = json.loads(out.read_text())
    assert len(results["curves"]) == len(results["comparisons"]) == 2
    assert [row["codec"] for row in results["comparisons"][0]] == ["A [ms-ssim]"]
    printed = capsys.readouterr().out
    assert "2 of Kodak's 24 pictures only" in printed
    assert msssim.markdown(results) == printed.rstrip("\n")


def test_curves_that_cannot_be_read(kodak: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reference" / "kodak-published.json"
    for content, message in (('{"A": []}', "none is called"), ('{"A [ms-ssim]": [{"bpp": 1}]}', "does not hold"),
        ('{"A [ms-ssim]": [{"bpp": 1, "ms_ssim": 1.0}]}', "no decibels"), ("{", "does not hold")):  # fmt: skip
        path.write_text(content)
        assert msssim.main(["medium", "--data", str(kodak)]) == 1
        assert message in capsys.readouterr().err


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
    assert msssim.main(["no-such-model", "--data", str(kodak)]) == 1
    assert "no-such-model" in capsys.readouterr().err
    with pytest.raises(BenchmarkError, match="came back"):
        points.mean_point(
            SimpleNamespace(  # type: ignore[arg-type]
                card=SimpleNamespace(name="x"), encode=lambda p, q: b"", decode=lambda d: np.zeros((1, 1, 3), np.uint8)
            ),
            [Picture("a", np.zeros((32, 32, 3), np.uint8))],
            50.0,
            {"psnr": psnr},
        )
