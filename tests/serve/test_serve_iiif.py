"""The IIIF Image API 3: what its compliance tables ask for at level 2, with the checks of its published validator.

Its tests look at a picture of 10x10 squares, each of one colour; so do these.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client", "httpx"):
    pytest.importorskip(package, reason=f"{package}, which the service or its tests need, is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402

import glissando  # noqa: E402
from glissando.errors import InputError  # noqa: E402
from glissando.serve.iiif import canonical, view_of  # noqa: E402
from glissando.serve.view import View  # noqa: E402

WIDTH, HEIGHT, SQUARE = 300, 200, 20


@pytest.fixture(scope="module")
def squares(folder: Path) -> np.ndarray:
    """The colours of 10 rows of 15 squares, whose picture is in the service's folder."""
    colours = np.random.default_rng(1).integers(0, 256, (10, 15, 3), dtype=np.uint8)
    pixels = colours.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)
    (folder / "squares.gliss").write_bytes(glissando.encode(pixels, lossless=True))
    return colours


def fetched(service: Any, path: str, status: int = 200) -> Any:
    answer = service.client.get(f"/img/squares/{path}")
    assert answer.status_code == status, (path, answer.text)
    return answer


def shown(service: Any, path: str) -> np.ndarray:
    with Image.open(io.BytesIO(fetched(service, path).content)) as image:
        return np.asarray(image.convert("RGB"))


