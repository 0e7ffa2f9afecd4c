"""Folders and URLs: what they list, and files that are written whole or not at all."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from toy_conversion import Here, Reversing

from glissando.batches.folder import Folder
from glissando.batches.manifest import Manifest, Row
from glissando.batches.naming import Naming
from glissando.batches.opening import is_url, open_store
from glissando.batches.report import Report
from glissando.batches.start import MANIFEST, Workers, manifest_path, run_batch
from glissando.batches.stores import Entry, Store, check_size
from glissando.errors import BatchError, InputError, explain

fsspec = pytest.importorskip("fsspec", reason="opens URLs; pip install 'glissando[batch]'")
from glissando.batches import remote  # noqa: E402
from glissando.batches.remote import Remote  # noqa: E402


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """fsspec's file system in memory, which a test has for itself. Its listings tell when a file was written last."""
    monkeypatch.setattr(remote, "STAMPS", (*remote.STAMPS, "created"))
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()


@pytest.fixture(params=["folder", "memory", "local"])
def store(request: Any, tmp_path: Path, memory: Any) -> Store:
    if request.param == "memory":
        return open_store("memory://bucket/in")
    return open_store(str(tmp_path / "in") if request.param == "folder" else f"local://{tmp_path}/in")


def test_what_is_a_url() -> None:
    urls = ("s3://bucket/key", "memory://a", "gs://x", "simplecache::s3://b/k", "file:///tmp")
    assert all(map(is_url, urls))
    assert not any(map(is_url, ("photos", "/photos", "C:\\photos", "c:/photos", "./a:b", "a/b://c")))
    assert isinstance(open_store("file:///tmp/a%20b"), Folder)
    assert open_store("file:///tmp/a%20b").where == "/tmp/a b"
    with pytest.raises(InputError, match="nonsense"):
        open_store("nonsense://x")


