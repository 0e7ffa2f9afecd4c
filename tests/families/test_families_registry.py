"""Families are announced by their packages, found by name, and loaded half by half."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from glissando import zoo
from glissando.codec import open_codec
from glissando.errors import InputError, ModelMismatchError
from glissando.families import Family, families, family, register, registry


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path for families of others; what they register is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_PACKAGES", dict(registry._PACKAGES))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.split(".")[0].startswith("others_"):
            del sys.modules[name]


def write(folder: Path, name: str, announcement: str, coding: str = "") -> str:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(f"from glissando.families import Family\n{announcement}\n")
    (folder / name / "coding.py").write_text(coding)
    return name


def test_the_families_of_the_package() -> None:
    assert [found.name for found in families()] == ["gains", "vae", "content"]
    for found in families():
        assert family(found.name) is found
        assert found.package == f"glissando.families.{found.name}"
        assert found.codes.endswith(".")
        assert found.encoder_graphs[0] == "analysis"
        assert callable(found.coding)
    assert family("gains").takes_quality_field
    assert {found.name: found.encoder_graphs for found in families()} == {
        "gains": ("analysis", "quantise"),
        "vae": ("analysis",),
        "content": ("analysis",),
    }


@pytest.mark.parametrize("name", ["gains", "vae", "content"])
def test_a_configuration_is_divided_between_decoder_and_encoder(name: str) -> None:
    """What shapes the decoder is part of a model's hash; encoders of other shapes share a decoder."""
    found = family(name)
    network = {"width": 192, "synthesis_blocks": 2, "synthesis_latent_blocks": 1, "context_steps": 2, "shape": "fast"}
    own = {"analysis_blocks": 2, "analysis_latent_blocks": 1} | ({"variance": 0.001} if name == "vae" else {})
    assert found.decoder_configuration({**own, **network}) == network
    assert found.encoder_configuration({**own, **network}) == own
    assert found.decoder_halo(network) % 64 == 0  # of the decoder's part alone


def test_an_unknown_family_is_told_with_those_that_are_known() -> None:
    with pytest.raises(ModelMismatchError, match="'toy' is not known; there are gains, vae, content"):
        family("toy")


def test_a_family_of_somebody_else(packages: Path) -> None:
    """One folder and one call: its models open."""
    name = write(
        packages,
        "others_toy",
        'FAMILY = Family(name="toy", package=__name__, codes="Nothing.", pixels_per_latent=32)',
        "from glissando.families.gains.coding import GainsCoding\n\n\nclass CODING(GainsCoding):\n    pass\n",
    )
    found = register(name)
    assert found == family("toy") == register(name)
    assert families()[-1] is found
    assert f"{name}.coding" not in sys.modules
    model = zoo.find("medium")
    card = type(model.card)(**{**vars(model.card), "family": "toy"})
    with open_codec(type(model)(model.folder, card)) as codec:
        assert type(codec.coding).__module__ == f"{name}.coding"
        assert codec.family is found


@pytest.mark.parametrize(
    ("announcement", "message"),
    [
        ("", "has no attribute 'FAMILY'"),
        ("FAMILY = 7", "must be a Family"),
        ('FAMILY = Family(name="toy", package="elsewhere", codes="")', "whose package is 'others_wrong'"),
        ('FAMILY = Family(name="gains", package=__name__, codes="")', "'gains', which glissando.families.gains is"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
    ],
)
def test_what_is_no_family(packages: Path, announcement: str, message: str) -> None:
    write(packages, "others_wrong", announcement)
    with pytest.raises(InputError, match=message):
        register("others_wrong")
    assert len(families()) == 3


def test_an_announcement_loads_neither_half() -> None:
    code = (
        "import sys; from glissando.families import families; families(); "
        "print([n for n in ('numpy', 'torch', 'constriction', 'PIL') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_families_are_compared_by_what_they_say() -> None:
    assert Family("a", "b", "c") == Family("a", "b", "c") != Family("a", "b", "d")
