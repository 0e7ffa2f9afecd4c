from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from glissando.bitstream import RGB_8, Header, Reader, Tile, container
from glissando.picture import Metadata, read_picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
TILES = [Tile({1: bytes([n]) * n, 2: b"abc"}, n) for n in range(6)]


@pytest.fixture
def file(tmp_path):
    header = Header(130, 65, 60 * 256, RGB_8, b"12345678", 6)
    boxes = {"icc ": ICC, "xmp ": b"<x/>", "zzzz": b"of a later version"}
    path = tmp_path / "a.gliss"
    path.write_bytes(container.write(container.Container(header, boxes, TILES)))
    return path


def boxes_in(path):
    with Reader(path) as reader:
        whole = reader.read_all()
    assert whole.tiles == TILES
    assert whole.boxes["zzzz"] == b"of a later version"
    return {name: payload for name, payload in whole.boxes.items() if name != "zzzz"}


def test_without_a_change_it_lists(invoke, file):
    before = file.read_bytes()
    result = invoke("meta", "a.gliss")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "a.gliss"
    assert lines[1].startswith("  icc  sRGB built-in, ")
    assert lines[2:] == ["  xmp  4 bytes"]
    assert file.read_bytes() == before
    assert invoke("meta", "a.gliss", "--remove", "all").exit_code == 0
    assert invoke("meta", "a.gliss").stdout == "a.gliss\n  no metadata\n"


def test_setting_and_removing(invoke, file, tmp_path):
    (tmp_path / "e.bin").write_bytes(b"Exif\0\0" + EXIF)
    arguments = ["--set", "comment=At the lake", "--set", "dpi=300x72", "--set", "cicp=9/16", "--set", "exif=e.bin"]
    result = invoke("meta", "a.gliss", *arguments, "--remove", "icc")
    assert result.exit_code == 0
    assert "its orientation is set to 1" in result.stderr
    found = boxes_in(file)
    assert set(found) == {"xmp ", "text", "dens", "cicp", "exif"}
    assert found["cicp"] == bytes([9, 16])
    assert found["exif"] == EXIF.replace(b"\x06", b"\x01")
    assert found["xmp "] == b"<x/>"
    listed = invoke("meta", "a.gliss").stdout
    for line in ("9/16, BT.2020 PQ", "300 x 72 pixels per inch", "Comment: At the lake", "exif  26 bytes"):
        assert line in listed


def test_another_output_leaves_the_file(invoke, file, tmp_path):
    before = file.read_bytes()
    assert invoke("meta", "a.gliss", "--remove", "xmp", "--out", "b.gliss").exit_code == 0
    assert file.read_bytes() == before
    assert boxes_in(tmp_path / "b.gliss") == {"icc ": ICC}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--remove", "gps"], "no metadata 'gps'; known: icc, exif, xmp, iptc, cicp, density, text, dpi, comment"),
        (["--set", "gps=1"], "no metadata 'gps'"),
        (["--set", "dpi"], "'dpi' is not NAME=VALUE"),
        (["--set", "dpi=many"], "'many' is no number of pixels per inch"),
        (["--set", "dpi=1x2x3"], "'1x2x3' is no number"),
        (["--set", "cicp=9"], "'9' is not PRIMARIES/TRANSFER"),
        (["--set", "cicp=9/256"], "'9/256' is not"),
        (["--set", "exif=a.gliss"], "EXIF begins with its TIFF header"),
    ],
)
def test_wrong_usage(invoke, file, arguments, message):
    before = file.read_bytes()
    result = invoke("meta", "a.gliss", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert file.read_bytes() == before


def test_files_that_are_none(invoke, tmp_path):
    (tmp_path / "b.gliss").write_bytes(b"nothing")
    result = invoke("meta", "b.gliss", "--remove", "all")
    assert result.exit_code == 1
    assert result.stderr.startswith("glissando: b.gliss: signature")
    assert invoke("meta", "missing.gliss").exit_code == 1


def test_keep_and_strip(invoke, photo, tmp_path):
    photo("a.jpg", icc_profile=ICC, exif=b"Exif\0\0" + EXIF, comment=b"hello", dpi=(300, 300))
    upright = (10, 20)

    def carried(*arguments):
        result = invoke("encode", "a.jpg", "a.gliss", *arguments)
        assert result.exit_code == 0, result.output
        assert invoke("decode", "a.gliss", "b.png").exit_code == 0
        picture = read_picture(tmp_path / "b.png")
        assert (picture.width, picture.height) == upright
        return {name for name in ("icc", "exif") if getattr(picture, name)}, result.stderr

    assert carried()[0] == {"icc", "exif"}
    assert carried("--keep", "exif")[0] == {"exif"}
    assert carried("--keep", "icc,xmp")[0] == {"icc"}
    kept, messages = carried("--strip")
    assert kept == set()
    assert "a.jpg: note: what its colours mean is left out" in messages
    assert "note" not in carried("--keep", "icc")[1]
    invoke("encode", "a.jpg", "a.gliss")
    assert invoke("decode", "a.gliss", "b.png", "--strip").exit_code == 0
    assert read_picture(tmp_path / "b.png").keeping(()).as_arguments() == Metadata().as_arguments()
    assert not {"icc_profile", "exif"} & Image.open(tmp_path / "b.png").info.keys()
    for arguments in (["--keep", "gps"], ["--keep", "icc", "--strip"]):
        assert invoke("encode", "a.jpg", "a.gliss", *arguments).exit_code == 2


def test_a_cut_off_jpeg(invoke, tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(stream, "JPEG")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue()[:-500])
    result = invoke("encode", "a.jpg", "a.gliss")
    assert result.exit_code == 1
    assert "--allow-truncated" in result.stderr
    result = invoke("encode", "a.jpg", "a.gliss", "--allow-truncated")
    assert result.exit_code == 0
    assert "note: the file is cut short; what is missing is grey" in result.stderr
