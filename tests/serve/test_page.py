"""The page in a browser: what somebody does there with mouse and keys, and what is seen then."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

import glissando
from natural_pictures import natural_picture

for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client", "httpx"):
    pytest.importorskip(package, reason=f"{package}, which the service or its tests need, is not installed")

from browser import Browser, Tab, found  # noqa: E402
from served import png  # noqa: E402

from glissando.serve.page_files import DECODER  # noqa: E402

CHROMIUM = found()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (CHROMIUM names one)")

DONE = "document.querySelector('#status').textContent.startsWith('Encoded')"
BYTES = "Number(document.querySelector('#row-ours [data-of=bytes]').textContent.replaceAll(',', ''))"


@pytest.fixture(scope="module")
def site(running: Any) -> Iterator[str]:
    """The address of a service."""
    with running() as service:
        yield f"http://127.0.0.1:{service.port}/"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    opened = Browser(CHROMIUM, tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture
def tab(browser: Browser, site: str) -> Iterator[Tab]:
    """The page in a window of its own; it has asked nobody but the service in the end, and nothing went wrong in it."""
    opened = browser.open(1400, 900)
    opened.go(site)
    opened.wait("document.querySelector('#format').options.length > 3")
    yield opened
    assert all(request["url"].startswith((site, "blob:")) for request in opened.requests)
    assert opened.complaints == []


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """160 rows of 240 pixels."""
    return natural_picture(160, 240, seed=5)


def drop(tab: Tab, content: bytes, name: str = "drawn.png") -> None:
    """Let a file fall on the stage."""
    tab.run(f"""(() => {{
        const bytes = Uint8Array.from(atob({base64.b64encode(content).decode()!r}), (c) => c.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], {name!r}));
        for (const kind of ["dragover", "drop"])
            document.querySelector("#stage").dispatchEvent(
                new DragEvent(kind, {{dataTransfer, bubbles: true, cancelable: true}}));
    }})()""")


def text(tab: Tab, selector: str) -> str:
    return str(tab.run(f"document.querySelector({selector!r}).textContent"))


def figure(tab: Tab, row: str, name: str) -> float:
    return float(text(tab, f"#row-{row} [data-of={name}]").replace(",", "").replace("−", "-"))


def pixels(tab: Tab, canvas: str) -> np.ndarray:
    """RGB of a canvas, (height, width, 3)."""
    url = tab.run(f"document.querySelector('#{canvas}').toDataURL('image/png')")
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
        return np.asarray(image.convert("RGB"))


def gliss(tab: Tab) -> bytes:
    """The file that the page lets be saved."""
    return tab.download("#save-gliss", "drawn.gliss")


def at(tab: Tab, x: float, y: float) -> tuple[float, float]:
    """The window's coordinates of a place in the picture, both from 0 to 1."""
    left, top, width, height = tab.box("#ours")
    return left + x * width, top + y * height


def test_a_picture_is_dropped(tab: Tab, picture: np.ndarray) -> None:
    drop(tab, png(picture))
    tab.wait(DONE)
    assert tab.run("document.querySelector('#empty').hidden")
    assert "240 × 160" in text(tab, "#name")
    with glissando.open_model(threads=1) as codec:
        data = codec.encode_analysed(codec.analyse(picture), 60)
    assert figure(tab, "ours", "bytes") == len(data)
    assert figure(tab, "ours", "bpp") == pytest.approx(8 * len(data) / picture.shape[0] / picture.shape[1], abs=1e-3)
    assert figure(tab, "ours", "psnr") > 25
    np.testing.assert_allclose(pixels(tab, "ours").astype(int), glissando.decode(data).astype(int), atol=1)
    np.testing.assert_array_equal(pixels(tab, "other"), picture)
    assert gliss(tab) == data
    with Image.open(io.BytesIO(tab.download("#save-png", "drawn.png"))) as image:
        np.testing.assert_array_equal(np.asarray(image), glissando.decode(data, threads=1))


def test_the_last_of_two_pictures_counts(tab: Tab, picture: np.ndarray) -> None:
    drop(tab, png(picture), "first.png")
    drop(tab, png(picture[:96, ::-1]), "second.png")
    tab.wait(DONE)
    assert text(tab, "#name") == "second.png, 240 × 96"
    assert pixels(tab, "ours").shape == (96, 240, 3)
    assert np.abs(pixels(tab, "ours").astype(int) - picture[:96, ::-1]).mean() < 12


def test_what_is_no_picture_is_told_in_words(tab: Tab) -> None:
    # The browser fails to read it; then the service does, whose answer the console of Chromium notes as well.
    drop(tab, b"no picture at all", "words.txt")
    tab.wait("document.querySelector('#status').classList.contains('wrong')")
    assert "picture" in text(tab, "#status")
    assert [line for line in tab.complaints if "422" in line]
    tab.forgive()


