"""What a batch has done, so that it goes on where it stopped: one SQLite file, written after each picture."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glissando.errors import BatchError

__all__ = ["Manifest", "Row"]

APPLICATION = 0x474C4253
"""What SQLite's header calls the application: GLBS in ASCII."""
VERSION = 1

_TABLES = """
CREATE TABLE pictures (
    name BLOB PRIMARY KEY, stamp TEXT NOT NULL, key BLOB NOT NULL, content BLOB, bytes_in INTEGER NOT NULL,
    output BLOB NOT NULL, bytes_out INTEGER NOT NULL, "check" BLOB, pixels INTEGER NOT NULL, error TEXT
) WITHOUT ROWID;
CREATE INDEX by_content ON pictures (content) WHERE content IS NOT NULL;
CREATE UNIQUE INDEX by_output ON pictures (output);
"""
_COLUMNS = 'name, stamp, key, content, bytes_in, output, bytes_out, "check", pixels, error'


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one input.

    Attributes:
        name: of the input, below the source.
        stamp: what the listing said of it; see ``Entry``.
        key: of the conversion; see ``Conversion``.
        content: SHA-256 of the input; None where it was not read.
        bytes_in: of the input.
        output: name of the output, below the destination.
        bytes_out, check: its bytes and their SHA-256; 0 and None where there is none.
        pixels: of the picture.
        error: why there is no output, and will never be; None where there is one.
    """

    name: str
    stamp: str
    key: bytes
    content: bytes | None
    bytes_in: int
    output: str
    bytes_out: int = 0
    check: bytes | None = None
    pixels: int = 0
    error: str | None = None


class Manifest:
    """The rows of all inputs that came to an end, by their names, contents and outputs.

    A row is written in one transaction, after its output has its name, so a process that is killed at any moment leaves
    a manifest that tells of whole outputs alone. One process at a time has it open.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open it, or begin a new one.

        Raises:
            BatchError: another process has it open, or it is no such file.
            OSError: its folder cannot be made.
        """
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            self._database = sqlite3.connect(self.path, timeout=0, isolation_level=None)
            try:
                self._begin()
            except BaseException:
                self._database.close()
                raise

    def _begin(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN EXCLUSIVE")  # from here on no other process can open it
        (application,), (version,) = run("PRAGMA application_id").fetchone(), run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and (application, version) != (APPLICATION, VERSION):
            raise BatchError(f"{self.path}: not a manifest of a batch, or that of another version; move it away")
        if not tables:
            for statement in filter(str.strip, _TABLES.split(";")):
                run(statement)
            run(f"PRAGMA application_id = {APPLICATION}")
            run(f"PRAGMA user_version = {VERSION}")
        run("COMMIT")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise BatchError(f"{self.path}: the manifest cannot be used: {error}") from error
            raise BatchError(f"{self.path}: another batch is writing this manifest; wait for its end") from None
        except sqlite3.DatabaseError as error:
            raise BatchError(f"{self.path}: the manifest cannot be read: {error}; move it away") from error

    def named(self, name: str) -> Row | None:
        """What became of the input of this name."""
        return self._one("name = ?", os.fsencode(name))

    def making(self, output: str) -> Row | None:
        """What became of the input whose output has this name."""
        return self._one("output = ?", os.fsencode(output))

    def like(self, content: bytes, key: bytes, *, failed: bool) -> Row | None:
        """An input of this content, converted in this way, which has an output, or ``failed``."""
        return self._one(f"content = ? AND key = ? AND error IS {'NOT ' if failed else ''}NULL", content, key)

    def _one(self, condition: str, *values: bytes) -> Row | None:
        with self._explained():
            query = f"SELECT {_COLUMNS} FROM pictures WHERE {condition} LIMIT 1"
            found = self._database.execute(query, values).fetchone()
        if found is None:
            return None
        name, stamp, key, content, bytes_in, output, *rest = found
        return Row(os.fsdecode(name), stamp, key, content, bytes_in, os.fsdecode(output), *rest)

    def put(self, row: Row) -> None:
        """Write a row, in place of those of the same input and of the same output."""
        with self._explained():
            self._database.execute(
                f"INSERT OR REPLACE INTO pictures ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    os.fsencode(row.name),
                    row.stamp,
                    row.key,
                    row.content,
                    row.bytes_in,
                    os.fsencode(row.output),
                    row.bytes_out,
                    row.check,
                    row.pixels,
                    # It may have a file's name in it, which need not be text.
                    row.error and row.error.encode("utf-8", "backslashreplace").decode(),
                ),
            )

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write a copy of it, which is whole by itself, to a file that is not there yet."""
        with self._explained():
            self._database.execute("VACUUM INTO ?", (os.fspath(path),))

    def take_from(self, path: str | os.PathLike[str]) -> None:
        """Take over what a copy tells of inputs that nothing is known of here."""
        with self._explained():
            self._database.execute("ATTACH ? AS other", (os.fspath(path),))
            try:
                columns = f"INSERT OR IGNORE INTO pictures ({_COLUMNS}) SELECT {_COLUMNS} FROM other.pictures"
                self._database.execute(columns)
            finally:
                self._database.execute("DETACH other")

    def close(self) -> None:
        """Let other processes have it."""
        self._database.close()
