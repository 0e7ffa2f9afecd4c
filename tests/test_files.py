"""Files and folders appear whole or not at all, and durably where that is asked for."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from glissando.files import atomic_file, atomic_folder, atomic_write, clear_litter, replace_folder, write_all


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
            with pytest.raises(OSError, match="No space") as raised:
                atomic_write(path, b"new", sync=True)
        assert raised.value.filename == str(path)
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["a.bin"]

    with pytest.raises(ValueError, match="changed my mind"):
        _half(path)
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
    atomic_write(tmp_path / "a.bin", b"abc", sync=True)
    assert done == ["3 bytes", "rename", *folders]
    done.clear()
    atomic_write(tmp_path / "a.bin", b"abc")
    assert done == ["rename"]  # nobody asked to wait for the disk
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


@pytest.mark.skipif(os.name != "posix", reason="POSIX file kinds")
def test_outputs_that_are_open_already(tmp_path: Path) -> None:
    """As in ``>(command)`` and ``/dev/stdout``: written from where they are, whatever they are."""
    reading, writing = os.pipe()
    atomic_write(f"/dev/fd/{writing}", b"through a pipe")
    os.close(writing)
    assert os.read(reading, 100) == b"through a pipe"
    os.close(reading)
    with open(tmp_path / "log", "wb", buffering=0) as log:
        log.write(b"before, ")
        atomic_write(f"/dev/fd/{log.fileno()}", b"new")
        log.write(b", after")
    assert (tmp_path / "log").read_bytes() == b"before, new, after"
    with pytest.raises(OSError, match=r"Bad file descriptor: '/dev/fd/999'$") as raised:
        atomic_write("/dev/fd/999", b"new")
    assert raised.value.filename == "/dev/fd/999"
    with pytest.raises(OSError, match="No space left") as raised:
        atomic_write("/dev/full", b"new")
    assert raised.value.filename == "/dev/full"


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EROFS])
def test_a_file_whose_name_is_fixed_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A file that is mounted by itself cannot be renamed over, nor a file made in a folder without that right."""
    path = tmp_path / "mounted"
    path.write_bytes(b"old and longer than the new one")
    before = path.stat().st_ino

    def refused(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    if number in (errno.EBUSY, errno.EXDEV):
        monkeypatch.setattr(os, "replace", refused)
    else:
        monkeypatch.setattr("glissando.files.whole.open_partial", refused)
    atomic_write(path, b"new", sync=True)
    assert (path.read_bytes(), path.stat().st_ino) == (b"new", before)
    with pytest.raises(ValueError, match="changed my mind"):
        _half(path)
    assert path.read_bytes() == b"new"
    with pytest.raises(OSError, match=os.strerror(number)):
        atomic_write(tmp_path / "another", b"new")
    assert os.listdir(tmp_path) == ["mounted"]


def _half(path: Path) -> None:
    with atomic_file(path) as stream:
        stream.write(b"half")
        raise ValueError("changed my mind")


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX")
def test_names_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    for name in ("x" * 255, "漢" * 84 + ".gl", os.fsdecode(b"\xff" * 255)):
        atomic_write(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
    with pytest.raises(OSError, match="too long") as raised:
        atomic_write(tmp_path / ("x" * 256), b"new")
    assert raised.value.filename == str(tmp_path / ("x" * 256))


def test_permissions_and_times_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"")
    os.utime(tmp_path / "old", ns=(10**18, 10**18 + 123_456_700))
    (tmp_path / "old").chmod(0o640)
    atomic_write(tmp_path / "new", b"new", like=os.stat(tmp_path / "old"))
    found = (tmp_path / "new").stat()
    assert found.st_mtime_ns == 10**18 + 123_456_700
    if os.name == "posix":
        assert found.st_mode & 0o777 == 0o640


def test_every_write_counts_its_bytes() -> None:
    class Slow(io.RawIOBase):
        """Takes three bytes at once, and makes the writer wait before each."""

        content, ready = b"", False

        def write(self, data: memoryview) -> int | None:  # type: ignore[override]
            self.ready = not self.ready
            if self.ready:
                return None
            self.content += bytes(data[:3])
            return min(len(data), 3)

    slow = Slow()
    write_all(slow, b"more than three")  # type: ignore[arg-type]
    assert slow.content == b"more than three"
    write_all(slow, b"")  # type: ignore[arg-type]


@pytest.mark.skipif(os.name != "posix", reason="kills processes")
def test_a_killed_writer_leaves_no_half_file_and_no_litter(tmp_path: Path) -> None:
    """At every call that writing makes, of the system or not, the process is killed."""
    code = """
import os, signal, sys, pathlib
from glissando.files import atomic_write, clear_litter
folder = pathlib.Path(sys.argv[1])
path = folder / "a.bin"
old, new = b"old", b"new" * 10**5
moments, left = 0, 0
while True:
    path.write_bytes(old)
    child = os.fork()
    if child == 0:
        calls = 0
        def kill(frame, event, argument):
            global calls
            if event.startswith("c_"):
                calls += 1
                if calls > moments:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(kill)
        atomic_write(path, new, sync=True)
        sys.setprofile(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert path.read_bytes() in (old, new)
    left += len(os.listdir(folder)) - 1
    if moments % 2:
        clear_litter(folder)
    else:
        atomic_write(path, new)
    assert os.listdir(folder) == ["a.bin"], os.listdir(folder)
    if os.WIFEXITED(status):
        break
    moments += 1
print(moments, left)
"""
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    moments, left = map(int, ran.stdout.split())
    assert moments > 60
    assert left > 20  # there was something to clear


@pytest.mark.skipif(os.name != "posix", reason="locks")
def test_what_somebody_writes_at_this_moment_is_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    foreign = tmp_path / ".0123456789abcdef.glissando-partial.mine"
    foreign.write_bytes(b"")
    with atomic_file(path) as one:
        one.write(b"first")
        clear_litter(tmp_path)
        with atomic_file(path) as other:
            other.write(b"second")
        assert path.read_bytes() == b"second"
        clear_litter(tmp_path)
    assert path.read_bytes() == b"first"
    assert sorted(os.listdir(tmp_path)) == [foreign.name, "a.bin"]
    clear_litter(tmp_path / "missing")
