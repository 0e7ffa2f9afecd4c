"""Two processes train as one does: the same gradients from halves of a batch, the same weights on both sides."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tiny_recipe import NETWORK

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from glissando.errors import RecipeError, TrainingError  # noqa: E402
from glissando.training.checkpoints import load_checkpoint  # noqa: E402
from glissando.training.data import Tiles  # noqa: E402
from glissando.training.dispatch import run  # noqa: E402
from glissando.training.distributed import Processes, join  # noqa: E402
from glissando.training.recipe import from_dict  # noqa: E402
from glissando.training.trainer import Trainer  # noqa: E402

if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("this PyTorch has no gloo", allow_module_level=True)

RECIPE = f"""
family = "gains"
name = "tiny"
{NETWORK}[data]
crop = 64
batch = 4
halved = 0.5
choices = 2
[optimiser]
whiten = 0.5
[schedule]
samples = 1000000
warmup = 1
[run]
initial = "random"
log_every = 1
validate_every = 1000000
save_every = 1000000
"""


def build(out: Path, processes: Processes) -> Trainer:
    pixels = torch.randint(0, 256, (5, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    tiles = Tiles(pixels, torch.zeros(5, dtype=torch.bool))
    return Trainer(from_dict(tomllib.loads(RECIPE)), tiles, torch.device("cpu"), out, processes)


def two_steps(trainer: Trainer) -> dict[str, Any]:
    """Gradients of the first step as they are before clipping, its figures, and the weights after the second."""
    seen: list[list[torch.Tensor]] = []
    clip = torch.nn.utils.clip_grad_norm_

    def spy(parameters: Any, largest: float) -> Any:
        parameters = list(parameters)
        seen.append([p.grad.clone() for p in parameters if p.grad is not None])
        return clip(parameters, largest)

    torch.nn.utils.clip_grad_norm_ = spy
    try:
        figures = [trainer.step(0.1), trainer.step(0.1)]
    finally:
        torch.nn.utils.clip_grad_norm_ = clip
    for record in figures:
        del record["data"]
    weights = [p.detach().clone() for network in (trainer.network, trainer.ema) for p in network.parameters()]
    return {"gradients": seen[0], "figures": figures, "weights": weights}


def half_noise(like: torch.Tensor, **_: Any) -> torch.Tensor:
    """No noise at all, whoever draws it."""
    return torch.full_like(like, 0.5)


def threads() -> list[str]:
    """Names of this process's threads, those of libraries among them; none where the system does not tell."""
    return sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))


def work(rank: int, port: int, folder: str) -> None:
    """One of two processes."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with join() as processes:
        found: dict[str, Any] = {"agreed": processes.agree(7.0 + rank)}
        trainer = build(Path(folder), processes)
        found["noise"] = torch.rand(4)
        torch.rand_like = half_noise
        found |= two_steps(trainer)
        if rank == 1:  # a loss that is not finite in one process is skipped by both
            trainer.crops.tiles = trainer.crops.tiles.float() * float("nan")
        trainer.step(0.1)
        after = [p.detach() for network in (trainer.network, trainer.ema) for p in network.parameters()]
        found["unmoved"] = all(torch.equal(a, b) for a, b in zip(found["weights"], after, strict=True))
        found["progress"] = dict(trainer.progress.__dict__)
    found["threads"] = threads()
    torch.save(found, Path(folder) / f"{rank}.pt")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_gradients_are_those_of_the_whole_batch(
    pair: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build(tmp_path, Processes())
    noise = torch.rand(4)
    monkeypatch.setattr(torch, "rand_like", half_noise)
    alone = two_steps(trainer)
    for found in pair:
        for ours, theirs in zip(found["gradients"], alone["gradients"], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()) + 1e-9)
        assert found["figures"][0] == pytest.approx(alone["figures"][0], rel=1e-4)
    assert torch.equal(noise, pair[0]["noise"])  # the first process's noise is that of a training in one


def test_both_sides_stay_the_same(pair: list[dict[str, Any]]) -> None:
    first, second = pair
    assert all(torch.equal(a, b) for a, b in zip(first["weights"], second["weights"], strict=True))
    assert first["figures"] == second["figures"]
    assert first["agreed"] == second["agreed"] == 7.0
    assert not torch.equal(first["noise"], second["noise"])


def test_what_is_not_finite_in_one_process_is_skipped_by_all(pair: list[dict[str, Any]]) -> None:
    for found in pair:
        assert found["unmoved"]
        assert (found["progress"]["skipped"], found["progress"]["step"], found["progress"]["samples"]) == (1, 3, 12)


def test_nothing_outlives_the_group(pair: list[dict[str, Any]]) -> None:
    """A thread of the group's that is still at work while the interpreter closes aborts it."""
    for found in pair:
        assert not [name for name in found["threads"] if "gloo" in name]


def test_one_command_under_torchrun(shards: Path, tmp_path: Path) -> None:
    """Both processes stop at the same step by the first one's clock; one of them logs and saves."""
    (tmp_path / "tiny.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["glissando", "train", "tiny.toml", "--data", str(shards), "--out", "out", "--minutes", "0.01"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("out/last.pt: trained") + done.stdout.count("out/last.pt: trained") == 1
    progress = load_checkpoint(tmp_path / "out" / "last.pt")["progress"]
    steps = [json.loads(line)["step"] for line in (tmp_path / "out" / "log.jsonl").open() if '"loss"' in line]
    assert steps == list(range(1, progress["step"] + 1))
    assert progress["samples"] == 4 * progress["step"] > 0
    assert "2 thread" in progress["pieces"][0]["device"]


def test_a_batch_that_cannot_be_split() -> None:
    assert Processes(1, 2).share(4) == slice(1, None, 2)
    with pytest.raises(RecipeError, match=r"data\.batch = 9 .*over 2"):
        Processes(0, 2).share(9)


def test_torchruns_variables_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(TrainingError, match="RANK"), join():
        pass


def test_words_are_trained_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words.toml").write_text('family = "words"\n')
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="one process"):
        run(tmp_path / "words.toml")