def test_the_quality_is_dragged(tab: Tab, picture: np.ndarray) -> None:
    """Size and scores follow before the slider is let go."""
    drop(tab, png(picture))
    tab.wait(DONE)
    before = figure(tab, "ours", "bytes"), figure(tab, "ours", "psnr")
    x, y, width, height = tab.box("#quality")
    tab.mouse("Pressed", x + 0.6 * width, y + height / 2)
    seen = set()
    for share in (0.5, 0.4, 0.3, 0.2):
        tab.mouse("Moved", x + share * width, y + height / 2)
        tab.wait(f"{BYTES} < {before[0]}")
        seen.add(figure(tab, "ours", "bytes"))
    tab.wait(f"{BYTES} < {min(before[0], *seen) + 1}")
    tab.mouse("Released", x + 0.2 * width, y + height / 2)
    tab.wait(f"!document.querySelector('#stage').ariaBusy && {DONE}")
    quality = tab.run("document.querySelector('#quality').valueAsNumber")
    assert quality == pytest.approx(20, abs=3)
    tab.wait(f"location.hash.includes('quality={quality:g}')")
    assert figure(tab, "ours", "psnr") < before[1]
    tab.wait(f"{BYTES} < {0.6 * before[0]}")


def test_other_formats_of_the_same_size(tab: Tab, picture: np.ndarray) -> None:
    drop(tab, png(picture))
    tab.wait(DONE)
    for format in ("jpeg", "webp", "avif"):
        tab.run(f"""(() => {{ const list = document.querySelector('#format'); list.value = {format!r};
            list.dispatchEvent(new Event('change')); }})()""")
        tab.wait("/^[0-9]/.test(document.querySelector('#row-other [data-of=psnr]').textContent)")
        ours, other = figure(tab, "ours", "bytes"), figure(tab, "other", "bytes")
        assert 0.5 * ours < other <= ours
        assert "quality" in text(tab, "#encoder")
        assert text(tab, "#right").endswith("bytes")
        assert np.abs(pixels(tab, "other").astype(int) - picture).mean() > 0.5  # it is not the original
    # Border: the mouse drags it, keys move it, and a link remembers it.
    x, y, width, _ = tab.box("#border")
    stage = tab.box("#stage")
    tab.drag([(x + width / 2, y + 20), (stage[0] + 0.25 * stage[2], y + 20)])
    assert tab.run("document.querySelector('#border').ariaValueNow") == "25"
    tab.run("document.querySelector('#border').focus()")
    tab.press("ArrowRight", times=5)
    assert tab.run("document.querySelector('#border').ariaValueNow") == "35"
    tab.wait("location.hash.includes('border=35')")


def test_a_format_that_cannot_be_so_small(tab: Tab, picture: np.ndarray) -> None:
    drop(tab, png(picture))
    tab.wait(DONE)
    tab.run("""(() => { for (const [id, value, kind] of [['format', 'jpeg', 'change'], ['quality', '0', 'input'],
        ['quality', '0', 'change']]) { const input = document.getElementById(id); input.value = value;
        input.dispatchEvent(new Event(kind)); } })()""")
    tab.wait("document.querySelector('#right').textContent.includes('not that small')")
    assert "the smallest of this picture has" in text(tab, "#encoder")
    tab.forgive()


