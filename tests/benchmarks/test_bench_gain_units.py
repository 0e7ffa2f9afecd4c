"""The study of gain units: files decode to the same symbols, rows are resumed, and the tables say what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")
for name in ("bjontegaard", "scipy", "matplotlib"):
    pytest.importorskip(name, reason=f"the report needs {name}: pip install glissando[bench]")

from benchmarks.data import Picture  # noqa: E402
from benchmarks.gain_units import measuring, study  # noqa: E402
from benchmarks.gain_units.__main__ import main  # noqa: E402
from benchmarks.gain_units.bases import BASES  # noqa: E402
from benchmarks.gain_units.distributions import SKEWS, Asymmetric, Symmetric  # noqa: E402
from benchmarks.gain_units.measuring import code, overhead  # noqa: E402
from benchmarks.gain_units.rates import METHODS  # noqa: E402
from benchmarks.gain_units.recipe import GainRecipe, Plan, read_plan  # noqa: E402
from benchmarks.gain_units.report import blocks, plot, write  # noqa: E402
from benchmarks.gain_units.results import distances, psnr_at  # noqa: E402
from benchmarks.gain_units.start import begin  # noqa: E402
from benchmarks.gain_units.study import train  # noqa: E402
from glissando.entropy.fixed_point import TABLES  # noqa: E402
from glissando.errors import BenchmarkError, RecipeError  # noqa: E402
from glissando.training.data import Tiles  # noqa: E402
from glissando.training.tables import build_tables, merged  # noqa: E402

ROOT = Path(__file__).parents[2]
TINY: dict[str, Any] = {
    "base": {"width": 8, "latents": 12, "hyper": 4},
    "method": {"levels": 3},
    "data": {"crop": 64, "batch": 2, "halved": 0.0, "choices": 1},
    "pictures": 6,
    "warmup": 1,
    "rate": {"lambda_low": 0.001, "lambda_high": 0.1},
    "measure": {"pictures": 1, "few": 1, "qualities": [0.0, 50.0, 100.0]},
}


def recipe(**changes: Any) -> GainRecipe:
    made = build_tables(GainRecipe, merged(TINY, changes), "")
    assert isinstance(made, GainRecipe)
    return made


@pytest.fixture(autouse=True)
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models begin from a few crops, and are timed but twice."""
    monkeypatch.setattr(study, "SAMPLE", 16)
    monkeypatch.setattr(measuring, "TIMED", 2)


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    """Smooth pictures, so that there is something to predict."""
    random = torch.Generator().manual_seed(0)
    small = torch.rand(6, 3, 24, 24, generator=random)
    large = torch.nn.functional.interpolate(small, size=(512, 512), mode="bicubic").clamp(0, 1)
    return Tiles((255 * large).byte(), torch.zeros(6, dtype=torch.bool))


@pytest.fixture(scope="module")
def picture(tiles: Tiles) -> Picture:
    return Picture("kodim99", tiles.training[0, :, 100:164, 50:178].permute(1, 2, 0).numpy().copy())


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize("method", METHODS)
def test_files_decode_to_their_symbols_for_every_base_and_method(
    kind: str, method: str, tiles: Tiles, picture: Picture
) -> None:
    """A few steps of training move everything off its start; then real files are written and read at many rates."""
    rated, figures = train(recipe(base={"kind": kind}, method={"kind": method}), tiles, seed=1)
    assert figures["skipped"] == 0
    tables = rated.base.distribution.tables()
    points = [code(rated, picture, quality, tables) for quality in (0.0, 31.7, 100.0)]
    if method == "dedicated":
        assert points[0] == points[2]
    else:
        assert points[0][0] < points[1][0] < points[2][0]


def test_an_asymmetric_model_decodes_to_its_symbols(tiles: Tiles, picture: Picture) -> None:
    rated, _ = train(recipe(base={"kind": "context", "distribution": "asymmetric"}), tiles, seed=1)
    tables = rated.base.distribution.tables()
    assert len(tables) == 2 * TABLES * SKEWS
    assert code(rated, picture, 20.0, tables)[0] < code(rated, picture, 80.0, tables)[0]


