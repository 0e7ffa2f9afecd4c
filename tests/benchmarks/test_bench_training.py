"""The benchmark of training: its parts make up a step, and its sentence follows from them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tiny_recipe import NETWORK

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from benchmarks.training import Part, TrainingSpeed, main  # noqa: E402

RECIPE = f"""
family = "gains"
name = "tiny"
{NETWORK}[run]
initial = "random"
"""


def test_a_tiny_training_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLISSANDO_DATA", raising=False)
    monkeypatch.setattr("benchmarks.training.PRODUCT_SIDE", 256)
    monkeypatch.setattr("benchmarks.training.COPY_BYTES", 1 << 20)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    arguments = [str(tmp_path / "tiny.toml"), "--steps", "2", "--batch", "2", "--crop", "64"]
    assert main([*arguments, "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    names = ["crops", "forward", "backward", "gradients", "AdamW", "Muon", "constraints", "averaging"]
    assert [part["name"] for part in found["parts"]] == names
    assert sum(part["share"] for part in found["parts"]) == pytest.approx(1)
    assert all(part["seconds"] > 0 for part in found["parts"])
    speed = found["pictures_per_second"]
    assert found["tflops"] == pytest.approx(speed * found["operations_per_picture"] / 1e12)
    product = found["product_tflops"][found["precision"]]
    assert found["of_product"] == pytest.approx(found["tflops"] / product)
    out = capsys.readouterr().out
    assert found["bound"] in out
    assert "| Muon |" in out


def test_a_recipe_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent.toml")]) == 1
    assert "absent.toml" in capsys.readouterr().err


def speed(parts: dict[str, float], of_product: float = 0.3, **changes: object) -> TrainingSpeed:
    """A step of one second; the networks work at ``of_product`` of a product of 10¹² operations per second."""
    networks = parts["forward"] + parts["backward"]
    made = [
        Part(name, s, s, 1e12 * of_product * s if name in ("forward", "backward") else None, None, None)
        for name, s in parts.items()
    ]
    assert networks <= 1
    found = TrainingSpeed(
        recipe="r", device="d", gpu=False, extensions=("AVX2",), precision="float32", compiled=False, batch=1, crop=64,
        steps=1, pictures_per_second=1.0, host_share=1.0, operations_per_picture=1.0, tflops=1.0,
        product_tflops={"float32": 1.0}, copy_gb_per_s=1.0, of_product=of_product, parts=made,
    )  # fmt: skip
    return dataclasses.replace(found, **changes)  # type: ignore[arg-type]


def test_the_sentence_follows_from_the_numbers() -> None:
    networks = {"crops": 0.1, "forward": 0.3, "backward": 0.6}
    assert "arithmetic bounds it" in speed(networks, 0.8).bound
    assert "90 % of a step is spent in the networks, at 80 %" in speed(networks, 0.8).bound
    assert "moving activations" in speed(networks, 0.2).bound
    assert "asking for kernels" in speed(networks, 0.2, gpu=True, host_share=0.99).bound
    assert "asking for kernels" not in speed(networks, 0.2, gpu=True, host_share=0.3).bound
    assert "Muon takes 70 %" in speed({"forward": 0.1, "backward": 0.2, "Muon": 0.7}).bound
    assert "the data bound it" in speed({"forward": 0.1, "backward": 0.2, "crops": 0.7}).bound
