"""The public functions, and what importing the package loads."""

from __future__ import annotations

import inspect
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import glissando
from glissando import errors, zoo
from glissando.bitstream import container

Pixels = NDArray[np.uint8]


def run(code: str) -> str:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- One call each -----------------------------------------------------------------------------------------


def test_encode_and_decode(natural: Callable[..., Pixels], psnr: Callable[..., float]) -> None:
    pixels = natural(90, 70)
    data = glissando.encode(pixels, quality=75)
    assert data.startswith(b"\x89GLS\r\n\x1a\n")
    assert psnr(glissando.decode(data), pixels) > 25
    np.testing.assert_array_equal(glissando.decode(data), glissando.decode(data))
    assert glissando.probe(data).quality == 75
    assert glissando.probe(glissando.encode(pixels)).quality == 60


def test_check(natural: Callable[..., Pixels]) -> None:
    for options in ({}, {"lossless": True}):
        data = glissando.encode(natural(90, 70), **options)
        glissando.check(data)
        with pytest.raises(errors.TruncatedError):
            glissando.check(data[:-1])
        with pytest.raises(errors.CorruptError):
            glissando.check(data + b"x")
        for place in range(len(data) - 40, len(data), 7):
            damaged = bytearray(data)
            damaged[place] ^= 4
            with pytest.raises(errors.CorruptError, match="tile 0"):
                glissando.check(damaged)
        with pytest.raises(errors.LimitError):
            glissando.check(data, max_pixels=90 * 70 - 1)


def test_models_are_opened_once(natural: Callable[..., Pixels]) -> None:
    from glissando import api

    api._kept.cache_clear()
    data = glissando.encode(natural(20, 20))
    glissando.decode(data)
    glissando.decode(data)
    assert api._kept.cache_info().misses == 1


def test_open_for_finds_a_files_model(natural: Callable[..., Pixels]) -> None:
    data = glissando.encode(natural(20, 30), 50, threads=1)
    codec = glissando.open_for(data, threads=1)
    assert codec.card in zoo.models()
    np.testing.assert_array_equal(codec.decode(data), glissando.decode(data, threads=1))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_decode(natural: Callable[..., Pixels], kind: Callable[[bytes], Any]) -> None:
    data = glissando.encode(natural(20, 20))
    np.testing.assert_array_equal(glissando.decode(kind(data)), glissando.decode(data))
    assert glissando.probe(kind(data)) == glissando.probe(data)


@pytest.mark.parametrize("kind", ["path", "text", "file object", "ranges", "reader"])
def test_any_source_decodes(natural: Callable[..., Pixels], kind: str, tmp_path: Path) -> None:
    data = glissando.encode(natural(20, 20))
    (tmp_path / "x.gliss").write_bytes(data)
    source: Any = {
        "path": tmp_path / "x.gliss",
        "text": str(tmp_path / "x.gliss"),
        "file object": io.BytesIO(data),
        "ranges": Ranges(data),
        "reader": glissando.Reader(data),
    }[kind]
    assert glissando.probe(source) == glissando.probe(data)
    codec = glissando.open_for(source, threads=1)
    np.testing.assert_array_equal(codec.decode(source), glissando.decode(data))
    np.testing.assert_array_equal(glissando.decode(source), glissando.decode(data))


