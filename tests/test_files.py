"""Files and folders appear whole or not at all, and durably."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from glissando.files import atomic_file, atomic_folder, atomic_write, replace_folder


def test_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    atomic_write(path, b"one")
    assert path.read_bytes() == b"one"
    if os.name == "posix":
        mask = os.umask(0)
        os.umask(mask)
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask
        path.chmod(0o640)
    atomic_write(str(path), b"two")
    assert path.read_bytes() == b"two"
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["a.bin"]
    with pytest.raises(IsADirectoryError):
        atomic_write(tmp_path, b"")


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("replace", "chmod", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match="No space"):
                atomic_write(path, b"new")
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["a.bin"]

    def interrupted() -> None:
        with atomic_file(path) as stream:
            stream.write(b"half")
            raise ValueError("changed my mind")

    with pytest.raises(ValueError, match="changed my mind"):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_what_is_written_is_forced_to_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else f"{os.fstat(handle).st_size} bytes")
        sync(handle)

    def replaced(source: str, target: str) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    folders = ["folder"] if os.name == "posix" else []
    atomic_write(tmp_path / "a.bin", b"abc")
    assert done == ["3 bytes", "rename", *folders]
    done.clear()
    with atomic_folder(tmp_path / "model") as work:
        (work / "one").write_bytes(b"12345")
    assert done == ["5 bytes", *folders, "rename", *folders]


def fill(place: Path, error: Exception | None = None) -> None:
    with atomic_folder(place) as work:
        (work / "two").write_bytes(b"new")
        if error is not None:
            raise error


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "models" / "small"
    with atomic_folder(place) as work:
        (work / "part").mkdir()
        (work / "part" / "one").write_bytes(b"old")
        assert not place.exists()
    with pytest.raises(ValueError, match="changed my mind"):
        fill(place, ValueError("changed my mind"))
    moves: list[str] = []
    replace = os.replace

    def second_fails(source: str, target: str) -> None:
        moves.append(source)
        if len(moves) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", second_fails)
        with pytest.raises(OSError, match="No space"):
            fill(place)
    assert len(moves) == 3  # away, not there, back
    assert (place / "part" / "one").read_bytes() == b"old"
    assert os.listdir(place.parent) == ["small"]
    fill(place)
    assert os.listdir(place) == ["two"]
    assert os.listdir(place.parent) == ["small"]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        replace_folder(place, tmp_path / "file")
    assert os.listdir(place) == ["two"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX file kinds")
def test_links_and_devices(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    atomic_write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    atomic_write(os.devnull, b"anything")
    assert not Path(os.devnull).is_file()


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_writer_leaves_no_half_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    code = (
        "import os, sys, glissando.files as f\n"
        "f.os.replace = lambda *a: (print('ready', flush=True), os.kill(os.getpid(), 9))\n"
        "f.atomic_write(sys.argv[1], b'new' * 10**6)"
    )
    path.write_bytes(b"old")
    subprocess.run([sys.executable, "-c", code, str(path)], timeout=60, check=False, stdout=subprocess.DEVNULL)
    assert path.read_bytes() == b"old"
