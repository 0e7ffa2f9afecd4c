"""The plugin for Pillow, by the habits of Pillow's own tests of formats; imageio and scikit-image through it."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError

import glissando.pillow
from glissando.codec.reduction import fitting
from glissando.errors import InputError, PictureWarning
from glissando.picture import Cicp, Density, Picture

GOLDEN = Path(__file__).parents[1] / "golden"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(image: Image.Image, **options: Any) -> io.BytesIO:
    out = io.BytesIO()
    image.save(out, "GLISSANDO", **options)
    out.seek(0)
    return out


def image_of(mode: str, width: int = 40, height: int = 30) -> Image.Image:
    """An image in which every sample is random, so that opacity is not all opaque."""
    random = np.random.default_rng(5)
    if mode.startswith("I;16"):
        return Image.frombytes(mode, (width, height), random.bytes(2 * width * height))
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (width, height), random.bytes(bands * width * height))


@pytest.fixture
def exif() -> Image.Exif:
    made = Image.Exif()
    made[ExifTags.Base.Make] = "Glass"
    return made


# Opening -----------------------------------------------------------------------------------------------


def test_opening_reads_the_header_alone() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            Counted.taken += len(data)
            return data

    big = glissando.encode(Picture(np.asarray(image_of("RGB", 200, 200)), icc=SRGB), lossless=True)
    stream = Counted(big)
    with Image.open(stream) as image:
        assert (image.format, image.mode, image.size) == ("GLISSANDO", "RGB", (200, 200))
        assert image.info["icc_profile"] == SRGB
        assert image.get_format_mimetype() == "image/vnd.glissando"
        assert Counted.taken < 3000 + len(SRGB) < len(big) / 10
        image.load()
    assert stream.closed is False


def test_opening_loads_no_engine() -> None:
    code = (
        f"import sys, glissando.pillow; from PIL import Image; image = Image.open({str(GOLDEN / 'medium-80.gliss')!r});"
        "print(image.size, image.mode, 'openvino' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(96, 80) RGB False False"


def test_pixels_are_those_of_decode() -> None:
    path = GOLDEN / "medium-80.gliss"
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), glissando.decode(path))
        assert image.fp is None  # as Pillow does, the file is closed once it is loaded
    with path.open("rb") as stream, Image.open(stream) as image:
        image.load()
        assert not stream.closed


def test_a_file_is_opened_several_times() -> None:
    path = GOLDEN / "lossless.gliss"
    one, two = Image.open(path), Image.open(path)
    two.load()
    one.load()
    assert one.tobytes() == two.tobytes()
    stream = io.BytesIO(path.read_bytes())
    three, four = Image.open(stream), Image.open(stream)
    assert three.tobytes() == four.tobytes() == one.tobytes()


def test_images_are_copied_pickled_and_changed() -> None:
    image = Image.open(GOLDEN / "lossless.gliss")
    again = pickle.loads(pickle.dumps(image))
    assert again.tobytes() == image.copy().tobytes() == image.tobytes()
    for name in ("lossless", "noise"):  # RGB, and LA
        image = Image.open(GOLDEN / f"{name}.gliss")
        image.load()
        before = image.tobytes()
        image.putpixel((3, 2), (1, 2, 3)[: len(image.getbands())])
        assert image.getpixel((3, 2)) == (1, 2, 3)[: len(image.getbands())]
        assert Image.open(GOLDEN / f"{name}.gliss").tobytes() == before


def test_a_file_that_comes_piece_by_piece() -> None:
    data = (GOLDEN / "lossless.gliss").read_bytes()
    parser = ImageFile.Parser()
    for start in range(0, len(data), 1000):
        parser.feed(data[start : start + 1000])
    assert parser.close().tobytes() == Image.open(io.BytesIO(data)).tobytes()


def test_thumbnail() -> None:
    with Image.open(GOLDEN / "lossless.gliss") as image:
        image.thumbnail((20, 20))
        assert image.size == (20, 17)


def test_draft_decodes_the_nearest_reduction(monkeypatch: pytest.MonkeyPatch) -> None:
    data = glissando.encode(np.full((420, 600, 3), 77, np.uint8), lossless=True)
    asked = []
    decode = glissando.api.decode
    monkeypatch.setattr("glissando.api.decode", lambda *a, **k: asked.append(k["max_size"]) or decode(*a, **k))
    for size, reduced in (((100, 70), (75, 53)), ((140, 99), (150, 105)), ((1, 1), (38, 27)), ((600, 420), None)):
        with Image.open(io.BytesIO(data)) as image:
            found = image.draft("RGB", size)
            assert found == (None if reduced is None else ("RGB", (0, 0, *image.size)))
            assert image.draft("RGB", (1, 1)) is None or reduced is None
            if reduced is not None:
                image.load()
                assert image.size == fitting(600, 420, reduced)
                assert image.getpixel((0, 0)) == (77, 77, 77)
                assert asked[-1] == reduced


def test_closed_images_cannot_be_loaded() -> None:
    with Image.open(GOLDEN / "lossless.gliss") as image:
        pass
    with pytest.raises(ValueError, match="closed image"):
        image.load()


# Modes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "opened"),
    [
        *((mode, mode) for mode in ("L", "LA", "RGB", "RGBA", "I;16")),
        *(("1", "L"), ("P", "RGB"), ("PA", "RGBA"), ("RGBX", "RGB"), ("I;16B", "I;16")),
    ],
)
def test_modes_come_back(mode: str, opened: str, tmp_path: Path) -> None:
    image = image_of("RGB").quantize(40) if mode == "P" else image_of("L" if mode == "PA" else mode)
    if mode == "PA":
        image = image_of("RGB").quantize(40)
        image.putalpha(image_of("L"))
    image.save(tmp_path / "a.gliss", lossless=True)
    with Image.open(tmp_path / "a.gliss") as again:
        assert again.mode == opened
        same = mode == opened or opened == "I;16"
        np.testing.assert_array_equal(np.asarray(again), np.asarray(image if same else image.convert(opened)))


def test_a_palette_with_a_transparent_colour() -> None:
    image = image_of("RGB").quantize(8)
    image.info["transparency"] = 3
    again = Image.open(saved(image, lossless=True))
    assert again.mode == "RGBA"
    assert (np.asarray(again)[..., 3] == 0).tolist() == (np.asarray(image) == 3).tolist()


@pytest.mark.parametrize("mode", ["F", "I", "CMYK", "LAB"])
def test_modes_that_no_file_holds(mode: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"cannot write mode {mode} as Glissando"):
        Image.new(mode, (8, 8)).save(tmp_path / "a.gliss")
    assert not (tmp_path / "a.gliss").exists()


def test_conversions_are_told() -> None:
    with pytest.warns(PictureWarning, match="CMYK") as told:
        again = Image.open(saved(Image.new("CMYK", (8, 8)), convert=True))
    assert told[0].filename == __file__
    assert again.mode == "RGB"


def test_deep_samples() -> None:
    """White stays white whatever the depth; of colours Pillow has 8 bits, which a warning tells."""
    grey = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    image = Image.open(io.BytesIO(glissando.encode(Picture(grey, depth=12), lossless=True)))
    assert image.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(image), (grey.astype(np.uint32) * 65535 + 2047) // 4095)
    deep = np.asarray(image_of("I;16"))
    colours = np.dstack([deep, deep[::-1], deep[:, ::-1]])
    image = Image.open(io.BytesIO(glissando.encode(colours, lossless=True)))
    with pytest.warns(PictureWarning, match="16 bits are rounded to 8") as told:
        image.load()
    assert told[0].filename == __file__
    np.testing.assert_array_equal(np.asarray(image), np.rint(colours / 257).astype(np.uint8))


# Options -----------------------------------------------------------------------------------------------


def test_options_reach_the_encoder(tmp_path: Path) -> None:
    image = Image.open(GOLDEN.parents[1] / "samples" / "kodim23.png").crop((0, 0, 128, 96))
    pixels = np.asarray(image)
    for options in ({}, {"quality": 12.5}, {"quality": 30, "tune": "psnr"}, {"lossless": True}, {"model": "vae"}):
        image.save(tmp_path / "a.gliss", **options)
        assert (tmp_path / "a.gliss").read_bytes() == glissando.encode(pixels, **options)
    image.save(tmp_path / "a.gliss", quality=40, subsampling=0, optimize=True)  # what other formats know is passed over
    assert glissando.probe(tmp_path / "a.gliss").quality == 40
    for wrong in ({"quality": 101}, {"tune": "ear"}, {"effort": 11}):
        with pytest.raises(InputError):
            image.save(tmp_path / "b.gliss", **wrong)
    assert not (tmp_path / "b.gliss").exists()


def test_a_file_is_saved_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.gliss"
    path.write_bytes((GOLDEN / "lossless.gliss").read_bytes())
    image = Image.open(path)
    image.save(path, lossless=True)
    assert Image.open(path).tobytes() == Image.open(GOLDEN / "lossless.gliss").tobytes()


# Metadata ----------------------------------------------------------------------------------------------


def test_metadata_travel_through_pillow(exif: Image.Exif) -> None:
    given = {"icc_profile": SRGB, "exif": exif, "xmp": b"<x:xmpmeta/>", "dpi": (300, 150), "comment": "At the lake"}
    image = Image.open(saved(image_of("RGB"), **given))
    assert image.info["icc_profile"] == SRGB
    assert image.getexif()[ExifTags.Base.Make] == "Glass"
    assert image.info["xmp"] == b"<x:xmpmeta/>"
    assert image.info["dpi"] == (300, 150)
    assert image.info["comment"] == "At the lake"
    for same in (image, image.copy()):  # nothing has to be said again
        assert Image.open(saved(same)).info == image.info
    pickled = Image.open(saved(pickle.loads(pickle.dumps(image))))
    assert pickled.info == image.info
    dropped = Image.open(saved(image, icc_profile=None, exif=b"", xmp=None, dpi=None, comment=None))
    assert dropped.info == {}
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", exif=image.info["exif"], icc_profile=image.info["icc_profile"])
    assert Image.open(jpeg).getexif()[ExifTags.Base.Make] == "Glass"


def test_metadata_that_pillow_has_no_place_for_stay() -> None:
    picture = Picture(
        np.asarray(image_of("RGB")),
        cicp=Cicp(12, 13),
        density=Density(3, 2, metric=False),
        text=(("Comment", "a"), ("Author", "b")),
        iptc=b"\x1c\x02\x05\0\x01a",
    )
    image = Image.open(io.BytesIO(glissando.encode(picture)))
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])))
    assert (image.info["aspect"], image.info["comment"], image.text) == ((3, 2), "a", {"Comment": "a", "Author": "b"})
    again = Image.open(saved(image))
    assert again.metadata == image.metadata
    image.info["icc_profile"] = SRGB  # as a conversion of colours by ImageCms leaves it
    again = Image.open(saved(image))
    assert (again.metadata.icc, again.metadata.cicp, again.metadata.text) == (SRGB, None, picture.text)
    resized = Image.open(saved(image.resize((20, 15))))
    assert (resized.info["icc_profile"], resized.info["comment"]) == (SRGB, "a")


def test_colours_that_pillow_cannot_be_told() -> None:
    """Primaries that ITU-T H.273 has not defined yet have no profile, and stay in the file all the same."""
    data = glissando.encode(Picture(np.asarray(image_of("RGB")), cicp=Cicp(200, 8)))
    with pytest.warns(PictureWarning, match="no ICC profile") as told:
        image = Image.open(io.BytesIO(data))
    assert told[0].filename == __file__
    assert Image.open(saved(image)).metadata.cicp == Cicp(200, 8)


def test_an_orientation_is_applied(exif: Image.Exif) -> None:
    exif[ExifTags.Base.Orientation] = 6
    image = image_of("RGB")
    again = Image.open(saved(image, lossless=True, exif=exif))
    assert again.getexif().get(ExifTags.Base.Orientation, 1) == 1
    np.testing.assert_array_equal(np.asarray(again), np.rot90(np.asarray(image), -1))


def test_changed_exif_counts(exif: Image.Exif) -> None:
    image = Image.open(saved(image_of("L"), exif=exif))
    image.getexif()[ExifTags.Base.Make] = "Other"
    assert Image.open(saved(image)).getexif()[ExifTags.Base.Make] == "Other"


# Damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["medium-80", "lossless", "transparent", "vae-30", "content-weighted-30"])
def test_verify(name: str) -> None:
    data = (GOLDEN / f"{name}.gliss").read_bytes()
    Image.open(io.BytesIO(data)).verify()
    for place in (len(data) - 3, len(data) - len(data) // 8):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        image = Image.open(io.BytesIO(damaged))
        with pytest.raises(OSError, match="tile"):
            image.verify()
    image = Image.open(io.BytesIO(data))
    image.load()
    with pytest.raises(RuntimeError, match="directly after open"):
        image.verify()


@pytest.mark.parametrize("name", ["medium-80", "lossless"])
def test_truncated_files(name: str) -> None:
    data = (GOLDEN / f"{name}.gliss").read_bytes()
    header = glissando.probe(data).parts["header"]
    for length in (header, len(data) - 1):
        image = Image.open(io.BytesIO(data[:length]))
        assert image.size == (96, 80)
        with pytest.raises(OSError, match="bytes"):
            image.load()
        with pytest.raises(OSError, match="bytes"):
            Image.open(io.BytesIO(data[:length])).verify()
    for length in range(16, header, 5):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(data[:length]))


def test_what_is_no_file_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"\x89GLX\r\n\x1a\n" + bytes(100)))
    path = tmp_path / "newer.gliss"
    path.write_bytes(b"\x89GLS\r\n\x1a\n\x02" + bytes(100))
    with pytest.raises(UnidentifiedImageError, match=r"newer.gliss.*version"):
        Image.open(path)


def test_a_missing_model_is_named() -> None:
    data = bytearray((GOLDEN / "medium-80.gliss").read_bytes())
    from zlib import crc32

    end = glissando.probe(bytes(data)).parts["header"]
    data[10:18] = b"unknown!"
    data[end - 4 : end] = crc32(data[: end - 4]).to_bytes(4, "big")
    image = Image.open(io.BytesIO(data))
    assert image.size == (96, 80)
    with pytest.raises(OSError, match="not installed"):
        image.load()


def test_pillows_limit_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    path = GOLDEN / "lossless.gliss"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 96 * 80 - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 96 * 80 // 2 - 1)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Image.open(path).load()


# Libraries that read pictures by Pillow ----------------------------------------------------------------


def test_imageio(tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3", reason="imageio is not installed")
    pixels = np.asarray(image_of("RGB"))
    iio.imwrite(tmp_path / "a.gliss", pixels, lossless=True)
    np.testing.assert_array_equal(iio.imread(tmp_path / "a.gliss"), pixels)
    np.testing.assert_array_equal(iio.imread((tmp_path / "a.gliss").read_bytes()), pixels)
    assert iio.improps(tmp_path / "a.gliss").shape == pixels.shape


def test_scikit_image(tmp_path: Path) -> None:
    io_ = pytest.importorskip("skimage.io", reason="scikit-image is not installed")
    pixels = np.asarray(image_of("RGBA"))
    io_.imsave(tmp_path / "a.gliss", pixels, check_contrast=False)
    again = io_.imread(tmp_path / "a.gliss")
    assert (again.shape, again.dtype) == (pixels.shape, pixels.dtype)
    np.testing.assert_array_equal(again[..., 3], pixels[..., 3])