def test_write_read_and_walk(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        list(store.walk(lambda name: True))
    files = {"a.png": b"one", "x/b.png": b"three", "x/y/z/c.png": b"", "x/d.txt": b"none"}
    for name, data in files.items():
        store.write(name, data)
    found = list(store.walk(lambda name: name.endswith(".png")))
    assert all(isinstance(entry, Entry) for entry in found)
    assert {entry.name: entry.size for entry in found} == {"a.png": 3, "x/b.png": 5, "x/y/z/c.png": 0}  # type: ignore[union-attr]
    for name, data in files.items():
        assert store.read(name) == data
        assert store.exists(name)
        assert store.has(name, len(data))
    assert not store.exists("x/none.png")
    with pytest.raises(FileNotFoundError):
        store.read("x/none.png")
    before = {entry.name: entry.stamp for entry in found}  # type: ignore[union-attr]
    store.write("a.png", b"another")
    after = {entry.name: entry.stamp for entry in store.walk(lambda name: True)}  # type: ignore[union-attr]
    assert before["a.png"] != after["a.png"]
    assert before["x/b.png"] == after["x/b.png"]


def test_a_folder_tells_whether_outputs_are_there(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write("x/a", b"abc", sync=True)
    assert folder.has("x/a", 3)
    assert not folder.has("x/a", 2)
    assert not folder.has("x/b", 0)


def test_sizes_that_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(2**32 + 1)
    with pytest.raises(InputError, match="4,294,967,297 bytes"):
        Folder(str(tmp_path)).read("sparse")
    with pytest.raises(InputError):
        Remote(f"local://{tmp_path}").read("sparse")
    check_size(2**32)


def test_a_write_to_a_url_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Remote(f"local://{tmp_path}")
    store.write("a", b"before")

    def half(path: str, data: bytes, **options: Any) -> None:
        Path(path).write_bytes(data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._fs, "pipe_file", half)
    with pytest.raises(OSError, match="No space"):
        store.write("a", b"after")
    assert store.read("a") == b"before"
    assert os.listdir(tmp_path) == ["a"]


def test_errors_of_libraries_are_those_of_a_system(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class DisconnectedError(Exception):
        pass

    def lost(*args: Any, **options: Any) -> None:
        raise DisconnectedError("by peer")

    store = Remote("memory://in")
    for name in ("cat_file", "pipe_file", "ls", "exists"):
        monkeypatch.setattr(store._fs, name, lost)
    for call in (lambda: store.read("a", 1), lambda: store.write("a", b""), lambda: list(store.walk(bool))):
        with pytest.raises(OSError, match="DisconnectedError: by peer"):
            call()

    def missing(*args: Any, **options: Any) -> None:
        raise FileNotFoundError("no such bucket")  # as s3fs does, without a number

    monkeypatch.setattr(store._fs, "ls", missing)
    with pytest.raises(FileNotFoundError) as raised:
        list(store.walk(bool))
    assert explain(raised.value) == "No such file or directory: no such bucket"


def test_names_of_outputs() -> None:
    assert Naming.with_suffix(".gliss")("a.b.png") == "a.b.gliss"
    assert Naming("{stem}-{ext}{{}}.gliss")("a.png") == "a-png{}.gliss"
    assert [Naming("{stem}|{ext}")(name) for name in (".png", "a.", "a", "..b")] == [".png|", "a.|", "a|", ".|b"]
    for wrong in ("{name}", "{stem!r}", "{stem", "a/b", "{}"):
        with pytest.raises(InputError):
            Naming(wrong)
    with pytest.raises(InputError, match="no file can have"):
        Naming("{ext}")("a")


# Batches over URLs -------------------------------------------------------------------------------------


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "open", lambda self, work: Here(work, 2))


def batch(source: str, destination: str, **options: Any) -> Report:
    return run_batch(source, destination, Reversing(), **options)


def test_a_batch_from_url_to_url(memory: Any, here: None) -> None:
    for name, data in {"a.png": b"abc", "x/y/b.jpg": b"def", "x/c.png": b"abc", "bad.png": b"bad"}.items():
        memory.pipe_file(f"/in/{name}", data)
    report = batch("memory://in", "memory://out/small")
    assert (report.made, report.copied, report.failed) == (2, 1, 1)
    files = {name: data.getvalue() for name, data in memory.store.items() if name.startswith("/out")}
    assert files.pop(f"/out/small/{MANIFEST}")[:15] == b"SQLite format 3"
    assert files == {
        f"/out/small/{name}.gliss": data for name, data in (("a", b"cba"), ("x/y/b", b"fed"), ("x/c", b"cba"))
    }
    memory.pipe_file("/in/d.png", b"new")
    report = batch("memory://in", "memory://out/small")
    assert (report.known, report.made, report.failed_before) == (3, 1, 1)


def test_a_batch_goes_on_at_another_machine(memory: Any, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of the manifest at the URL tells what was done, where the machine that did it is not there any more."""
    for number in range(5):
        memory.pipe_file(f"/in/{number}.png", b"%d" % number)
    batch("memory://in", "memory://out")
    os.remove(manifest_path(open_store("memory://out")))
    memory.pipe_file("/in/new.png", b"new")
    report = batch("memory://in", "memory://out")
    assert (report.known, report.made) == (5, 1)
    # A copy is made every five minutes as well, for the case that the machine dies.
    copied: list[str] = []
    monkeypatch.setattr("glissando.batches.start.COPIED_EVERY", 0.0)
    monkeypatch.setattr(Remote, "upload", lambda self, path, name: copied.append(name))
    for number in range(3):
        memory.pipe_file(f"/in/later{number}.png", b"later %d" % number)
    batch("memory://in", "memory://out")
    assert len(copied) > 3


def test_a_copy_that_cannot_be_written_ends_nothing(memory: Any, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/in/a.png", b"abc")
    memory.pipe_file("/in/b.png", b"def")

    def full(self: Remote, path: str, name: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("glissando.batches.start.COPIED_EVERY", 0.0)
    monkeypatch.setattr(Remote, "upload", full)
    report = batch("memory://in", "memory://out")
    assert (report.made, report.failed) == (2, 1)
    expected = "it could not be copied to memory://out: No space left on device"
    assert [(failure.name, failure.error) for failure in report.failures] == [(MANIFEST, expected)]


def test_stores_without_stamps_are_read_again(memory: Any, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/in/a.png", b"abc")
    monkeypatch.setattr(remote, "STAMPS", ())
    assert batch("memory://in", "memory://out").made == 1
    report = batch("memory://in", "memory://out")
    assert (report.made, report.kept, report.known) == (0, 1, 0)


# The manifest ------------------------------------------------------------------------------------------


def test_rows(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "deep" / "m.sqlite")
    row = Row("a.png", "3 1", b"key", b"content", 3, "a.gliss", 2, b"check", 6)
    manifest.put(row)
    assert (
        manifest.named("a.png") == manifest.making("a.gliss") == manifest.like(b"content", b"key", failed=False) == row
    )
    assert (
        manifest.named("b.png")
        is manifest.making("b.gliss")
        is manifest.like(b"content", b"other", failed=False)
        is None
    )
    bad = Row("b.png", "3 1", b"key", b"else", 3, "b.gliss", error="bad")
    manifest.put(bad)
    assert manifest.like(b"else", b"key", failed=False) is None
    assert manifest.like(b"else", b"key", failed=True) == bad
    manifest.put(Row("a.jpg", "3 1", b"key", None, 3, "a.gliss", error="bad"))  # which takes the output over
    assert manifest.named("a.png") is None
    manifest.close()
    again = Manifest(tmp_path / "deep" / "m.sqlite")
    assert again.named("b.png") == bad
    again.close()


def test_files_that_are_no_manifests(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"not a database at all " * 100)
    with pytest.raises(BatchError, match="move it away"):
        Manifest(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE pictures (name)")
    other.close()
    with pytest.raises(BatchError, match="not a manifest"):
        Manifest(tmp_path / "other")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BatchError, match="cannot be used"):
        Manifest(tmp_path / "folder")
