"""Gain units on CompressAI's models: a training step, and real bytes through its own coder at rates in between."""

from __future__ import annotations

import copy
import importlib.util
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="gain units need PyTorch: pip install glissando[train]")

from glissando.gain import Gained, gained_compressai, lambda_at  # noqa: E402

if importlib.util.find_spec("compressai") is None:
    pytest.skip("CompressAI is not installed; docs/gain-units.md says how", allow_module_level=True)

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # The package index has torchvision for CUDA alone. Beside a PyTorch for processors, its import fails on two
    # operators that are not there. CompressAI uses neither, so that it is enough to declare them.
    OPERATORS = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        OPERATORS.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]

from compressai.zoo import image_models  # noqa: E402

PLAIN = "bmshj2018-factorized"
ONE_PASS = (PLAIN, "bmshj2018-hyperprior", "mbt2018-mean")
NAMES = (*ONE_PASS, "mbt2018", "cheng2020-anchor")
LAMBDAS = (0.001, 0.01, 0.1)
PICTURES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def attached(name: str, **settings: Any) -> Gained:
    """A model of CompressAI without trained weights, at gains so large that its latents are no zeros."""
    torch.manual_seed(0)
    codec = gained_compressai(image_models[name](quality=1, pretrained=False), LAMBDAS, **settings)
    codec.unit.start([4.0, 5.5, 7.0])
    return codec


@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_training(name: str) -> None:
    codec = attached(name)
    rates = [parameter for key, parameter in codec.named_parameters() if not key.endswith("quantiles")]
    optimiser = torch.optim.Adam(rates, 1e-3)
    quality = torch.tensor([25.0, 75.0])
    out = codec(PICTURES, quality)
    bits = sum(-torch.log2(likelihoods).sum((1, 2, 3)) for likelihoods in out["likelihoods"].values())
    error = (out["x_hat"] - PICTURES).square().mean((1, 2, 3))
    (bits / 64**2 + lambda_at(LAMBDAS, quality) * 255**2 * error).mean().backward()
    tables = [codec.unit.gain.table, codec.unit.inverse_gain.table]
    if codec.hyper_unit is not None:
        tables += [codec.hyper_unit.gain.table, codec.hyper_unit.inverse_gain.table]
    assert len(tables) == (2 if name == PLAIN else 4)
    before = [table.detach().clone() for table in tables]
    optimiser.step()
    for table, old in zip(tables, before, strict=True):
        assert (table != old).any()
    codec.model.aux_loss().backward()


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_real_bytes_at_three_rates_in_between(name: str) -> None:
    encoder = attached(name).eval()
    encoder.model.update(force=True)
    decoder = copy.deepcopy(encoder)
    picture, sizes, decoded = PICTURES[:1], [], {}
    for quality in (12.5, 40.0, 80.0):
        with encoder.at(quality):
            packed = encoder.model.compress(picture)
        sizes.append(sum(len(strings[0]) for strings in packed["strings"]))
        with decoder.at(quality):
            decoded[quality] = decoder.model.decompress(**packed)["x_hat"]
        if name in ONE_PASS:  # forward() of the others rounds latents without their means, unlike compress()
            expected = encoder(picture, quality)["x_hat"].clamp(0, 1)
            torch.testing.assert_close(decoded[quality], expected, rtol=0, atol=1e-4)
        with decoder.at(quality / 2):
            other = decoder.model.decompress(**packed)["x_hat"] if name == PLAIN else None
        assert other is None or not torch.equal(other, decoded[quality])
    assert sizes == sorted(set(sizes)), sizes
    assert not torch.equal(decoded[12.5], decoded[80.0])


@pytest.mark.parametrize("sees", ["gained", "ungained"])
@torch.no_grad()
def test_the_hyper_analysis_sees_what_it_is_told(sees: str) -> None:
    codec = attached("mbt2018-mean", hyper=False, hyper_sees=sees).eval()
    assert codec.hyper_unit is None
    seen = []
    codec.model.h_a.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    codec(PICTURES, 0.0)
    codec(PICTURES, 100.0)
    if sees == "ungained":
        torch.testing.assert_close(seen[0], seen[1])
    else:
        torch.testing.assert_close(seen[0] * 8, seen[1])
