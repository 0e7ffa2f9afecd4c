"""/img: files of a folder as they are and as pictures, what caches go by, and nothing outside the folder."""

from __future__ import annotations

import io
import os
import socket
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

for package in ("starlette", "uvicorn", "python_multipart", "prometheus_client", "httpx"):
    pytest.importorskip(package, reason=f"{package}, which the service or its tests need, is not installed")

from served import pixels_of  # noqa: E402

import glissando  # noqa: E402
from glissando.serve.folder import Folder  # noqa: E402

GLISS = "image/vnd.glissando"
CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
SAFARI = (
    "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/*;q=0.8,*/*;q=0.5"
)


@pytest.fixture(scope="module", autouse=True)
def photo_file(folder: Path, photo: np.ndarray) -> bytes:
    data = glissando.encode(photo, lossless=True)
    (folder / "photo.gliss").write_bytes(data)
    below = folder / "a b" / "ü"
    below.mkdir(parents=True)
    (below / "c?.gliss").write_bytes(data)
    return data


def get(service: Any, path: str, accept: str | None = None, **headers: str) -> Any:
    """``path``: below /img."""
    if accept is not None:
        headers["Accept"] = accept
    return service.client.get(
        f"/img/{path}", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


# What a client gets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accept", [None, "*/*", GLISS, f"{GLISS},image/*,*/*;q=0.8", f"text/html,{GLISS};q=0.9,*/*;q=0.1"]
)
def test_files_as_they_are(service: Any, photo_file: bytes, accept: str | None) -> None:
    answer = get(service, "photo.gliss", accept)
    assert answer.status_code == 200
    assert answer.content == photo_file
    assert answer.headers["content-type"] == GLISS
    assert "Accept" in answer.headers["vary"].split(", ")
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        (CHROME, "WEBP"),
        (SAFARI, "WEBP"),
        ("image/png", "PNG"),
        ("image/*;q=0.5,image/jpeg", "JPEG"),
        ("image/avif", "AVIF"),
        (f"{GLISS};q=0.1,image/png", "PNG"),
    ],
)
def test_files_as_browsers_take_them(service: Any, photo: np.ndarray, accept: str, format: str) -> None:
    answer = get(service, "photo.gliss", accept)
    assert answer.status_code == 200, answer.text
    assert "Accept" in answer.headers["vary"].split(", ")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == (format, (90, 60))
        shown = np.asarray(image)
    if format == "PNG":
        np.testing.assert_array_equal(shown, photo)
    else:
        assert np.abs(shown.astype(int) - photo).mean() < 4


def test_what_cannot_be_sent(service: Any, folder: Path) -> None:
    assert get(service, "photo.gliss", "text/html").status_code == 406
    (folder / "large.gliss").write_bytes(glissando.encode(np.zeros((400, 400), np.uint8), lossless=True))
    assert get(service, "large.gliss", "image/png").status_code == 413
    assert get(service, "large/full/max/0/default.png").status_code == 200  # scaled down to the limit
    (folder / "broken.gliss").write_bytes(b"\x89GLS\r\n\x1a\n rest")
    answer = get(service, "broken/info.json")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert get(service, "broken.gliss").status_code == 200


def test_names_with_anything_in_them(service: Any, photo_file: bytes) -> None:
    assert get(service, "a%20b%2F%C3%BC%2Fc%3F.gliss").content == photo_file
    answer = get(service, "a%20b%2F%C3%BC%2Fc%3F/info.json")
    assert answer.json()["id"].endswith("/img/a%20b%2F%C3%BC%2Fc%3F")
    assert get(service, "a%20b%2F%C3%BC%2Fc%3F/full/max/0/default.png").status_code == 200
    assert get(service, "a%20b/%C3%BC/c%3F.gliss").status_code == 404  # slashes of an identifier are encoded


# What caches go by -----------------------------------------------------------------------------------------


def test_tags_are_of_the_content(service: Any, folder: Path, photo_file: bytes) -> None:
    path = folder / "tag.gliss"
    path.write_bytes(photo_file)
    first = get(service, "tag.gliss").headers["etag"]
    assert first == get(service, "photo.gliss").headers["etag"]
    os.utime(path, (1, 1))
    assert get(service, "tag.gliss").headers["etag"] == first
    assert get(service, "tag.gliss").headers["last-modified"] == formatdate(1, usegmt=True)
    path.write_bytes(glissando.encode(np.zeros((8, 8), np.uint8)))
    assert get(service, "tag.gliss").headers["etag"] != first


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("photo.gliss", None),
        ("photo.gliss", CHROME),
        ("photo/full/45,/0/default.webp", None),
        ("photo/info.json", "application/ld+json"),
    ],
)
def test_what_a_client_has_is_not_sent_again(service: Any, path: str, accept: str | None) -> None:
    answer = get(service, path, accept)
    assert answer.headers["cache-control"] == "public, max-age=3600"
    tag = answer.headers["etag"]
    for value in (tag, f'"other", {tag}', "*", tag.removeprefix("W/")):
        again = get(service, path, accept, If_None_Match=value)
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "last-modified"):
            assert again.headers[name] == answer.headers[name]
    other = get(service, path, accept, If_None_Match='"other"', If_Modified_Since=answer.headers["last-modified"])
    assert other.status_code == 200  # the tag counts, where there is one
    for value, status in ((answer.headers["last-modified"], 304), (formatdate(1, usegmt=True), 200), ("soon", 200)):
        assert get(service, path, accept, If_Modified_Since=value).status_code == status


