"""JPEG files that are cut short and have an end marker all the same, and whole ones of every kind."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from glissando.errors import PictureError
from glissando.picture import read_picture
from glissando.picture.jpeg_scans import lacks_precision, scans_of, with_longer_scans

Pixels = NDArray[np.uint8]
END = b"\xff\xd9"
KINDS = ["RGB", "L", "CMYK"]


def jpeg(pixels: Pixels, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(pixels).convert(mode)
    if mode == "CMYK":
        image = Image.merge(mode, [*Image.fromarray(pixels).split(), Image.fromarray(pixels[:, ::-1, 0])])
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", KINDS)
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 5}, {"subsampling": 0, "quality": 98}])
def test_whole_files_are_whole(natural: Callable[..., Pixels], mode: str, progressive: bool, options: dict) -> None:
    flat = np.full((50, 70, 3), 128, np.uint8)
    for pixels in (natural(91, 133), flat, natural(7, 5)):
        data = jpeg(pixels, mode, progressive=progressive, **options)
        for each in (data, data + b"something behind it", data[:2] + b"\xff\xff" + data[2:]):
            assert read_picture(io.BytesIO(each), convert=True).notes[1:] == ()
        assert len(scans_of(data)) > 1 if progressive else len(scans_of(data)) == 1
        assert not lacks_precision(scans_of(data))


@pytest.mark.parametrize("mode", KINDS)
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("interval", [0, 4])
def test_a_scan_that_ends_too_early_is_told(
    natural: Callable[..., Pixels], mode: str, progressive: bool, interval: int
) -> None:
    data = jpeg(natural(91, 133), mode, progressive=progressive, restart_marker_blocks=interval)
    last = scans_of(data)[-1]
    start = data.rindex(last.header) + len(last.header)
    for end in (start, start + (last.end - start) // 2, last.end - 9):
        cut = data[:end].rstrip(b"\xff") + END
        with pytest.raises(PictureError, match=r"cut short \(a scan is truncated\); --allow-truncated"):
            read_picture(io.BytesIO(cut), convert=True)
        part = read_picture(io.BytesIO(cut), convert=True, allow_truncated=True)
        assert part.notes[-1] == "the file is cut short; what is missing is grey"
        assert part.pixels.shape[:2] == (91, 133)


def test_the_end_of_another_scan_than_the_last_counts(natural: Callable[..., Pixels]) -> None:
    data = jpeg(natural(91, 133), progressive=True)
    for scan in scans_of(data)[:-1]:
        cut = data[: scan.end - 20].rstrip(b"\xff") + data[scan.end :]
        with pytest.raises(PictureError, match="cut short"):
            read_picture(io.BytesIO(cut))


def test_scans_that_are_missing_cost_a_note(natural: Callable[..., Pixels]) -> None:
    """Files without them are allowed, so that they are no error."""
    data = jpeg(natural(91, 133), progressive=True)
    for scan in scans_of(data)[:-1]:
        picture = read_picture(io.BytesIO(data[: scan.end] + END))
        assert picture.notes == ("the scans of the JPEG leave details out, as if some of them were missing",)


def test_a_thumbnail_has_scans_of_its_own(natural: Callable[..., Pixels]) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    small = jpeg(natural(16, 24))
    data = jpeg(natural(91, 133), exif=exif.tobytes() + small, comment=b"\xff\xda" + small)
    (scan,) = scans_of(data)
    assert scan.end == len(data) - 2
    assert read_picture(io.BytesIO(data)).notes == ()


def test_other_codes_than_huffmans_tell_nothing(natural: Callable[..., Pixels]) -> None:
    data = jpeg(natural(20, 30))
    at = data.index(b"\xff\xc0")
    arithmetic = data[: at + 1] + b"\xc9" + data[at + 2 :]
    assert with_longer_scans(arithmetic, scans_of(arithmetic)) is None
    assert with_longer_scans(b"", []) is None
    assert with_longer_scans(data, scans_of(data) * 1001) is None


@given(st.binary(max_size=40), st.integers(0, 700))
def test_any_bytes_have_scans_or_none(junk: bytes, at: int) -> None:
    data = jpeg(np.zeros((9, 9, 3), np.uint8), progressive=True)
    damaged = data[:at] + junk + data[at + len(junk) :]
    scans = scans_of(damaged)
    lacks_precision(scans)
    longer = with_longer_scans(damaged, scans)
    assert longer is None or len(longer) > len(damaged)
    assert scans_of(b"\xff\xd8" + junk) is not None