def test_importance_is_painted(tab: Tab, picture: np.ndarray) -> None:
    """What is painted white has a higher quality, and gets more of the bits; it can be undone."""
    drop(tab, png(picture))
    tab.wait(DONE)
    tab.click("#bits")
    tab.wait("document.querySelector('#heat').naturalWidth > 0")
    assert "bits per pixel" in text(tab, "#top")
    before = tab.run("document.querySelector('#heat').src")
    tab.click("#paint")
    tab.drag([at(tab, 0.1, 0.2), at(tab, 0.3, 0.5), at(tab, 0.1, 0.8)])
    tab.wait(f"{DONE} && document.querySelector('#heat').src !== {before!r}")
    offsets = glissando.read_importance(gliss(tab))
    assert offsets is not None
    assert offsets.max() == 24
    assert offsets[:, offsets.shape[1] // 2 :].max() == 0
    tab.press("z", modifiers=2)
    tab.wait(f"document.querySelector('#undo').disabled && {DONE}")
    tab.wait("document.querySelector('#stage').ariaBusy === null")
    assert glissando.probe(gliss(tab)).importance is None


def test_keys(tab: Tab, picture: np.ndarray) -> None:
    """All of it without a mouse: a sample, the quality, the view, a dab of importance."""
    names = []
    for _ in range(4):
        tab.press("Tab")
        names.append(tab.run("document.activeElement.dataset.sample ?? document.activeElement.id"))
    assert names == ["open", "parrots", "chart", "stage"]
    drop(tab, png(picture))
    tab.wait(DONE)
    tab.press("+", times=3)
    assert text(tab, "#zoom") == "195 %"
    assert tab.run("getComputedStyle(document.querySelector('#ours')).imageRendering") == "pixelated"
    where = tab.box("#ours")
    tab.press("ArrowRight")
    assert tab.box("#ours")[0] == pytest.approx(where[0] - 40)
    tab.press("ArrowLeft", modifiers=8)
    assert tab.run("document.querySelector('#border').ariaValueNow") == "48"
    tab.press("0")
    assert text(tab, "#zoom") == "100 %"
    tab.run("document.querySelector('#quality').focus()")
    size = figure(tab, "ours", "bytes")
    tab.press("Home")
    tab.wait(f"{BYTES} < {size}")
    tab.run("document.querySelector('#paint').focus()")
    tab.press("Enter")
    assert tab.run("document.activeElement.id") == "stage"
    tab.press("ArrowLeft", times=3)
    tab.press(" ")
    tab.wait("!document.querySelector('#undo').disabled")
    tab.press("Escape")
    assert tab.run("document.activeElement.id") == "paint"
    assert tab.run("document.querySelector('#tools').hidden")


def test_a_target_size_chooses_the_quality(tab: Tab, picture: np.ndarray) -> None:
    drop(tab, png(picture))
    tab.wait(DONE)
    tab.run("document.querySelector('#target').focus()")
    for key in "2kB":
        tab.press(key)
    tab.press("Enter")
    tab.wait(f"{BYTES} <= 2000 && document.querySelector('#quality-shown').value.endsWith('by size')")
    assert figure(tab, "ours", "bytes") > 1950
    tab.wait(f"document.querySelector('#stage').ariaBusy === null && {DONE}")
    assert glissando.probe(gliss(tab)).quality == pytest.approx(
        float(tab.run("document.querySelector('#quality-shown').value").split(",")[0]), abs=0.06
    )


@pytest.mark.skipif(not DECODER.is_file(), reason="no decoder for browsers lies beside the page (docs/service.md)")
def test_the_browser_decodes(tab: Tab, picture: np.ndarray) -> None:
    """Its pixels are within a level of ours, and the service is not asked for them."""
    drop(tab, png(picture))
    tab.wait(DONE)
    assert np.abs(pixels(tab, "ours").astype(int) - glissando.decode(gliss(tab)).astype(int)).max() <= 1
    paths = {urlsplit(request["url"]).path for request in tab.requests}
    assert "/decode" not in paths
    assert "/glissando-web/glissando-web.js" in paths


def test_a_link_restores_everything(browser: Browser, site: str) -> None:
    tab = browser.open(400, 800, dark=True)
    tab.go(f"{site}#sample=chart&quality=31.5&tune=psnr&effort=2&border=70&bits=true&format=webp&strength=oops")
    tab.wait(DONE, 60)
    shown = tab.run(
        """JSON.stringify([...["quality", "effort", "strength", "format"].map((i) => document.getElementById(i).value),
        document.querySelector("[name=tune]:checked").value, document.querySelector("#bits").checked,
        document.querySelector("#border").ariaValueNow])"""
    )
    assert json.loads(shown) == ["31.5", "2", "24", "webp", "psnr", True, "70"]
    assert text(tab, "#name") == "chart.png, 826 × 538"
    info = glissando.probe(tab.download("#save-gliss", "chart.gliss"))
    assert (info.model, info.quality) == ("medium-psnr", 31.5)
    assert tab.complaints == []


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1400, False)])
def test_it_fits_and_can_be_read(browser: Browser, site: str, width: int, dark: bool, tmp_path: Path) -> None:
    """Nothing is wider than the window, every control has a name, and text stands out from what is behind it."""
    tab = browser.open(width, 800, dark)
    tab.go(site)
    assert tab.run("document.documentElement.scrollWidth") == width
    nodes = tab.ask("Accessibility.getFullAXTree")["nodes"]
    controls = [
        n for n in nodes if n["role"]["value"] in ("button", "slider", "checkbox", "radio", "textbox", "combobox")
    ]
    assert len(controls) > 12
    assert [n for n in controls if not n["name"]["value"]] == []
    with Image.open(io.BytesIO(tab.picture())) as shown:
        assert (np.asarray(shown.convert("L")).mean() < 90) == dark
    contrast = tab.run(
        """(() => { const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => v / 255).map(
            (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126*r + 0.7152*g + 0.0722*b; };
          const over = (fore, back) => { const [a, b] = [light(fore), light(back)].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05); };
          const of = (selector) => getComputedStyle(document.querySelector(selector));
          return Math.min(over(of("body").color, of("body").backgroundColor),
            over(of("fieldset .quiet").color, of("fieldset").backgroundColor),
            over(of("#open").color, of("#open").backgroundColor)); })()"""
    )
    assert contrast > 4.5