def test_tags_differ_where_answers_do(service: Any) -> None:
    paths = ("photo/full/45,/0/default.webp", "photo/full/45,/0/default.png", "photo/full/44,/0/default.png")
    tags = {get(service, path).headers["etag"] for path in paths}
    tags |= {get(service, "photo.gliss", accept).headers["etag"] for accept in (None, "image/png", "image/webp")}
    assert len(tags) == 6


def test_ranges(service: Any, photo_file: bytes) -> None:
    for value, part in (("bytes=0-9", photo_file[:10]), ("bytes=10-", photo_file[10:]), ("bytes=-5", photo_file[-5:])):
        answer = get(service, "photo.gliss", Range=value)
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers["content-range"].endswith(f"/{len(photo_file)}")
    for value, status in ((f"bytes={len(photo_file)}-", 416), ("pixels=0-9", 400), ("bytes=9-1", 400)):
        answer = get(service, "photo.gliss", Range=value)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"
    beyond = get(service, "photo.gliss", Range=f"bytes={len(photo_file)}-")
    assert beyond.headers["content-range"] == f"bytes */{len(photo_file)}"
    tag = get(service, "photo.gliss").headers["etag"]
    assert get(service, "photo.gliss", Range="bytes=0-9", If_Range=tag).status_code == 206
    assert get(service, "photo.gliss", Range="bytes=0-9", If_Range='"other"').status_code == 200


def test_head_has_no_body(service: Any, photo_file: bytes) -> None:
    answer = service.client.head("/img/photo.gliss")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(photo_file))


# Nothing outside the folder --------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path, photo_file: bytes) -> Path:
    """A folder, beside it what must not be seen, and links in it."""
    root = tmp_path / "served"
    (root / "sub").mkdir(parents=True)
    (root / "seen.gliss").write_bytes(photo_file)
    (root / "sub" / "seen.gliss").write_bytes(photo_file)
    (root / "secret.txt").write_bytes(b"secret")
    (tmp_path / "out.gliss").write_bytes(photo_file)
    (tmp_path / "served-too").mkdir()
    (tmp_path / "served-too" / "out.gliss").write_bytes(photo_file)
    (root / "out.gliss").symlink_to(tmp_path / "out.gliss")
    (root / "text.gliss").symlink_to(root / "secret.txt")
    (root / "outside").symlink_to(tmp_path)
    (root / "inside.gliss").symlink_to(root / "sub" / "seen.gliss")
    (root / "circle.gliss").symlink_to(root / "circle.gliss")
    (root / "folder.gliss").mkdir()
    os.mkfifo(root / "pipe.gliss")
    return root


def test_files_of_the_folder_are_found(guarded: Path) -> None:
    folder = Folder(guarded)
    for name in ("seen.gliss", "seen", "sub/seen.gliss", "inside.gliss", "inside"):
        found = folder.find(name)
        assert found is not None
        assert found.path.is_relative_to(guarded.resolve())


OUTSIDE = (
    "../out.gliss",
    "../served-too/out.gliss",
    "sub/../../out.gliss",
    "sub/../seen.gliss",
    "./seen.gliss",
    "sub//seen.gliss",
    "/seen.gliss",
    "seen.gliss/",
    "out.gliss",
    "outside/out.gliss",
    "outside/served/seen.gliss/../../out.gliss",
    "text.gliss",
    "secret.txt",
    "circle.gliss",
    "folder.gliss",
    "pipe.gliss",
    "seen.gliss\0.txt",
    "seen\0.gliss",
    "..\\out.gliss",
    "",
    ".",
    "..",
    "x" * 5000,
    "\udcff",
    "%2e%2e/out.gliss",
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_else_is_found(guarded: Path, name: str) -> None:
    folder = Folder(guarded)
    assert folder.find(name) is None
    assert folder.find(str(guarded.parent / "out.gliss")) is None


def test_nothing_else_is_sent(running: Any, guarded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same through the whole service, in every way to write a path."""
    from urllib.parse import quote

    monkeypatch.setattr("glissando.serve.app.WarmJob", lambda: None)
    with running(folder=guarded) as service:
        assert service.client.get("/img/seen.gliss").status_code == 200
        for name in OUTSIDE:
            encoded = quote(name, safe="", errors="surrogateescape")
            paths = (encoded, quote(encoded), f"{encoded}/info.json", f"{encoded}/full/max/0/default.png")
            for path in paths if name.strip(".") else ():  # dots alone the client itself takes out of a path
                answer = service.client.get(f"/img/{path}")
                assert answer.status_code in (400, 404), (name, path, answer.status_code)
                assert str(guarded) not in answer.text
        for path in ("/img/../out.gliss", "/img//seen.gliss", "/img/../../../../etc/passwd", "/..%2f..%2fetc/passwd"):
            assert service.client.get(path).status_code == 404
        for written in (b"%2e%2e%2fout.gliss", b"../out.gliss", b"..", b"../../etc/passwd", b"%ff%fe", b"a%00.gliss"):
            with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
                connection.sendall(b"GET /img/" + written + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert connection.recv(1000)[:12] in (b"HTTP/1.1 404", b"HTTP/1.1 400"), written


def test_without_a_folder_there_is_nothing(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glissando.serve.app.WarmJob", lambda: None)
    with running() as service:
        assert service.client.get("/img/photo.gliss").status_code == 404


def test_views_are_pixels_of_the_picture(service: Any, photo: np.ndarray) -> None:
    answer = get(service, "photo/10,20,30,25/max/0/default.png")
    np.testing.assert_array_equal(pixels_of(answer.content), photo[20:45, 10:40])