class Ranges:
    """A source that reads ranges, and remembers how many bytes it gave."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.given = data, len(data), 0

    def read_at(self, offset: int, size: int) -> bytes:
        self.given += size
        return self.data[offset : offset + size]


def test_probing_reads_the_header_alone(natural: Callable[..., Pixels]) -> None:
    data = glissando.encode(natural(200, 200), 95)
    source = Ranges(data)
    info = glissando.probe(source)
    assert info.file_bytes == len(data) > 5000
    assert source.given <= 1024
    assert glissando.probe(data[: info.parts["header"]]) == info


@pytest.mark.parametrize(
    "format", [glissando.PixelFormat(1, 7), glissando.PixelFormat(3, 1), glissando.PixelFormat(3, 4, "straight")]
)
def test_pixels_that_cannot_be_decoded_yet(natural: Callable[..., Pixels], format: glissando.PixelFormat) -> None:
    """They are described, and refused by name."""
    file = glissando.Reader(glissando.encode(natural(20, 20))).read_all()
    data = container.write(replace(file, header=replace(file.header, format=format)))
    assert glissando.probe(data).format == format
    with pytest.raises(errors.UnsupportedError, match=str(format)):
        glissando.decode(data)
    with pytest.raises(errors.UnsupportedError, match=str(format)):
        glissando.open_for(data).decode_picture(data)


def test_unknown_model_names() -> None:
    with pytest.raises(errors.UnknownModelError, match="medium"):
        glissando.encode(np.zeros((8, 8, 3), np.uint8), model="gigantic")


def test_every_public_name_is_there_and_documented() -> None:
    assert set(dir(glissando)) == set(glissando.__all__)
    for name in glissando.__all__:
        assert inspect.getdoc(getattr(glissando, name)), name
    with pytest.raises(AttributeError, match="no attribute 'encoed'"):
        _ = glissando.encoed


def test_no_public_name_is_hidden_by_a_subpackage() -> None:
    pytest.importorskip("torch", reason="imports training, which needs PyTorch: pip install glissando[train]")
    run(
        "import glissando\n"
        "before = {name: getattr(glissando, name) for name in glissando.__all__}\n"
        "import glissando.bitstream, glissando.cli, glissando.codec, glissando.entropy, glissando.families\n"
        "import glissando.runtime, glissando.training, glissando.zoo\n"
        "hidden = [name for name in before if getattr(glissando, name) is not before[name]]\n"
        "assert not hidden, hidden"
    )


def test_the_tree_of_errors_is_the_documented_one() -> None:
    """errors.py draws the tree in its docstring; each name is exported and derives from the one above it."""
    depths: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.split() if word.endswith("Error")), None)
        if name is None or not hasattr(errors, name):
            continue
        at = (line.index(name) - 4) // 4
        depths[at:] = [name]
        kind = getattr(errors, name)
        assert name in errors.__all__
        assert kind.__doc__
        if at:
            assert issubclass(kind, getattr(errors, depths[at - 1])), name
        if "(ValueError)" in line:
            assert issubclass(kind, ValueError)
    found = {n for n, k in vars(errors).items() if isinstance(k, type) and issubclass(k, errors.GlissandoError)}
    warned = {n for n, k in vars(errors).items() if isinstance(k, type) and issubclass(k, Warning)}
    assert warned == {"ModelWarning", "PictureWarning"}
    assert found | warned == set(errors.__all__)


# --- What is loaded ----------------------------------------------------------------------------------------

HEAVY = ("torch", "openvino", "onnxruntime", "onnx", "PIL", "constriction", "typer", "rich", "tensorboard", "numpy")


def loaded(code: str) -> set[str]:
    return set(run(f"{code}\nimport sys; print(*(n for n in {HEAVY!r} if n in sys.modules))").split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded("import glissando; dir(glissando); glissando.__version__") == set()


def test_errors_load_nothing() -> None:
    assert loaded("from glissando import errors; from glissando import GlissandoError") == set()


def test_probing_loads_no_inference_engine(natural: Callable[..., Pixels], tmp_path: Any) -> None:
    (tmp_path / "x.gliss").write_bytes(glissando.encode(natural(20, 20)))
    code = f"import glissando; glissando.probe({str(tmp_path / 'x.gliss')!r})"
    assert loaded(code).isdisjoint({"torch", "openvino", "onnxruntime"})


def test_opening_a_model_loads_no_torch_and_coding_only_its_engine(natural: Callable[..., Pixels]) -> None:
    code = "import numpy, glissando; c = glissando.open_model('medium', backend='openvino', threads=1)"
    assert loaded(code).isdisjoint({"torch", "openvino", "onnxruntime"})
    used = loaded(f"{code}\nc.decode(c.encode(numpy.zeros((8, 8, 3), 'uint8')))")
    assert "openvino" in used
    assert used.isdisjoint({"torch", "onnxruntime", "onnx", "typer", "rich"})


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)
sys.meta_path.insert(0, Block())
"""


def test_training_needs_none_of_the_runtimes_dependencies() -> None:
    """Where training runs, only torch, NumPy and Pillow may be installed."""
    pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")
    names = ("constriction", "openvino", "onnxruntime", "onnx", "onnxscript", "typer", "rich", "tensorboard")
    code = BLOCKED.format(names=names) + (
        "import glissando.training, glissando.networks\n"
        "from glissando.training import export, run\n"
        "from glissando.training.loop import Trainer\n"
        "from glissando.training.recipe import from_dict\n"
        "from glissando.families.gains.config import GainsConfig\n"
        "from glissando.families.gains.network import GainsNetwork\n"
        "GainsNetwork(GainsConfig(latents=8, hyper=4, levels=2))\n"
        "from glissando.families.content.export import bit_tables, fit_map_tables\n"
        "import numpy\n"
        "fit_map_tables(iter([[numpy.zeros((3, 3), int)]]), len(bit_tables()[1]))\n"
        "import sys; print([n for n in sys.modules if n.split('.')[0] in " + repr(names) + "])"
    )
    assert run(code) == "[]"


def test_decoding_works_without_torch_and_its_friends() -> None:
    names = ("torch", "onnx", "onnxscript", "onnxruntime", "tensorboard", "typer", "rich", "matplotlib")
    code = BLOCKED.format(names=names) + (
        "import numpy, glissando\n"
        "data = glissando.encode(numpy.zeros((8, 8, 3), 'uint8'), 50, threads=1)\n"
        "print(glissando.decode(data, threads=1).shape)"
    )
    assert run(code) == "(8, 8, 3)"


def test_what_cannot_be_carried_is_converted_where_asked() -> None:
    """As the error recommends."""
    cmyk = Image.new("CMYK", (20, 10), (10, 90, 200, 30))
    with pytest.raises(errors.InputError, match=r"CMYK colours: not carried yet; to convert, .*convert=True in Python"):
        glissando.encode(cmyk, lossless=True)
    pixels = glissando.decode(glissando.encode(cmyk, lossless=True, convert=True))
    assert pixels.shape == (10, 20, 3)
    np.testing.assert_array_equal(pixels, np.asarray(cmyk.convert("RGB")))