def middles(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The middle pixel of each of so many squares."""
    height, width = pixels.shape[:2]
    y = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    return pixels[y[:, None], x[None, :]]


def same(found: np.ndarray, expected: np.ndarray, levels: int = 12) -> None:
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= levels


# Regions, sizes, turns, colours, formats -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [
        ("full", slice(0, 10), slice(0, 15)),
        ("square", slice(0, 10), slice(2, 13)),  # from x = 50 on, in the middle of a square
        ("40,60,100,80", slice(3, 7), slice(2, 7)),
        ("200,100,1000,1000", slice(5, 10), slice(10, 15)),  # cut off at the edges
        ("pct:20,30,40,20", slice(3, 5), slice(3, 9)),
        ("pct:33.33333,50,66.66667,50", slice(5, 10), slice(5, 15)),
    ],
)
def test_regions(service: Any, squares: np.ndarray, region: str, rows: slice, columns: slice) -> None:
    expected = squares[rows, columns]
    pixels = shown(service, f"{region}/max/0/default.png")
    if region == "square":
        assert pixels.shape[:2] == (200, 200)
        np.testing.assert_array_equal(pixels[10::SQUARE, ::SQUARE], squares[:, 2:12])  # the left halves are cut off
        return
    assert pixels.shape[:2] == (SQUARE * expected.shape[0], SQUARE * expected.shape[1])
    np.testing.assert_array_equal(middles(pixels, *expected.shape[:2]), expected)


@pytest.mark.parametrize(
    ("size", "width", "height"),
    [
        ("max", 300, 200),
        ("150,", 150, 100),
        (",150", 225, 150),
        ("pct:50", 150, 100),
        ("pct:33.3", 100, 67),
        ("200,200", 200, 200),
        ("!200,200", 200, 133),
        ("!1000,100", 150, 100),
        ("!1000,1000", 300, 200),  # as large as possible, and never larger than the region
        ("300,200", 300, 200),
        ("1,1", 1, 1),
    ],
)
def test_sizes(service: Any, squares: np.ndarray, size: str, width: int, height: int) -> None:
    pixels = shown(service, f"full/{size}/0/default.png")
    assert pixels.shape[:2] == (height, width)
    if min(width, height) >= 60:
        same(middles(pixels, 10, 15), squares, 24)


def test_sizes_of_a_region(service: Any, squares: np.ndarray) -> None:
    pixels = shown(service, "60,40,120,80/60,40/0/default.png")
    assert pixels.shape[:2] == (40, 60)
    same(middles(pixels, 4, 6), squares[2:6, 3:9], 24)


@pytest.mark.parametrize(
    ("rotation", "turned"),
    [
        ("0", lambda a: a),
        ("90", lambda a: np.rot90(a, -1)),
        ("180", lambda a: np.rot90(a, 2)),
        ("270", lambda a: np.rot90(a, 1)),
        ("360", lambda a: a),
        ("90.0", lambda a: np.rot90(a, -1)),
        ("!0", lambda a: a[:, ::-1]),
        ("!90", lambda a: np.rot90(a[:, ::-1], -1)),
        ("!180", lambda a: np.rot90(a[:, ::-1], 2)),
    ],
)
def test_turns(service: Any, squares: np.ndarray, rotation: str, turned: Any) -> None:
    expected = turned(squares)
    np.testing.assert_array_equal(
        middles(shown(service, f"full/max/{rotation}/default.png"), *expected.shape[:2]), expected
    )


def test_colours(service: Any, squares: np.ndarray) -> None:
    np.testing.assert_array_equal(middles(shown(service, "full/max/0/color.png"), 10, 15), squares)
    grey = middles(shown(service, "full/max/0/gray.png"), 10, 15)
    luma = squares @ np.array([0.299, 0.587, 0.114])
    same(grey, np.repeat(luma[..., None], 3, axis=2), 1)
    bitonal = middles(shown(service, "full/max/0/bitonal.png"), 10, 15)
    np.testing.assert_array_equal(bitonal, np.where(grey >= 128, 255, 0))


@pytest.mark.parametrize(
    ("suffix", "media_type", "name"),
    [
        ("jpg", "image/jpeg", "JPEG"),
        ("png", "image/png", "PNG"),
        ("webp", "image/webp", "WEBP"),
        ("avif", "image/avif", "AVIF"),
        ("tif", "image/tiff", "TIFF"),
    ],
)
def test_formats(service: Any, squares: np.ndarray, suffix: str, media_type: str, name: str) -> None:
    answer = fetched(service, f"full/max/0/default.{suffix}")
    assert answer.headers["content-type"] == media_type
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.format == name
        same(middles(np.asarray(image), 10, 15), squares)


def test_opacity_and_depth(service: Any, folder: Path) -> None:
    deep = np.zeros((40, 60, 4), np.uint16)
    deep[:, 30:] = (65535, 32768, 0, 65535)
    (folder / "deep.gliss").write_bytes(glissando.encode(deep, lossless=True))
    for path, mode in (("full/max/0/default.png", "RGBA"), ("full/max/0/gray.png", "LA"), ("full/30,/0/gray.jpg", "L")):
        answer = service.client.get(f"/img/deep/{path}")
        assert answer.status_code == 200
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.mode == mode
            if mode == "RGBA":
                assert image.getpixel((50, 20)) == (255, 128, 0, 255)
                assert image.getpixel((10, 20)) == (0, 0, 0, 0)


# What the API forbids, and what it leaves to us ------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "all/max/0/default.png",
        "0,0,0,10/max/0/default.png",
        "300,0,10,10/max/0/default.png",
        "-1,0,10,10/max/0/default.png",
        "1,2,3/max/0/default.png",
        "pct:0,0,0,50/max/0/default.png",
        "pct:101,0,10,10/max/0/default.png",
        "pct:1e1,0,10,10/max/0/default.png",
        "full/full/0/default.png",  # of version 2
        "full/301,/0/default.png",
        "full/,201/0/default.png",
        "full/300,201/0/default.png",
        "full/pct:101/0/default.png",
        "full/pct:0/0/default.png",
        "full/0,/0/default.png",
        "full/0,0/0/default.png",
        "full/!0,10/0/default.png",
        "full/!10,/0/default.png",
        "full/,/0/default.png",
        "full/99999999999,/0/default.png",
        "full/max/-90/default.png",
        "full/max/361/default.png",
        "full/max/!/default.png",
        "full/max/east/default.png",
        "full/max/0/best.png",
        "full/max/0/default.exe",
        "full/max/0/default.PNG",
    ],
)
def test_what_is_forbidden(service: Any, squares: np.ndarray, path: str) -> None:
    answer = fetched(service, path, 400)
    assert answer.json()["error"] == "InputError"


def test_what_is_not_done(service: Any, squares: np.ndarray) -> None:
    fetched(service, "full/max/45/default.png", 501)
    fetched(service, "full/max/22.5/default.png", 501)
    fetched(service, "full/^max/0/default.png", 501)
    fetched(service, "full/^600,/0/default.png", 501)
    fetched(service, "full/max/0", 404)
    fetched(service, "full/max/0/default", 404)


# info.json and headers -------------------------------------------------------------------------------------


def test_info_json(service: Any, squares: np.ndarray) -> None:
    answer = fetched(service, "info.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    found = answer.json()
    assert found["@context"] == "http://iiif.io/api/image/3/context.json"
    assert found["id"] == f"http://127.0.0.1:{service.port}/img/squares"
    assert (found["type"], found["protocol"], found["profile"]) == (
        "ImageService3",
        "http://iiif.io/api/image",
        "level2",
    )
    assert (found["width"], found["height"], found["maxArea"]) == (WIDTH, HEIGHT, 100_000)
    for name in found["extraFormats"]:
        fetched(service, f"full/20,/0/default.{name}")
    for name in found["extraQualities"]:
        fetched(service, f"full/20,/0/{name}.jpg")
    for size in found["sizes"]:
        fetched(service, f"full/{size['width']},{size['height']}/0/default.jpg")
    assert found["extraFeatures"] == ["canonicalLinkHeader", "mirroring", "profileLinkHeader"]


def test_pages_of_others_may_look(service: Any, squares: np.ndarray) -> None:
    """Their browsers let them where this header is; they may not have others encode here."""
    origin = {"Origin": "https://example.org"}
    for path in ("info.json", "full/max/0/default.jpg", "full/max/45/default.jpg"):
        answer = service.client.get(f"/img/squares/{path}", headers=origin)
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        asked = service.client.options(
            f"/img/squares/{path}", headers={**origin, "Access-Control-Request-Method": "GET"}
        )
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in service.client.post("/encode", headers=origin).headers


def test_json_ld(service: Any, squares: np.ndarray) -> None:
    answer = service.client.get("/img/squares/info.json", headers={"Accept": "application/ld+json"})
    assert answer.headers["content-type"] == ('application/ld+json;profile="http://iiif.io/api/image/3/context.json"')
    assert "Accept" in answer.headers["vary"].split(", ")


def test_the_base_leads_to_info_json(service: Any, squares: np.ndarray) -> None:
    answer = service.client.get("/img/squares", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"http://127.0.0.1:{service.port}/img/squares/info.json"
    assert service.client.get("/img/nothing", follow_redirects=False).status_code == 404


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("full/max/0/default.jpg", "full/max/0/default.jpg"),
        ("0,0,300,200/300,/0/color.jpg", "full/max/0/default.jpg"),
        ("pct:0,0,50,50/pct:50/!90/gray.png", "0,0,150,100/75,50/!90/gray.png"),
        ("square/120,/360/default.webp", "50,0,200,200/120,120/0/default.webp"),
    ],
)
def test_links(service: Any, squares: np.ndarray, path: str, expected: str) -> None:
    link = fetched(service, path).headers["link"]
    assert '<http://iiif.io/api/image/3/level2.json>;rel="profile"' in link
    address = re.search(r'<([^>]*)>;rel="canonical"', link)
    assert address is not None
    assert address[1] == f"http://127.0.0.1:{service.port}/img/squares/{expected}"
    assert service.client.get(address[1]).content == fetched(service, path).content


def test_tiles_of_a_large_picture(service: Any, folder: Path) -> None:
    """Every tile that info.json implies can be had, and together they are the picture."""
    pixels = np.random.default_rng(2).integers(0, 255, (21, 37), dtype=np.uint8).repeat(32, 0).repeat(32, 1)
    (folder / "tiles.gliss").write_bytes(glissando.encode(pixels, lossless=True))
    found = service.client.get("/img/tiles/info.json").json()
    (tiles,) = found["tiles"]
    assert tiles["scaleFactors"][0] == 1
    width, height = found["width"], found["height"]
    for factor in tiles["scaleFactors"]:
        out = np.zeros((-(-height // factor), -(-width // factor)), np.uint8)
        step = tiles["width"] * factor
        for y in range(0, height, step):
            for x in range(0, width, step):
                wide, high = min(step, width - x), min(step, height - y)
                size = -(-wide // factor), -(-high // factor)
                path = f"/img/tiles/{x},{y},{wide},{high}/{size[0]},{size[1]}/0/default.png"
                answer = service.client.get(path)
                assert answer.status_code == 200, (path, answer.text)
                with Image.open(io.BytesIO(answer.content)) as image:
                    assert image.size == size
                    out[y // factor :, x // factor :][: size[1], : size[0]] = np.asarray(image)
        if factor > 1:
            expected = pixels[factor // 2 :: factor, factor // 2 :: factor]
            rows, columns = expected.shape
            assert np.abs(out[:rows, :columns].astype(int) - expected).mean() < 12


# The paths by themselves -----------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=20), st.from_regex(r"(pct:)?\d{1,4},\d{1,4},\d{1,4},\d{1,4}|full|square", fullmatch=True)
    ),
    st.one_of(st.text(max_size=20), st.from_regex(r"\^?(!?\d{0,4},\d{0,4}|pct:\d{1,3}|max)", fullmatch=True)),
    st.one_of(st.text(max_size=5), st.sampled_from(["0", "90", "!270", "45"])),
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
)
def test_any_path_means_a_view_or_an_error(region: str, size: str, rotation: str, picture: tuple[int, int]) -> None:
    most = 1_000_000
    try:
        view = view_of(region, size, rotation, "default", picture, most)
    except (InputError, HTTPException):
        return
    x, y, width, height = view.region
    assert min(x, y) >= 0
    assert min(width, height) >= 1
    assert x + width <= picture[0]
    assert y + height <= picture[1]
    assert min(view.size) >= 1
    assert view.size[0] * view.size[1] <= most
    assert view.size[0] <= width
    assert view.size[1] <= height
    again = canonical(view, "default", "png", picture, most).removesuffix("/default.png").split("/")
    assert view_of(*again, "default", picture, most) == view


@given(st.tuples(st.integers(1, 9999), st.integers(1, 9999)), st.tuples(st.integers(1, 9999), st.integers(1, 9999)))
def test_what_is_decoded_covers_what_is_shown(one: tuple[int, int], other: tuple[int, int]) -> None:
    size, region = zip(*(sorted(sides) for sides in zip(one, other, strict=True)), strict=True)
    wide, high = View((0, 0, *region), size).covering
    assert size[0] <= wide <= region[0]
    assert size[1] <= high <= region[1]
    assert wide == size[0] or high == size[1]  # no larger than it has to be
