"""The comparison of small networks: its rows, its tables, and a command that goes on where it stopped."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from benchmarks import experiments, mask_decay  # noqa: E402
from benchmarks.mask_decay import blocks, main  # noqa: E402
from benchmarks.plans import Plan, Row, read_plan  # noqa: E402
from glissando.errors import BenchmarkError  # noqa: E402
from glissando.families.gains.cost import kmac_per_pixel  # noqa: E402
from glissando.families.gains.network import GainsNetwork  # noqa: E402

PLAN = Path(mask_decay.__file__).with_name("mask-decay.toml")


def result(row: Row, factor: float, **more: Any) -> dict[str, Any]:
    """A run that needs ``factor`` times the bits of the teacher."""
    curve = [[q, factor * 0.1 * 2 ** (q / 25), 28 + 3 * q / 25] for q in experiments.QUALITIES]
    named = {"group": row.group, "name": row.name, "seed": 1, "curve": curve, "machine": "a processor"}
    return {**named, "kmac": {"encode": 6.0, "decode": 5.0}, "masks": [], **more}


def write(plan: Plan, out: Path, title: str, factor: float, **more: Any) -> None:
    row = next(row for row in plan.rows if row.title == title)
    row.path(out, 1).write_text(json.dumps(result(row, factor, **more)))


def test_the_plan_has_every_comparison() -> None:
    """Decay against scratch and inheritance, three losses and the ramp, one side alone, and on below S."""
    plan = read_plan(PLAN)
    rows = {row.title: row for row in plan.rows}
    assert len(rows) == len(plan.rows) == len({row.path(Path(), 1) for row in plan.rows})
    teacher = GainsNetwork(plan.recipe_of(plan.rows[0], 1).network)
    assert 30 < kmac_per_pixel(teacher, "decode")["total"] <= 40
    budgets = {title: plan.recipe_of(row, 1).decay for title, row in rows.items()}
    assert budgets["M / decay, designed"].decode == 12
    assert {budgets[f"S / decay, {loss}"].loss for loss in ("designed", "L1", "L2", "ramp")} == {
        "designed", "l1", "l2", "ramp"
    }  # fmt: skip
    assert (
        budgets["S, encoder only / decay, designed"].decode == budgets["S, decoder only / decay, designed"].encode == 0
    )
    assert (budgets["Below S / 2.5 kMAC"].decode, budgets["Below S / 1.5 kMAC"].decode) == (2.5, 1.5)
    assert budgets["S / inherits, distilled"].steps == 0
    for row in plan.rows:
        if row.shape:  # with as many pictures as teacher and decay together
            assert plan.steps_of(row) == plan.steps_of(plan.rows[0]) + plan.steps_of(rows[row.shape])


def test_the_tables_say_how_much_of_the_gap_is_closed(tmp_path: Path) -> None:
    plan = read_plan(PLAN)
    with pytest.raises(BenchmarkError, match="Teacher / L"):
        blocks(plan, tmp_path)
    sunk = [{"step": i, **{f"masks/decode@{low}": 0.1 * i for low in mask_decay.TENTHS}} for i in (0, 1, 2, 3)]
    write(plan, tmp_path, "Teacher / L", 1.0)
    write(plan, tmp_path, "S / decay, designed", 1.06, masks=sunk)
    write(plan, tmp_path, "S / from scratch", 1.1)
    row = next(row for row in plan.rows if row.title == "S / decay, designed")
    row.path(tmp_path, 1).with_suffix(".time.json").write_text(json.dumps({"decode_ms": 31.4}))
    text = blocks(plan, tmp_path)
    assert "| S: decay, designed | 60,000 | 5.0 | 6.0 | +6.0 % | 40 % |" in text["mask-decay"]
    assert "| S: from scratch | 120,000 | 5.0 | 6.0 | +10.0 % | — |" in text["mask-decay"]
    assert f"3 of {len(plan.rows)} rows; a processor." in text["mask-decay"]
    assert "| S: decay, designed, decode, half-way | " + " | ".join(["20"] * 10) in text["mask-decay-masks"]
    assert "| S: decay, designed, decode, before the cut | " + " | ".join(["30"] * 10) in text["mask-decay-masks"]
    assert "| S: decay, designed | 5.0 | 31 | +6.0 % |" in text["mask-decay-times"]
    page = Path(__file__).parents[2] / "docs" / "mask-decay.md"
    copy = tmp_path / "page.md"
    copy.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["report", str(PLAN), str(tmp_path), str(copy)]) == 0
    assert "| S: decay, designed | 60,000 |" in copy.read_text(encoding="utf-8")


def test_a_run_times_what_it_has_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command trains and times; what has its times is left alone."""
    (tmp_path / "kodak").mkdir()
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(tmp_path / "kodak" / "kodim01.png")
    out = tmp_path / "out"
    asked, opened = [], []

    def train(plan: Plan, folder: Path, data: Path, only: str, threads: int) -> None:
        asked.append((plan.pictures, data, only, threads))
        folder.mkdir(exist_ok=True)
        plan.rows[0].checkpoint(folder, 1).touch()

    def opens(folder: Path, threads: int) -> Any:
        opened.append(threads)
        return types.SimpleNamespace(encode=lambda picture, quality: b"file", decode=lambda data: None)

    monkeypatch.setattr(experiments, "run", train)
    monkeypatch.setattr(mask_decay, "export", lambda checkpoint, folder, data: folder)
    monkeypatch.setattr(mask_decay.glissando, "open_model", opens)
    arguments = ["run", str(PLAN), str(out), "--pictures", "320", "--data", str(tmp_path), "--only", "Teacher"]
    assert main(arguments) == main(arguments) == 0
    assert asked == [(320, tmp_path / "train", "Teacher", 1)] * 2
    assert opened == [1]
    times = json.loads((out / "teacher-l.1.time.json").read_text())
    assert times["decode_ms"] >= 0
    assert times["machine"]
    assert main(["report", str(PLAN), str(out)]) == 1
    assert "no run of the teacher" in capsys.readouterr().err
