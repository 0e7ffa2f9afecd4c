"""What the page asks of the service: previews, scores, bits, and other formats of the same size."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glissando

for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client", "httpx"):
    pytest.importorskip(package, reason=f"{package}, which the service or its tests need, is not installed")

from served import pixels_of, png  # noqa: E402

from glissando.serve.jobs import Codecs  # noqa: E402
from glissando.serve.kept import MOST_PIXELS, KeptPictures  # noqa: E402
from glissando.serve.previews import PreviewJob  # noqa: E402


def about(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return json.loads(answer.headers["glissando-about"])


def test_a_preview_is_the_file_of_the_quality(service: Any, photo: np.ndarray) -> None:
    with glissando.open_model(threads=1) as codec:
        analysed = codec.analyse(photo)
        for quality in (20, 75.5):
            answer = service.client.post(f"/preview?quality={quality}", content=png(photo))
            assert answer.status_code == 200, answer.text
            assert answer.content == codec.encode_analysed(analysed, quality)


def test_a_preview_takes_what_encode_takes(service: Any, photo: np.ndarray) -> None:
    def post(query: str, **files: bytes) -> bytes:
        answer = service.client.post(f"/preview?{query}", files={"picture": png(photo), **files})
        assert answer.status_code == 200, answer.text
        return bytes(answer.content)

    for query in ("target_size=1kB", "lossless=1", "quality=90&max_size=900"):
        assert post(query) == service.client.post(f"/encode?{query}", content=png(photo)).content
    assert glissando.probe(post("tune=psnr")).model == "medium-psnr"
    mask = np.zeros((30, 45), np.uint8)
    mask[:, :20] = 255
    painted = post("quality=50&strength=20&keep_size=1", importance=png(mask))
    assert glissando.probe(painted).importance is not None
    assert len(painted) == pytest.approx(len(post("quality=50")), rel=0.02)
    answer = service.client.post("/preview?strength=20", content=png(photo))
    assert (answer.status_code, answer.json()["error"]) == (400, "InputError")


def test_a_picture_is_analysed_once(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from glissando.codec import Codec

    count = 0
    analyse = Codec.analyse

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        return analyse(*arguments, **options)

    monkeypatch.setattr(Codec, "analyse", counted)
    codecs = Codecs(threads=1)
    for quality, picture in ((20, photo), (30, photo), (40, photo[::-1]), (50, photo)):
        job = PreviewJob(png(picture), None, {"quality": quality}, None, None, None, False, 10**6, 60.0)
        assert glissando.probe(job.run(codecs).value).quality == quality
    assert count == 2


def test_kept_pictures_are_bounded() -> None:
    kept = KeptPictures()
    side = int((MOST_PIXELS / 2) ** 0.5)
    files = [png(np.full((side, side), level, np.uint8)) for level in range(3)]
    found = [kept.of(file, convert=False, max_pixels=MOST_PIXELS) for file in files]
    assert kept.of(files[2], convert=False, max_pixels=MOST_PIXELS) is found[2]
    assert kept.of(files[1], convert=False, max_pixels=MOST_PIXELS) is found[1]
    assert kept.of(files[0], convert=False, max_pixels=MOST_PIXELS) is not found[0]
    large = png(np.zeros((2 * side, side + 10), np.uint8))
    assert kept.of(large, convert=False, max_pixels=10**9) is not kept.of(large, convert=False, max_pixels=10**9)
    for level in range(4):
        found[0].keep_analysis(level, object())  # type: ignore[arg-type]
    assert [found[0].analysis(level) is None for level in range(4)] == [True, True, False, False]


def test_scores_are_those_of_the_codec(service: Any, photo: np.ndarray, coded: bytes) -> None:
    from glissando.codec.scores import Ssimulacra2, psnr

    shown = glissando.decode(coded)
    found = service.client.post("/scores", files={"picture": png(photo), "file": coded}).json()
    assert found["psnr"] == pytest.approx(psnr(photo, shown, 8), abs=1e-3)
    assert found["ssimulacra2"] == pytest.approx(Ssimulacra2(photo, 8)(shown), abs=1e-3)
    exact = glissando.encode(photo, lossless=True)
    assert service.client.post("/scores", files={"picture": png(photo), "file": exact}).json() == {
        "psnr": None,
        "ssimulacra2": pytest.approx(100, abs=1e-3),
    }


def test_scores_are_of_one_picture(service: Any, photo: np.ndarray, coded: bytes) -> None:
    for files in ({"picture": png(photo[:50]), "file": coded}, {"picture": png(photo[:, :, 0]), "file": coded}):
        answer = service.client.post("/scores", files=files)
        assert (answer.status_code, answer.json()["error"]) == (400, "InputError")
    answer = service.client.post("/scores", files={"picture": png(photo)})
    assert answer.status_code == 400
    assert "'file'" in answer.json()["detail"]


def test_opacity_is_left_out_of_scores(service: Any, photo: np.ndarray) -> None:
    alpha = np.full((*photo.shape[:2], 1), 255, np.uint8)
    alpha[:20] = 0
    picture = png(np.concatenate([photo, alpha], axis=2))
    coded = service.client.post("/preview", content=picture).content
    found = service.client.post("/scores", files={"picture": picture, "file": coded}).json()
    assert found["psnr"] > 25  # colours below transparent pixels come back black
    answer = service.client.post("/compare?format=jpeg&bytes=4000", content=picture)
    assert about(answer)["bytes"] <= 4000
    assert "opacity" in json.loads(answer.headers["glissando-notes"])[0]


def test_bits_are_those_of_the_file(service: Any, photo: np.ndarray) -> None:
    answer = service.client.post("/bits?quality=50", content=png(photo))
    found = about(answer)
    assert found["side"] == 16
    assert pixels_of(answer.content).shape == (4, 6, 3)
    with glissando.open_model(threads=1) as codec:
        bits = codec.bits_per_latent(codec.analyse(photo), 50)
    assert found["bits"] == pytest.approx(bits.sum())
    assert found["top"] == pytest.approx(bits.max() / 16**2)
    assert service.client.post("/bits?target_size=1kB", content=png(photo)).status_code == 400


def test_painting_moves_bits(service: Any, photo: np.ndarray) -> None:
    def left_and_right(mask: np.ndarray) -> tuple[float, float]:
        answer = service.client.post(
            "/bits?quality=50&keep_size=1&strength=40", files={"picture": png(photo), "importance": png(mask)}
        )
        shown = pixels_of(answer.content).astype(float).sum(axis=2)
        return shown[:, :3].mean(), shown[:, 3:].mean()

    mask = np.zeros((60, 90), np.uint8)
    mask[:, :45] = 255
    left, right = left_and_right(mask)
    assert left > 1.5 * right
    left, right = left_and_right(255 - mask)
    assert right > 1.5 * left


def test_offers(service: Any) -> None:
    found = service.client.get("/offers").json()
    assert (found["max_effort"], found["max_bytes"], found["max_pixels"]) == (10, 300_000, 100_000)
    assert isinstance(found["decoder"], bool)
    formats = service.client.get("/compare").json()
    assert {"jpeg", "webp", "avif"} <= set(formats)
    assert all(each["encoder"] and each["version"] for each in formats.values())


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif", "jxl"])
def test_other_formats_have_no_more_bytes(service: Any, photo: np.ndarray, format: str) -> None:
    """The setting above the one that is found makes a file that is too large; another size starts from known ones."""
    from glissando.bench.codecs import open_codec, registered
    from glissando.serve.comparisons import FORMATS

    if format not in service.client.get("/compare").json():
        pytest.skip(f"no encoder of {format} is installed")
    for most in (2500, 1600):
        answer = service.client.post(f"/compare?format={format}&bytes={most}", content=png(photo))
        found = about(answer)
        name = next(name for name in FORMATS[format] if registered()[name].label == found["encoder"])
        codec = open_codec(name, 1)
        data = codec.encode(photo, found["setting"])
        assert len(data) == found["bytes"] <= most
        assert found["setting"] == 100 or len(codec.encode(photo, found["setting"] + 1)) > most
        np.testing.assert_array_equal(pixels_of(answer.content), codec.decode(data))
        assert found["psnr"] == pytest.approx(
            10 * np.log10(255**2 / np.mean((photo.astype(float) - codec.decode(data)) ** 2)), abs=0.01
        )


def test_a_format_that_cannot_become_so_small(service: Any, photo: np.ndarray) -> None:
    answer = service.client.post("/compare?format=jpeg&bytes=100", content=png(photo))
    assert (answer.status_code, answer.json()["error"]) == (422, "TargetError")
    assert "the smallest of this picture has" in answer.json()["detail"]
    for query in ("format=gif&bytes=100", "format=jpeg", "bytes=100"):
        assert service.client.post(f"/compare?{query}", content=png(photo)).status_code == 400


def test_original_is_upright_and_readable(service: Any, photo: np.ndarray) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned clockwise
    Image.fromarray(np.rot90(photo)).save(out, "TIFF", exif=exif)
    answer = service.client.post("/original", content=out.getvalue())
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(pixels_of(answer.content), photo)


def test_the_page_may_ask_nobody_else(service: Any) -> None:
    policy = service.client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "://" not in policy
    assert "unsafe-inline" not in policy
