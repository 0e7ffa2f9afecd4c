"""Pictures that are encoded and decoded by rows: the same bytes and pixels as with all of it in memory."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import glissando
from glissando import ArrayRows, Picture
from glissando.codec import Codec
from glissando.codec.filling import FilledRows, filled
from glissando.codec.geometry import Grid
from glissando.codec.pixels import pixels_of_array
from glissando.errors import CorruptError, InputError, PictureError, TruncatedError
from glissando.picture import Density, as_picture

Pixels = NDArray[np.uint8]


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows so small that a small picture has several rows of them, whose edges are not those of tiles."""
    monkeypatch.setattr("glissando.codec.engine.WINDOW", 5)


def page(height: int, width: int, natural: Callable[..., Pixels]) -> Pixels:
    """A page with a photograph and much that is drawn, so that some of its tiles are exact."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for line in range(height // 20):
        draw.text((4, 20 * line), f"{line}: the quick brown fox jumps over the lazy dog " * 3, fill=(20, 20, 60))
    image.paste(Image.fromarray(natural(400, 300)), (60, 40))
    return np.asarray(image)


def streamed(codec: Codec, picture: object, quality: float | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    written = codec.encode_rows(picture if hasattr(picture, "rows") else ArrayRows(picture), out, quality, **options)
    assert written == len(out.getvalue())
    return out.getvalue()


CASES = {
    "photograph": (lambda natural: natural(1100, 700), {"quality": 50}),
    "grey": (lambda natural: natural(650, 1100)[..., 1], {"quality": 70}),
    "corrections": (lambda natural: natural(600, 1060), {"quality": 97}),
    "16 bits": (lambda natural: natural(600, 700).astype(np.uint16) * 256 + 7, {"quality": 98}),
    "page": (lambda natural: page(1300, 1100, natural), {"quality": 60}),
    "page of high quality": (lambda natural: page(1100, 600, natural), {"quality": 99}),
    "lossless": (lambda natural: natural(600, 530), {"lossless": True}),
    "narrow": (lambda natural: natural(1500, 64)[:, :3], {"quality": 60}),
    "one pixel": (lambda natural: natural(64, 64)[:1, :1], {"quality": 60}),
    "importance": (
        lambda natural: natural(700, 600),
        {"quality": 60, "importance": np.linspace(0, 1, 64).reshape(8, 8), "strength": 30},
    ),
}


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("name", list(CASES))
def test_the_bytes_and_pixels_are_those_of_the_whole(name: str, codec: Codec, natural: Callable[..., Pixels]) -> None:
    make, options = CASES[name]
    picture = make(natural)
    data = codec.encode(picture, **options)
    assert streamed(codec, picture, **options) == data
    with codec.decode_rows(data) as rows:
        bands = list(rows)
        assert (rows.width, rows.height, rows.format) == (picture.shape[1], picture.shape[0], rows.format)
    np.testing.assert_array_equal(np.concatenate(bands), codec.decode(data))
    if len(picture) > 1024:
        assert len(bands) > 1


def transparent(height: int, width: int, natural: Callable[..., Pixels]) -> Pixels:
    """A picture with a hole, a soft edge and colours below what is transparent."""
    y, x = np.mgrid[:height, :width]
    alpha = np.clip(np.hypot(y - height / 2, x - width / 3) - 90, 0, 255).astype(np.uint8)
    return np.dstack([natural(height, width), alpha])


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize(
    "options",
    [{"quality": 50}, {"quality": 98, "alpha_quality": 60}, {"quality": 50, "exact": True}, {"lossless": True}],
)
def test_opacity(options: dict[str, Any], codec: Codec, natural: Callable[..., Pixels]) -> None:
    picture = transparent(640, 560, natural)
    data = codec.encode(picture, **options)
    assert streamed(codec, picture, **options) == data
    with codec.decode_rows(data) as rows:
        assert rows.format.alpha == "straight"
        np.testing.assert_array_equal(np.concatenate(list(rows)), codec.decode(data))


@pytest.mark.usefixtures("small_windows")
def test_opacity_without_any_transparency_is_left_out(codec: Codec, natural: Callable[..., Pixels]) -> None:
    picture = np.dstack([natural(70, 600), np.full((70, 600), 255, np.uint8)])
    data = codec.encode(picture, 50)
    assert glissando.probe(data).format.alpha == "none"
    assert streamed(codec, picture, 50) == data


def test_metadata_and_depth_travel(codec: Codec, natural: Callable[..., Pixels]) -> None:
    picture = Picture(natural(64, 80).astype(np.uint16) * 3, depth=10, density=Density(3000, 3000), xmp=b"<x/>")
    data = codec.encode(picture, 60)
    assert streamed(codec, picture, 60) == data
    with codec.decode_rows(data, region=(0, 0, 20, 64)) as rows:
        assert rows.format.depth == 10
        assert rows.metadata.density == Density(3000, 3000)
        assert (rows.width, rows.height) == (20, 64)
        np.testing.assert_array_equal(next(rows), codec.decode(data, region=(0, 0, 20, 64)))


def test_other_families(natural: Callable[..., Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse test of a family whose tiles are coded by themselves."""
    monkeypatch.setattr("glissando.codec.engine.WINDOW", 5)
    with glissando.open_model("content-weighted", precision="f32", threads=1) as codec:
        picture = natural(640, 300)
        data = codec.encode(picture, 50)
        assert streamed(codec, picture, 50) == data


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"importance": "auto"}, "importance 'auto' needs the whole picture"),
        ({"effort": 7}, "an effort above 4 needs the whole picture"),
        ({"lossless": True, "alpha_quality": 50}, "lossless loses nothing"),
        ({"strength": 3.0}, "need a map of importance"),
        ({"quality": 101}, "101"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str, codec: Codec, tmp_path: Path) -> None:
    path = tmp_path / "out.gliss"
    with pytest.raises(InputError, match=message):
        codec.encode_rows(ArrayRows(np.zeros((8, 8), np.uint8)), path, **options)
    assert list(tmp_path.iterdir()) == []


