"""The study of the content-weighted family: margins at equal rates, tables, and a whole run with a tiny model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "codec"))

from content_model import BITS, content_integers, plane_codec, write_model

from benchmarks import content, content_picture
from benchmarks.content_report import BEGIN, END, bars, comparisons, margin, markdown
from benchmarks.data import Picture
from glissando.bench.curves import scores_at
from glissando.bench.results import PictureInfo, Results
from glissando.bitstream import Reader
from glissando.codec import Codec
from glissando.errors import BenchmarkError

Point = dict[str, float]


def curve(offset: float, low: float = 0.1, factor: float = 1.5, count: int = 7) -> list[Point]:
    """PSNR rises by 3 dB when the rate doubles."""
    rates = [low * factor**i for i in range(count)]
    return [
        {"bpp": r, "psnr": 33 + offset + 3 * np.log2(r), "ssim": 0.9 + 0.01 * offset, "ms-ssim": 15 + 3 * np.log2(r),
         "quality": 10.0 * i, "bytes": 1000.0, "map_bytes": 30.0, "coded_bits": 7000.0, "kept_bits": 10000.0,
         "ideal_bytes": 980.0, "beyond": 10.0 + i}
        for i, r in enumerate(rates)
    ]  # fmt: skip


def results(**changes: Any) -> dict[str, Any]:
    return {
        "date": "2026-01-01",
        "pictures": 24,
        "threads": 2,
        "model": {"name": "content-weighted", "hash": "00"},
        "machine": {"processor": "A CPU", "extensions": ["AVX2"]},
        "ours": curve(0.0),
        "peers": {"JPEG 4:2:0": curve(-2.0, 0.09), "JPEG 2000": curve(0.5)},
        "published": {"JPEG": curve(-2.0, 0.2), "JPEG2000": curve(-0.25, 0.11)},
        "against": {"without a map": curve(-1.0), "one rate": curve(0.25)[3:4]},
        "speed": {"bpp": 0.5, "decode_s": 0.18, "encode_s": 0.3, "symbols_s": 0.03, "avif_decode_s": 0.009,
            "avif_encode_s": 0.6, "quality": 50.0, "pictures": 4, "rounds": 7},
        **changes,
    }  # fmt: skip


def test_scores_at_other_rates() -> None:
    points = [(0.8, 36.0), (0.1, 27.0)]
    np.testing.assert_allclose(scores_at(points, np.array([0.1, 0.2, 0.4, 0.8])), [27, 30, 33, 36])


def test_the_margin_is_the_least_over_the_range() -> None:
    found = margin("PSNR", curve(0.0), curve(-2.0), "psnr", must=True)
    assert found.value == pytest.approx(2.0)
    assert found.verdict == "meets bar"
    assert margin("PSNR", curve(0.0), curve(-2.0), "psnr", must=False).verdict == "meets aim"
    crossing = [{**p, "psnr": p["psnr"] + 4 * np.log2(p["bpp"] / 0.2)} for p in curve(-2.0)]
    found = margin("PSNR", curve(0.0), crossing, "psnr", must=True)
    assert found.value == pytest.approx(2 - 4 * np.log2(0.67 / 0.2), abs=0.02)
    assert found.verdict == "short"
    assert "least at 0.67" in found.note


def test_a_margin_is_only_told_where_both_have_files() -> None:
    assert "their curve begins there" in margin("PSNR", curve(0.0), curve(-1.0, 0.3), "psnr", must=True).note
    missing = margin("PSNR", curve(0.0, 0.3), curve(-1.0), "psnr", must=True)
    assert (missing.value, missing.verdict) == (None, "not measured")
    assert "our files have 0.300" in missing.note
    none = margin("PSNR", curve(0.0), curve(0.0, 2.0), "psnr", must=False)
    assert (none.value, none.note) == (None, "no file of theirs within 0.12 … 0.67 bpp")


def test_bars_are_figures_of_the_results() -> None:
    found = {claim.what: claim for claim in bars(results())}
    assert found["PSNR over JPEG 4:2:0, same run"].verdict == "meets bar"
    assert found["PSNR over JPEG 2000, same run"].verdict == "short of the aim"
    assert found["PSNR over published JPEG2000"].value == pytest.approx(0.25)
    assert found["PSNR at 0.67 bpp"].value == pytest.approx(33 + 3 * np.log2(0.67))
    saving = next(m for what, m in found.items() if "saving" in what)
    assert (saving.value, saving.verdict) == (pytest.approx(30.0), "meets aim")
    share = next(m for what, m in found.items() if "map" in what)
    assert (share.value, share.verdict) == (pytest.approx(3.0), "meets aim")
    assert found["bytes beyond 101 % of the cross-entropy, worst file"].value == 16.0
    assert found["decoding 752×496 pixels"].verdict == "meets aim"
    assert found["decode time over that of Pillow's AVIF"].value == pytest.approx(20.0)


def test_other_models_are_compared_by_curve_or_point() -> None:
    without, one = comparisons(results())
    assert "| -20.6 % of its bits" in without  # 1 dB is a third of an octave of rate
    assert "| -0.25 dB at 0.338 bpp |" in one
    far = comparisons(results(against={"far": curve(0.0, 9.0)[:1]}))
    assert "no file of ours at its 9.000 bpp" in far[0]


def test_the_tables_are_written_between_the_markers(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(results()))
    for name in ("page.md", "README.md"):
        (tmp_path / name).write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    arguments = ["report", *(str(tmp_path / name) for name in ("r.json", "page.md", "README.md"))]
    assert content.main(arguments) == 0
    page, readme = ((tmp_path / name).read_text() for name in ("page.md", "README.md"))
    assert page == f"before\n{BEGIN}\n{markdown(results())}\n{END}\nafter\n"
    assert "| without a map |" in page
    assert "| without a map |" not in readme
    assert "24 Kodak pictures" in readme
    (tmp_path / "page.md").write_text("no markers")
    assert content.main(arguments) == 1


@pytest.mark.parametrize("text", ["", "name", "name=", "=folder", "name=folder@high", "name=@5"])
def test_other_models_must_be_named(text: str) -> None:
    with pytest.raises(BenchmarkError, match="--against"):
        content.parse_against(text)


def test_other_models_may_have_one_quality() -> None:
    assert content.parse_against("a=b/c") == ("a", Path("b/c"), content.QUALITIES)
    assert content.parse_against("a=b@c/d@42.5") == ("a", Path("b@c/d"), (42.5,))


# --- With a model ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return plane_codec(write_model(tmp_path_factory.mktemp("content") / "model", content_integers()), threads=1)


def test_parts_are_those_of_the_file(codec: Codec, natural: Callable[..., NDArray[np.uint8]]) -> None:
    pixels = natural(200, 170)
    data = codec.encode(pixels, 70)
    ideal = codec.ideal_bits(pixels, 70)
    parts = content.file_parts(codec, data, ideal)
    streams = [tile.streams for tile in Reader(data).tiles]
    assert parts["map_bytes"] == sum(len(s[3]) for s in streams)
    assert parts["coded_bits"] == 8 * sum(len(s[2]) for s in streams)
    kept = codec.decode_symbols(data).latents.kept
    assert parts["kept_bits"] == kept.sum() * BITS // codec.coding.levels
    assert parts["beyond"] == len(data) - 1.01 * ideal / 8 <= 100


def test_a_whole_run(codec: Codec, natural: Any, comparison: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "open_content", lambda folder: codec)
    monkeypatch.setattr(content, "METRICS", ("psnr", "ms-ssim"))
    monkeypatch.setattr(content, "QUALITIES", (0.0, 60.0))
    pictures = [Picture("kodim01", natural(512, 768))]
    compared = of_model(comparison, codec.card.hash)
    found = content.measure(Path("model"), compared, pictures, ["again=model", "one=model@60"], rounds=1)
    again = json.loads(json.dumps(found))
    assert [p["quality"] for p in again["ours"]] == [10.0 * k for k in range(10)]  # at 100 files have corrections
    assert again["ours"][6]["bpp"] == pytest.approx(0.9 * 0.06 * 8)  # the comparison's
    again["ours"] = [{**p, "ssim": 0.9} for p in again["ours"]]
    assert [p["quality"] for p in again["against"]["again"]] == [0.0, 60.0]
    assert again["against"]["one"] == again["against"]["again"][1:]
    data = codec.encode(pictures[0].pixels, 60)
    one = again["against"]["one"][0]
    assert one["bpp"] == pytest.approx(8 * len(data) / (512 * 768))
    assert one["bytes"] == len(data) == again["ours"][6]["bytes"]  # the parts are those of our own files
    assert again["speed"]["symbols_s"] > 0
    assert again["speed"]["decode_s"] == pytest.approx(0.372992 / 10)
    assert again["speed"]["avif_encode_s"] == pytest.approx(0.372992 / 2)
    assert list(again["peers"]) == ["JPEG | old", "JPEG 2000"]
    assert {"JPEG", "JPEG2000"} == set(again["published"])
    again["peers"] = {}
    assert "| 60 |" in markdown(again)


def of_model(comparison: Results, model_hash: str) -> Results:
    """The comparison of one picture, with our model in place of the one that took part."""
    codecs = [
        replace(c, model=replace(c.model, hash=model_hash)) if c.model is not None else c for c in comparison.codecs
    ]
    points = [p for p in comparison.points if p.picture == "kodim01.png"]
    return replace(comparison, codecs=codecs, points=points, pictures=[PictureInfo("kodim01.png", 768, 512, "")])


def test_the_comparison_must_be_of_the_same_weights_and_timed(
    codec: Codec, natural: Any, comparison: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "open_content", lambda folder: codec)
    pictures = [Picture("kodim01", natural(512, 768))]
    with pytest.raises(BenchmarkError, match="of other weights"):
        content.measure(Path("model"), of_model(comparison, "00"), pictures)
    untimed = replace(of_model(comparison, codec.card.hash), timings=[])
    with pytest.raises(BenchmarkError, match="without --no-speed"):
        content.measure(Path("model"), untimed, pictures)


def test_only_this_family_is_measured() -> None:
    with pytest.raises(BenchmarkError, match="of the family gains"):
        content.open_content(Path("medium"))


def test_the_picture_is_drawn(codec: Codec, natural: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="needs glissando[bench]")
    monkeypatch.setattr(content_picture, "open_content", lambda folder: codec)
    Image.fromarray(natural(150, 200)).save(tmp_path / "in.png")
    arguments = ["model", str(tmp_path / "out.png"), "--picture", str(tmp_path / "in.png"), "--quality", "70"]
    assert content_picture.main(arguments) == 0
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.width == 1200
        assert len(np.unique(np.asarray(drawn.convert("L")))) > 50
    assert content_picture.main([*arguments[:3], str(tmp_path / "missing.png")]) == 1
