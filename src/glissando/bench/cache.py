"""Measurements kept between runs, so that an interrupted comparison, or one with a codec more, goes on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from .results import CodecInfo, Metric, PictureInfo

__all__ = ["Cache", "Entry", "default_folder", "entry_key", "score_key"]

_FORMAT = 1
_FILE = "points-1.jsonl"


@dataclass
class Entry:
    """Bytes of the file, and scores by ``score_key``; None for one that cannot be had of the picture."""

    bytes: int
    scores: dict[str, float | None] = field(default_factory=dict)


def default_folder() -> Path:
    """$GLISSANDO_CACHE, or the platform's place for what can be made again, and in it ``glissando/bench``."""
    if chosen := os.environ.get("GLISSANDO_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        given = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"  # a relative one is to be ignored
    return base / "glissando" / "bench"


def entry_key(picture: PictureInfo, codec: CodecInfo, setting: float) -> str:
    """What a file's bytes depend on: the pixels, the codec with its version and options, and the setting."""
    parts = [_FORMAT, picture.width, picture.height, picture.sha256, codec.name, codec.version, codec.label]
    return hashlib.sha256(json.dumps([*parts, float(setting)]).encode()).hexdigest()[:32]


def score_key(metric: Metric) -> str:
    return f"{metric.name} | {metric.source}"


class Cache:
    """A file of JSON lines, only ever appended to; later lines add to earlier ones, damaged ones are ignored.

    Several runs may append at once: a line is written in one go. A folder that cannot be written costs the
    memory of this run, not the run: ``problem`` then says why.
    """

    def __init__(self, folder: Path | None) -> None:
        """``None``: nothing is kept."""
        self.problem = ""
        self._entries: dict[str, Entry] = {}
        self._stream: IO[bytes] | None = None
        if folder is None:
            return
        path = folder / _FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._stream = open(path, "ab+", buffering=0)  # noqa: SIM115  (closed by close)
            self._stream.seek(0)
            content = self._stream.read()
            if content and not content.endswith(b"\n"):  # a run was cut off here; what follows shall be whole
                self._stream.write(b"\n")
        except OSError as error:
            self._fail(error)
            return
        for line in content.splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
                self._merge(*_parse(line))

    def get(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def put(self, key: str, size: int, scores: Mapping[str, float | None]) -> None:
        """Remember a measurement."""
        self._merge(key, Entry(size, dict(scores)))
        if self._stream is not None:
            line = json.dumps({"key": key, "bytes": size, "scores": dict(scores)}, allow_nan=False)
            try:
                self._stream.write(line.encode() + b"\n")
            except OSError as error:
                self._fail(error)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _merge(self, key: str, entry: Entry) -> None:
        known = self._entries.get(key)
        if known is not None and known.bytes == entry.bytes:
            known.scores.update(entry.scores)
        else:
            self._entries[key] = entry

    def _fail(self, error: OSError) -> None:
        self.problem = f"measurements are not kept for another run: {error.strerror or error}"
        with contextlib.suppress(OSError):
            self.close()


def _parse(line: bytes) -> tuple[str, Entry]:
    values = json.loads(line)
    scores = {str(name): None if score is None else float(score) for name, score in values["scores"].items()}
    return str(values["key"]), Entry(int(values["bytes"]), scores)