def test_another_decoder_is_noticed(tiles: Tiles, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    rated, _ = train(recipe(base={"kind": "factorised"}), tiles, seed=1)
    monkeypatch.setattr("benchmarks.gain_units.measuring.same_symbols", lambda writer, reader: False)
    with pytest.raises(BenchmarkError, match="other symbols"):
        code(rated, picture, 20.0, rated.base.distribution.tables())
    odd = Picture("odd", picture.pixels[:50])
    with pytest.raises(BenchmarkError, match="multiples of 64"):
        code(rated, odd, 20.0, rated.base.distribution.tables())


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_begin_alike(method: str, tiles: Tiles, picture: Picture) -> None:
    """Before training a model for all rates is, at a quality, what a dedicated model for that quality is."""
    sample = tiles.training[:4, :, :256, :256].float() / 255
    both = [
        begin(recipe(base={"kind": "factorised"}, method={"kind": kind, "quality": 50.0}), sample, seed=3).eval()
        for kind in ("dedicated", method)
    ]
    weights = [rated.base.state_dict() for rated in both]
    for key, value in weights[0].items():
        if "parameters_of_channels" not in key:
            assert torch.equal(value, weights[1][key]), key
    tables = both[0].base.distribution.tables()
    first, second = (code(rated, picture, 50.0, tables) for rated in both)
    assert second == pytest.approx(first, rel=5e-3)


@pytest.mark.parametrize("distribution", [Symmetric(), Asymmetric()], ids=["symmetric", "asymmetric"])
@torch.no_grad()
def test_tables_are_the_trained_distribution(distribution: Any) -> None:
    """Integers cost in files what training says, and probabilities sum to 1."""
    tables = distribution.tables()
    for scale, skew in ((-2.0, 0.0), (0.5, 1.25), (2.0, -2.0), (3.125, 0.25)):
        parameters = torch.tensor([scale, skew][: distribution.numbers])[None, :, None, None]
        symbols = torch.arange(-400, 401).float()[None, None, None]
        for late in (None, torch.ones(1, 1, 1, 1, dtype=torch.bool)):
            bits = distribution.bits(symbols, parameters, late).flatten().double()
            index = distribution.index(parameters, late).expand(symbols.shape).flatten()
            costs = tables.symbol_bits(symbols.int().flatten().numpy(), index.int().numpy())
            likely = bits.numpy() < 12
            assert likely.sum() >= 1
            np.testing.assert_allclose(costs[likely], bits.numpy()[likely], atol=0.02)
            assert float((2.0 ** -bits[bits < 19.9]).sum()) == pytest.approx(1, abs=2e-3)


@torch.no_grad()
def test_the_asymmetric_distribution_leans_and_has_the_symmetric_one_in_it() -> None:
    torch.manual_seed(0)
    symmetric, asymmetric = Symmetric(), Asymmetric()
    values = 3 * torch.randn(1, 4, 8, 8)
    scale = torch.rand(1, 4, 8, 8) * 3
    even = asymmetric.bits(values, torch.cat([scale, torch.zeros_like(scale)], 1), None)
    torch.testing.assert_close(even, symmetric.bits(values, scale, None), rtol=1e-3, atol=1e-3)
    right = torch.cat([scale, torch.ones_like(scale)], 1)
    left = torch.cat([scale, -torch.ones_like(scale)], 1)
    torch.testing.assert_close(asymmetric.bits(values, right, None), asymmetric.bits(-values, left, None))
    far = torch.full_like(values, 12.0)
    assert (asymmetric.bits(far, right, None) < asymmetric.bits(-far, right, None)).all()


def test_what_each_method_adds(tiles: Tiles) -> None:
    """Numbers by hand: levels · channels · two tables, and so on."""
    sample = tiles.training[:4, :, :256, :256].float() / 255

    def added(kind: str, **method: Any) -> float:
        made = recipe(base={"kind": "mean-scale"}, method={"kind": kind, **method})
        return overhead(begin(made, sample, 1).eval())["added_parameters"]

    assert added("dedicated") == 0
    assert added("scalar") == 3
    assert added("gains", hyper_gains=False) == 2 * 3 * 12
    assert added("gains") == 2 * 3 * (12 + 4)
    assert added("conditional") > added("gains")


def plan_file(tmp_path: Path) -> Path:
    text = """
[all]
pictures = 4
warmup = 1
base = { kind = "factorised", width = 8, latents = 12 }
method.levels = 3
data = { crop = 64, batch = 2, halved = 0.0, choices = 1 }
rate = { lambda_low = 0.001, lambda_high = 0.1 }
measure = { pictures = 1, few = 1, qualities = [0, 50, 100] }

[[row]]
group = "Factorised prior"
name = "gains"
measure = { between = 4, beyond = true }

[[row]]
group = "Factorised prior"
name = "dedicated, 0.3 bpp"
method = { kind = "dedicated", quality = 50 }

[[row]]
group = "Factorised prior"
name = "scalar"
method.kind = "scalar"

[[row]]
group = "Factorised prior"
name = "dedicated, below"
method = { kind = "dedicated", quality = 0 }
rate.lambda_low = 0.0005
"""
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return path


@pytest.fixture
def few_pictures(monkeypatch: pytest.MonkeyPatch, tiles: Tiles, picture: Picture, tmp_path: Path) -> Path:
    monkeypatch.setattr(study, "load_tiles", lambda folder: tiles)
    monkeypatch.setattr(study, "load_pictures", lambda folder: [picture])
    monkeypatch.setattr(study, "data_folder", lambda given: tmp_path)
    return tmp_path


def test_rows_are_run_once_and_reported(few_pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = plan_file(few_pictures), few_pictures / "out"
    assert main(["run", str(path), str(out), "--only", "gains"]) == 0
    (first,) = out.iterdir()
    before = first.stat().st_mtime_ns
    assert main(["run", str(path), str(out)]) == 0
    assert len(list(out.iterdir())) == 4
    assert first.stat().st_mtime_ns == before
    found = json.loads(first.read_text())
    assert [quality for quality, _, _ in found["curve"]] == [0, 50, 100]
    assert len(found["levels"]) == 3
    assert len(found["between"]) == 4
    assert found["beyond"]

    document = few_pictures / "page.md"
    names = ("rates", "between", "overhead", "beyond")
    document.write_text(
        "".join(f"<!-- gain-units-{name}:begin -->\n<!-- gain-units-{name}:end -->\n" for name in names)
    )
    assert main(["report", str(path), str(out), str(document)]) == 0
    text = document.read_text()
    assert "| gains |" in text
    assert "](page.svg)" in text
    assert "against dedicated, 0.3 bpp" in text
    assert "dedicated, below" in text.split("gain-units-beyond:begin")[1]
    assert document.with_suffix(".svg").read_bytes().startswith(b"<svg")

    path.write_text(path.read_text().replace("pictures = 4\n", "pictures = 6\n"))  # another recipe: all is run again
    assert main(["report", str(path), str(out)]) == 1
    assert "no result" in capsys.readouterr().err
    assert main(["run", str(path), str(out), "--only", "scalar"]) == 0
    assert first.stat().st_mtime_ns == before


def result_files(plan: Plan, out: Path) -> None:
    """Made-up results: the scalar needs 10 % more bits, and the dedicated model is 0.1 dB better."""
    out.mkdir()
    for row in plan.rows:
        made = plan.recipe_of(row)
        factor = 1.1 if row.name == "scalar" else 1.0
        curve = [[q, factor * 0.1 * 2 ** (q / 25), 28 + 3 * q / 25] for q in range(0, 101, 10)]
        if made.method.kind == "dedicated":
            curve = [[50.0, 0.4, 34.1]] if made.rate.lambda_low == 0.001 else [[0.0, 0.05, 25.2]]
        result = {
            "hash": made.hash(), "steps": 2, "curve": curve, "machine": "a processor",
            "overhead": {"base_parameters": 1000, "added_parameters": 5, "base_macs": 2000.0, "added_macs": 1.0,
                         "base_ms": 10.0, "rated_ms": 10.1, "ms_spread": 0.2},
        }  # fmt: skip
        if row.name == "gains":
            result["levels"] = curve[::5]
            result["between"] = [[q, bpp, psnr - 0.02 * (q == 30)] for q, bpp, psnr in curve]
            result["beyond"] = [[-25.0, 0.05, 25.0], [125.0, 3.2, 43.0]]
        row.path(out, 1).write_text(json.dumps(result))


def test_tables_say_what_was_measured(tmp_path: Path) -> None:
    plan, out = read_plan(plan_file(tmp_path)), tmp_path / "out"
    result_files(plan, out)
    text = blocks(plan, out)
    rates = text["gain-units-rates"]
    assert "against dedicated, 0.3 bpp: 0.400 bpp, 34.10 dB" in rates
    assert "| gains | -0.10 dB | – | 1 |" in rates
    assert "| scalar | -0.51 dB | +10.0 % | 1 |" in rates  # 10 % of bits are 3·log2(1.1) dB here
    assert "below" not in rates
    assert "| 11 | 0.020 | -0.020 | 0.00 % |" in text["gain-units-between"]
    assert "| 1,000 | 0.500 % | 2.00 k | 0.0500 % | 10.0 | +0.10 ± 0.20 |" in text["gain-units-overhead"]
    assert "has -0.20 dB there" in text["gain-units-beyond"]
    assert plot(plan, out) == plot(plan, out)
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(BenchmarkError, match="none of the lines"):
        write(plan, out, page)


def test_curves_are_read_between_their_points_alone() -> None:
    points = [[0.0, 0.1, 28.0], [50.0, 0.4, 34.0], [100.0, 1.6, 40.0]]
    assert psnr_at(points, 0.4) == pytest.approx(34)
    assert psnr_at(points, 0.2) == pytest.approx(31, abs=0.01)
    assert psnr_at(points, 0.09) is None
    assert distances(points, [[20.0, 0.2, 31.5], [0.0, 0.05, 20.0]]).tolist() == pytest.approx([0.5], abs=0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base.kind = 'hyper'", "base.kind must be one of"),
        ("base.latents = 13", "even"),
        ("method.kind = 'none'", "method.kind must be"),
        ("method.levels = 1", "levels must be at least 2"),
        ("method.hyper_sees = 'both'", "hyper_sees"),
        ("base.depth = 3", "unknown key 'base.depth'"),
        ("data.batch = 100", "one batch at least"),
    ],
)
def test_impossible_rows_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = plan_file(tmp_path)
    path.write_text(path.read_text() + f'\n[[row]]\ngroup = "Wrong"\nname = "row"\n{text}\n')
    with pytest.raises(RecipeError, match=message) as error:
        read_plan(path)
    assert "Wrong / row" in str(error.value)


def test_the_plan_of_the_study_can_be_read() -> None:
    plan = read_plan(ROOT / "benchmarks" / "gain_units.toml")
    kinds = {plan.recipe_of(row).base.kind for row in plan.rows}
    assert kinds == set(BASES)
    assert len({row.path(Path(), 1) for row in plan.rows}) == len(plan.rows)
