"""The report of a comparison: what it says, that it stands alone, that nothing in the results breaks it."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glissando.bench.curves import bd_rows
from glissando.bench.report import embed, write_report
from glissando.bench.report.style import styles
from glissando.bench.results import (
    BDRow,
    CodecInfo,
    Comparison,
    Crop,
    Failure,
    Memory,
    Metric,
    Missing,
    PictureInfo,
    Point,
    PublishedCurve,
    Results,
    Timing,
)
from glissando.machine import Machine
from natural_pictures import natural_picture

# Bits at equal quality against the anchor; seconds per megapixel to encode and decode; megabytes.
CODECS = {
    "glissando:medium": (0.78, 0.9, 1.1, 610.0),
    "glissando:small": (0.93, 0.35, 0.4, 240.0),
    "avif": (1.0, 0.8, 0.02, 90.0),
    "webp": (1.42, 0.25, 0.008, 30.0),
    "jpeg": (2.1, 0.012, 0.006, 8.0),
}
LABELS = {
    "glissando:medium": "Glissando medium",
    "glissando:small": "Glissando small",
    "avif": "AVIF 4:4:4, speed 6",
    "webp": "WebP, method 6",
    "jpeg": "JPEG, 4:2:0",
}
METRICS = [
    Metric("psnr", "PSNR, RGB", "dB", "NumPy, from the 8-bit pixels"),
    Metric("ms-ssim", "MS-SSIM, RGB", "dB", "pytorch-msssim 1.0, as −10 log10(1 − value)"),
    Metric("ssimulacra2", "SSIMULACRA 2", "", "ssimulacra2 0.5"),
]
PICTURES = [PictureInfo(name, 768, 512, f"{k:016x}") for k, name in enumerate(("harbour.png", "wheat.png", "tram.png"))]
NASTY = "<img src=x onerror=alert(1)> & \"quoted\" 'Übergröße' $x_1$ 漢字 " + "long" * 30 + ".png"


def example(folder: Path | None = None) -> Results:
    """Something like what a run over three pictures yields; with a folder, also two comparisons in it."""
    points, timings, memory = [], [], []
    for codec, (bits, encode, decode, megabytes) in CODECS.items():
        for k, picture in enumerate(PICTURES):
            for setting in range(6, 84, 13):
                bpp = bits * (1.0 + 0.25 * k) * 0.06 * 1.035**setting
                quality = 24.0 + 5.2 * math.log2(bpp / bits / 0.06 + 0.4) - 1.3 * k
                learned = 0.4 if codec.startswith("glissando") else 0.0
                scores = {"psnr": quality, "ms-ssim": quality * 0.55 + learned, "ssimulacra2": 3.6 * (quality - 20.0)}
                points.append(
                    Point(codec, picture.name, float(setting), round(bpp * 768 * 512 / 8), bpp, scores)
                )  # fmt: skip
        for size in (0.393, 1.57, 6.29, 24.0):
            timings.append(Timing(codec, size, 60.0, 0.5, encode * size + 0.01, decode * size + 0.003, 5))
        memory += [Memory(codec, size, megabytes * (1 + size), 0.7 * megabytes * (1 + size)) for size in (0.393, 24.0)]
    names = [metric.name for metric in METRICS]
    rates = bd_rows(points, list(CODECS), names, [picture.name for picture in PICTURES], "avif")
    refused = BDRow("jpeg", "ssimulacra2", "", None, None, None, "jpeg and avif share no range of scores")
    return Results(
        version="0.1.0",
        date="2025-06-01T12:00:00Z",
        command="glissando bench pictures --codecs all --threads 2",
        machine=Machine("Example CPU 9000 @ 3.0 GHz", ("AVX2", "AVX-512", "AMX int8"), 8, "Linux x86_64", "3.12.1"),
        threads=2,
        anchor="avif",
        bd_method="piecewise cubic (PCHIP) interpolation of log-rate over the score, over the whole overlap",
        metrics=METRICS,
        codecs=[CodecInfo(name, LABELS[name], f"lib{k} 1.{k}", k < 2, "2") for k, name in enumerate(CODECS)],
        missing=[Missing("vvc", "vvencapp is not on the PATH"), Missing("jxl", "Pillow has no JPEG XL")],
        pictures=PICTURES,
        points=points,
        bd=[refused if (r.codec, r.metric, r.picture) == ("jpeg", "ssimulacra2", "") else r for r in rates],
        timings=timings,
        memory=memory,
        published=[
            PublishedCurve(
                "Cheng 2020 (attention)",
                {"psnr": [[0.09, 28.4], [0.27, 35.4], [0.6, 40.9], [0.8, 42.6], [9.0, 55.0]]},
                "CompressAI, results on Kodak",
            ),
            PublishedCurve("VTM 12", {"psnr": [[0.1, 29.4], [0.5, 39.9], [1.0, 44.6]]}, "CompressAI"),
        ],
        comparisons=[] if folder is None else [comparison(folder, 0, "avif"), comparison(folder, 0, "webp")],
        failures=[Failure("broken.png", "cannot identify image file"), Failure("tram.png", "killed", "webp", 106.0)],
        seconds=754.0,
    )


def comparison(folder: Path, number: int, peer: str, *, width: int = 480, height: int = 320) -> Comparison:
    """Three pictures on the disk: one, the same smoothed, the same in coarse steps."""
    pixels = natural_picture(height, width, seed=number)
    original, step = Image.fromarray(pixels), 16 + 4 * (ord(peer[0]) % 7)
    pictures = {
        f"{number}-original.png": original,
        f"{number}-ours.png": original.resize((width // 2, height // 2)).resize((width, height)),
        f"{number}-{peer}.png": Image.fromarray(np.asarray(pixels // step * step + step // 2, np.uint8)),
    }
    for name, picture in pictures.items():
        picture.save(folder / name)
    original_png, ours_png, peer_png = pictures
    return Comparison(
        picture=PICTURES[number % 3].name,
        ours="glissando:medium",
        peer=peer,
        ours_setting=34.5,
        peer_setting=41.0,
        ours_bytes=12_345,
        peer_bytes=12_301,
        ours_scores={"psnr": 31.42, "ms-ssim": 15.2, "ssimulacra2": 63.214},
        peer_scores={"psnr": 30.11, "ms-ssim": 14.1},
        original_png=original_png,
        ours_png=ours_png,
        peer_png=peer_png,
        crops=[Crop(40, 60, 112, 96), Crop(300, 180, 112, 96), Crop(width - 8, height - 8, 96, 96)],
    )


class _Checker(HTMLParser):
    """Notes what a page refers to, and that its elements are closed in order."""

    VOID = frozenset({"meta", "img", "input", "source", "br", "link", "hr", "path", "polygon"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "xlink:href")
        ]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(page: Path) -> _Checker:
    checker = _Checker()
    checker.feed(page.read_text(encoding="utf-8"))
    checker.close()
    assert not checker.open
    assert len(checker.ids) == len(set(checker.ids))
    for link in checker.links:
        assert link.startswith(("data:", "#", "./")), link[:100]
        if link.startswith("#"):
            assert link[1:] in checker.ids
    return checker


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(example(folder), folder)


def test_what_is_written(report: Path) -> None:
    folder = report.parent
    assert report.name == "index.html"
    results = Results.from_json((folder / "results.json").read_text(encoding="utf-8"))
    assert results == example(folder)
    charts = {path.name for path in folder.glob("*.png") if not path.name.startswith("0-")}
    assert charts == {*(f"rate-distortion-{metric.name}.png" for metric in METRICS), "speed.png", "cost.png"}
    for name in charts:
        with Image.open(folder / name) as chart:
            assert chart.width >= 1400
            assert np.asarray(chart.convert("L")).std() > 10
    assert not [path for path in folder.iterdir() if path.suffix == ".tmp"]


def test_it_says_it_all(report: Path) -> None:
    checker = checked(report)
    results = example()
    text = checker.text
    for codec in results.codecs:
        assert codec.label in text
        assert codec.version in text
    for metric in results.metrics:
        assert metric.label in text
        assert metric.source in text
    for said in (
        *("Example CPU 9000 @ 3.0 GHz", "AVX2, AVX-512, AMX int8", results.command, results.date, results.bd_method),
        *("vvencapp is not on the PATH", "Pillow has no JPEG XL", "cannot identify image file", "killed"),
        *("Cheng 2020 (attention)", "CompressAI, results on Kodak", "jpeg and avif share no range of scores"),
        *("22.0 % fewer", "−22.0 %", "+110.0 %", "12\u202f345", "12\u202f301", "31.42 dB", "+1.31 dB", "63.21"),
    ):
        assert said in text, said
    table = text[text.index("is faster.") : text.index("Not here")]
    rank = [table.index(LABELS[name]) for name in CODECS]
    assert rank == sorted(rank)


def test_it_refers_to_nothing_outside(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    embedded = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", page)
    assert len(embedded) == 2 * 5
    drawings = [base64.b64decode(text).decode("utf-8") for text in embedded]
    rest = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "", page)
    for part in (rest, *drawings):
        without_namespaces = re.sub(r'xmlns(:xlink)?="http://www\.w3\.org/[0-9a-z/]+"', "", part)
        assert not re.search(r"(https?|wss?|ftp|file):|@import|(?<![*\w ])//[a-z]", without_namespaces)
    assert "default-src 'none'" in rest


def test_what_is_compared_is_exactly_the_decoded_pixels(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    embedded = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))
        for text in re.findall(r"data:image/webp;base64,([A-Za-z0-9+/=]+)", page)
    ]
    files = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(report.parent.glob("0-*.png"))]
    assert len(embedded) == len(files) == 4  # the original and ours are shared by two comparisons
    for pixels in files:
        assert sum(np.array_equal(pixels, other) for other in embedded) == 1


def test_the_page_is_the_same_every_time(report: Path, tmp_path: Path) -> None:
    again = write_report(example(tmp_path), tmp_path)
    assert again.read_bytes() == report.read_bytes()


def _without(**fields: Any) -> Results:
    """The example with other fields, and of one metric only, as charts take long to draw."""
    return dataclasses.replace(example(), **{"metrics": METRICS[:1], **fields})


def _one_codec() -> Results:
    full = example()
    keep = "glissando:medium"
    return dataclasses.replace(
        full,
        anchor=keep,
        codecs=full.codecs[:1],
        **{k: [x for x in getattr(full, k) if x.codec == keep] for k in ("points", "bd", "timings", "memory")},
    )


BARE = {"points": [], "bd": [], "timings": [], "memory": [], "published": [], "comparisons": []}
ODD: dict[str, Results] = {
    "a metric without points": _without(
        metrics=METRICS[:2],
        timings=[],
        points=[dataclasses.replace(p, scores={"psnr": p.scores["psnr"]}) for p in example().points],
    ),
    "no points": _without(**BARE),
    "failures only": _without(codecs=[], pictures=[], **BARE),
    "no metrics": _without(metrics=[], bd=[], points=[dataclasses.replace(p, scores={}) for p in example().points]),
    "one codec": _one_codec(),
    "no timings": _without(timings=[]),
    "one size": _without(timings=[t for t in example().timings if t.megapixels == 24.0]),
    "sizes of their own": _without(
        timings=[dataclasses.replace(t, megapixels=t.megapixels + 0.001 * len(t.codec)) for t in example().timings],
        memory=[dataclasses.replace(m, megapixels=m.megapixels + 0.001 * len(m.codec)) for m in example().memory],
    ),
    "no memory": _without(memory=[]),
    "nothing published": _without(published=[]),
    "nothing but the table": _without(timings=[], memory=[], published=[], missing=[], failures=[], pictures=[]),
    "all refused": _without(bd=[BDRow(c, "psnr", "", None, None, None, f"{c}: none") for c in CODECS]),
    "no anchor": _without(anchor="vvc", bd=[]),
    "one point a codec": _without(points=[p for p in example().points if p.setting == 45.0], bd=[]),
    "a codec that missed a picture": _without(
        points=[p for p in example().points if (p.codec, p.picture) != ("webp", "tram.png")]
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_nothing_in_the_results_breaks_it(name: str, tmp_path: Path) -> None:
    checker = checked(write_report(ODD[name], tmp_path))
    for codec in ODD[name].codecs:
        assert codec.label in checker.text
    if ODD[name].missing:
        assert "vvencapp is not on the PATH" in checker.text
    assert not re.search(r"\bnan\b|\binf\b|None|Infinity", checker.text)


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    rename = {picture.name: NASTY.replace(".png", f"-{picture.name}") for picture in PICTURES}
    full = example(tmp_path)
    for compared in full.comparisons:
        (tmp_path / compared.original_png).rename(tmp_path / "# 100 % ü 'o' \"x\" <b>.png")
        break
    odd = dataclasses.replace(
        full,
        timings=[],
        command=f"glissando bench '{NASTY}' </script><script>alert(1)</script>",
        pictures=[dataclasses.replace(p, name=rename[p.name]) for p in full.pictures],
        points=[dataclasses.replace(p, picture=rename[p.picture]) for p in full.points],
        bd=[dataclasses.replace(b, picture=rename.get(b.picture, "")) for b in full.bd],
        codecs=[dataclasses.replace(c, label=f"<i>{c.label}</i> $x^2$ 漢") for c in full.codecs],
        comparisons=[
            dataclasses.replace(c, picture=rename[c.picture], original_png="# 100 % ü 'o' \"x\" <b>.png")
            for c in full.comparisons
        ],
        failures=[Failure(NASTY, "<b>no</b>"), Failure("not-utf8-\udcff.png", "\udcfe")],
    )
    page = write_report(odd, tmp_path)
    checker = checked(page)
    assert "i" not in checker.tags
    assert checker.tags.count("script") == 1
    assert NASTY in checker.text
    assert "./%23%20100%20%25%20%C3%BC%20%27o%27%20%22x%22%20%3Cb%3E.png" in checker.links
    assert html.escape(NASTY) in page.read_text(encoding="utf-8")


def test_no_two_codecs_look_alike() -> None:
    """In the scatter charts a point has no dashes: colour and marker must tell."""
    some = [CodecInfo(f"codec-{k}", f"Codec {k}", "1", k < 3, "1") for k in range(25)]
    drawn = styles(dataclasses.replace(example(), codecs=some)).values()
    assert len({(style.colour, style.marker) for style in drawn}) == 25


def test_infinity_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    point = dataclasses.replace(example().points[0], scores={"psnr": math.inf})
    with pytest.raises(ValueError, match="JSON"):
        write_report(_without(points=[point]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_large_pictures_become_an_overview_and_exact_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "WHOLE_PIXELS", 100_000)
    monkeypatch.setattr(embed, "EDGES", (240,))
    page = write_report(_without(comparisons=example(tmp_path).comparisons), tmp_path).read_text(encoding="utf-8")
    assert "Scaled down from 480 × 320 to 240 × 160 pixels" in page
    embedded = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))
        for text in re.findall(r"data:image/webp;base64,([A-Za-z0-9+/=]+)", page)
    ]
    crop = np.asarray(Image.open(tmp_path / "0-ours.png"))[60:156, 40:152]
    assert any(np.array_equal(crop, other) for other in embedded)


def test_pictures_stay_within_their_budget(tmp_path: Path) -> None:
    for budget in (0, 50_000, 400_000, 10_000_000):
        gallery = embed.Gallery(tmp_path, 2, budget)
        for number in range(2):
            gallery.add(comparison(tmp_path, number, "avif", width=240, height=160))
        assert len(gallery.css()) <= budget
    assert gallery.css().count("data:") == 6


def test_pictures_that_cannot_be_shown_are_said_to_be_so(tmp_path: Path) -> None:
    full = example(tmp_path)
    (tmp_path / "0-avif.png").unlink()
    Image.new("RGB", (3, 3)).save(tmp_path / "0-webp.png")
    text = checked(write_report(_without(comparisons=full.comparisons), tmp_path)).text
    assert "No such file" in text
    assert "differ in size" in text


# In a browser.

BROWSER = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
browser = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the PATH")

# Records what goes wrong, then uses the page as a reader would, and leaves what it saw in the title.
PROBE = """<script>
window.wrong = [];
addEventListener("error", (event) => wrong.push(event.message || event.target.tagName), true);
addEventListener("securitypolicyviolation", (event) => wrong.push(event.violatedDirective));
addEventListener("load", () => {
  const stage = document.querySelector(".stage"), range = stage.querySelector("input");
  range.value = 25; range.dispatchEvent(new Event("input"));
  const cut = getComputedStyle(stage.querySelector(".layer.ours")).clipPath;
  const button = document.querySelector("button.original"); button.click();
  const original = getComputedStyle(stage.querySelector(".layer.original")).visibility;
  button.click();
  for (const details of document.querySelectorAll("details")) details.open = true;
  const select = document.querySelector(".choose select");
  select.selectedIndex = 1; select.dispatchEvent(new Event("change"));
  const seen = [...document.querySelectorAll("[data-choice]")].map((part) => part.hidden).join();
  const images = [...document.images].every((image) => image.complete && image.naturalWidth > 0);
  const root = document.documentElement;
  document.title = JSON.stringify({wrong, cut, original, seen, images, text: range.getAttribute("aria-valuetext"),
    fits: root.scrollWidth <= root.clientWidth, scripted: root.className, requests: performance.getEntriesByType(
    "resource").filter((entry) => !entry.name.startsWith("data:")).map((entry) => entry.name)});
});
</script>"""


def chromium(*options: str, profile: Path) -> str:
    assert BROWSER is not None
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--hide-scrollbars"),
        *("--enable-logging=stderr", "--v=0", f"--user-data-dir={profile}", *options),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
    return done.stdout


@browser
@pytest.mark.parametrize("width", [1400, 400])
def test_it_works_in_a_browser(report: Path, tmp_path: Path, width: int) -> None:
    page = report.read_text(encoding="utf-8").replace('<meta charset="utf-8">', f'<meta charset="utf-8">{PROBE}')
    probed = tmp_path / "probed.html"
    probed.write_text(page, encoding="utf-8")
    # No window is narrower than 500 pixels: a frame is.
    framed = tmp_path / "framed.html"
    framed.write_text(
        f'<body style="margin:0"><iframe id=f style="width:{width}px;height:2000px;border:0"></iframe><script>'
        "f.onload = () => setTimeout(() => { document.body.append(f.contentDocument.title); }, 300);"
        'f.src = "probed.html";</script>'
    )
    dom = chromium(
        *("--allow-file-access-from-files", "--virtual-time-budget=4000", "--dump-dom", framed.as_uri()),
        profile=tmp_path / "profile",
    )
    found = re.search(r"(\{\"wrong\".*\})", html.unescape(dom))
    assert found, dom[-2000:]
    assert json.loads(found[1]) == {
        **{"wrong": [], "requests": [], "images": True, "fits": True, "scripted": "js"},
        **{"cut": "inset(0px 75% 0px 0px)", "original": "visible", "seen": "true,false,true"},
        "text": "25 % Glissando medium",
    }


@browser
@pytest.mark.parametrize("width", [1400, 400])
def test_it_can_be_looked_at(report: Path, tmp_path: Path, width: int) -> None:
    framed = tmp_path / "framed.html"
    framed.write_text(
        f'<body style="margin:0;background:#fff"><iframe src="{report.as_uri()}" '
        f'style="width:{width}px;height:3000px;border:0"></iframe>'
    )
    shot = tmp_path / "shot.png"
    chromium(
        *(f"--screenshot={shot}", f"--window-size={max(width, 500)},3000", "--virtual-time-budget=4000"),
        framed.as_uri(),
        profile=tmp_path / "profile",
    )
    with Image.open(shot) as picture:
        assert picture.size == (max(width, 500), 3000)
        pixels = np.asarray(picture.convert("RGB"))[:, :width]
    for part in np.array_split(pixels, 6):  # something everywhere, and everywhere some paper
        assert part.std() > 10
        assert (part == 255).all(-1).mean() > 0.05
