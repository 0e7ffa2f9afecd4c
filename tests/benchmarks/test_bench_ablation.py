"""What may decide the scales: all variants start alike, learn, and are compared on whole pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from tiny_recipe import NETWORK  # noqa: E402

from benchmarks.ablation import VARIANTS, Heads, frozen, main, markdown, measure, open_network, train_heads  # noqa: E402
from benchmarks.data import Picture  # noqa: E402
from glissando.errors import TrainingError  # noqa: E402
from glissando.training.crops import Crops  # noqa: E402
from glissando.training.data import load_tiles  # noqa: E402
from glissando.training.recipe import read_recipe  # noqa: E402
from glissando.training.trainer import Trainer  # noqa: E402

Natural = Callable[..., NDArray[np.uint8]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    return saved(tmp_path_factory.mktemp("checkpoint"), shards)


def saved(folder: Path, shards: Path, network: str = "") -> Path:
    (folder / "recipe.toml").write_text(
        f"family = 'gains'\nname = 'tiny'\n{NETWORK}{network}[data]\ncrop = 64\nbatch = 2\n"
    )
    trainer = Trainer(read_recipe(folder / "recipe.toml"), load_tiles(shards), torch.device("cpu"), folder)
    trainer.save(folder / "last.pt")
    return folder / "last.pt"


@torch.no_grad()
def test_all_begin_without_a_correction(checkpoint: Path, natural: Natural) -> None:
    network = open_network(checkpoint)
    heads = Heads(network)
    pixels = torch.from_numpy(natural(64, 128)).permute(2, 0, 1)[None].float() / 255
    known, _ = frozen(network, pixels, torch.tensor([80.0]))
    assert torch.equal(heads("symbols", **known), heads("z", **known))
    assert torch.equal(heads("unrounded", **known), heads("float", **known))
    difference = (heads("unrounded", **known) - heads("z", **known)).abs()
    assert 0 < float(difference.max()) < 0.5  # octaves: only the rounding
    assert network.scales.exact
    assert {name: heads.scales[f"{name}_scales"].exact for name in VARIANTS} == {
        "z": True,
        "symbols": True,
        "unrounded": False,
        "float": False,
    }


def test_corrections_are_learnt(checkpoint: Path, shards: Path) -> None:
    network = open_network(checkpoint)
    tiles = load_tiles(shards).training
    crops = Crops(tiles, 64, 2, torch.Generator().manual_seed(0))
    pictures = [Picture("seen", tile.permute(1, 2, 0).numpy()) for tile in tiles[:, :, :256, :256]]
    untrained, trained = (measure(network, train_heads(network, crops, steps), pictures) for steps in (0, 40))
    for before, after in zip(untrained, trained, strict=True):
        assert before["z"] == before["symbols"]
        assert all(after[name] != before[name] for name in VARIANTS)
    assert all(sum(row[name] for row in trained) < sum(row[name] for row in untrained) for name in VARIANTS)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_table_compares_with_the_second() -> None:
    row = {"quality": 20.0, "z": 0.2, "symbols": 0.1, "unrounded": 0.08, "float": 0.1}
    assert markdown([row]).splitlines()[-1] == (
        "| 20 | 0.2000 | 0.1000 | 0.0800 | 0.1000 | -50.00 % | +25.00 % | +0.00 % |"
    )


def test_from_a_checkpoint_to_a_table(
    checkpoint: Path, shards: Path, natural: Natural, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").symlink_to(shards)
    (tmp_path / "kodak").mkdir()
    Image.fromarray(natural(64, 64)).save(tmp_path / "kodak" / "kodim01.png")
    out = tmp_path / "out.json"
    arguments = [str(checkpoint), f"--data={tmp_path}", "--batch=2", "--crop=64", f"--json={out}"]
    assert main([*arguments, "--steps", "1"]) == 0
    assert "on 1 Kodak pictures, 1 steps each" in capsys.readouterr().out
    rows = json.loads(out.read_text())["rows"]
    assert [row["quality"] for row in rows] == [20, 50, 80]
    assert all(row[name] > 0 for row in rows for name in VARIANTS)
    assert main([str(tmp_path), *arguments[1:]]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--crop", "100"])


def test_other_numbers_of_steps_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="codes in 4 steps"):
        open_network(saved(tmp_path, shards, "context_steps = 4\n"))