# --- Rows ---------------------------------------------------------------------------------------------------


def test_rows_of_arrays(natural: Callable[..., Pixels]) -> None:
    picture = natural(30, 20)
    for source in (picture, picture[..., :1], picture[..., :2], Picture(picture)):
        rows = ArrayRows(source)
        np.testing.assert_array_equal(rows.rows(3, 9), as_picture(source).pixels[3:9])
        assert rows.format == as_picture(source).format
    with pytest.raises(InputError, match="uint8 or uint16"):
        ArrayRows(picture.astype(float))
    with pytest.raises(InputError, match="more than 10 bits"):
        ArrayRows(np.full((4, 4), 1024, np.uint16), depth=10).rows(0, 4)
    with pytest.raises(InputError, match="shape"):
        ArrayRows(np.zeros((4, 4, 5), np.uint8))


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([0.0, 0.01, 0.6, 1.0]), st.booleans(), st.data())
@settings(max_examples=40, deadline=None)
def test_made_up_rows_are_those_of_the_whole(
    height: int, width: int, share: float, grey: bool, data: st.DataObject
) -> None:
    rng = np.random.default_rng(height * 1000 + width)
    picture = rng.integers(0, 256, (height, width) if grey else (height, width, 3), dtype=np.uint8)
    seen = rng.random((height, width)) < share
    seen[:, width // 3 : width // 2] = False
    rows = FilledRows(pixels_of_array(picture), pixels_of_array(seen), height, width)
    top, left = (64 * data.draw(st.integers(0, (length - 1) // 64)) for length in (height, width))
    bottom, right = top + 64 * data.draw(st.integers(1, 3)), left + 64 * data.draw(st.integers(1, 3))
    part = rows(slice(top, bottom))(slice(left, right))
    np.testing.assert_array_equal(part, filled(picture, seen)[top:bottom, left:right])


# --- Files that are being made --------------------------------------------------------------------------------


class Breaking:
    """A picture whose rows can be read down to the middle."""

    def __init__(self, array: Pixels, error: BaseException) -> None:
        self._rows, self.error = ArrayRows(array), error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def rows(self, top: int, bottom: int) -> Pixels:
        if bottom > self._rows.height // 2:
            raise self.error
        return self._rows.rows(top, bottom)


@pytest.mark.parametrize("error", [PictureError("scan.tif: cut short"), KeyboardInterrupt()])
def test_nothing_half_written_is_left(
    error: BaseException, codec: Codec, natural: Callable[..., Pixels], tmp_path: Path
) -> None:
    path = tmp_path / "out.gliss"
    path.write_bytes(b"before")
    with pytest.raises(type(error)):
        codec.encode_rows(Breaking(natural(1100, 64), error), path, lossless=True)
    assert [each.name for each in tmp_path.iterdir()] == ["out.gliss"]
    assert path.read_bytes() == b"before"


def test_progress_ascends_to_the_end_and_may_end_the_work(
    codec: Codec, natural: Callable[..., Pixels], tmp_path: Path
) -> None:
    shares: list[float] = []
    codec.encode_rows(ArrayRows(natural(600, 100)), tmp_path / "out.gliss", 97, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        codec.encode_rows(ArrayRows(natural(600, 100)), tmp_path / "other.gliss", 97, progress=stop)
    assert [each.name for each in tmp_path.iterdir()] == ["out.gliss"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full, as Linux has")
def test_a_full_disk(codec: Codec, natural: Callable[..., Pixels]) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        codec.encode_rows(ArrayRows(natural(64, 64)), "/dev/full", lossless=True)
    assert caught.value.filename == "/dev/full"


def test_a_full_disk_while_tiles_wait(
    codec: Codec, natural: Callable[..., Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("glissando.codec.spool.Spool.add", full)
    path = tmp_path / "out.gliss"
    with pytest.raises(OSError, match="No space left") as caught:
        codec.encode_rows(ArrayRows(natural(64, 64)), path, lossless=True)
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_damage_is_told_where_its_rows_would_come(codec: Codec, natural: Callable[..., Pixels]) -> None:
    data = codec.encode(natural(1100, 64), lossless=True)
    with codec.decode_rows(data[:-40] + bytes(40)) as rows:
        assert next(rows).shape == (512, 64, 3)
        assert next(rows).shape == (512, 64, 3)
        with pytest.raises(CorruptError, match="tile 2 of 3"):
            next(rows)
    with codec.decode_rows(data[:-1]) as rows, pytest.raises(TruncatedError):
        next(rows)


@pytest.mark.usefixtures("small_windows")
def test_wide_pictures_have_lower_windows(
    codec: Codec, natural: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glissando.codec.engine.WIDE", 9)
    monkeypatch.setattr("glissando.codec.engine.SMALL_WINDOW", 2)
    picture = natural(600, 700)
    grid = Grid(700, 600, 9, codec.coding.latents_per_cell)
    for found in (codec.engine.quantiser_windows(grid), codec.engine.encoder_windows(grid)):
        assert max(window.inner_rows.stop - window.inner_rows.start for window in found) == 2
    data = codec.encode(picture, 60)
    assert streamed(codec, picture, 60) == data
