"""What a worker of a batch does: it reads, converts and writes one picture after the other, with one open codec."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from glissando.errors import ModelError, explain

from .messages import Done, Drop, Failed, How, Look, Looked, Make, Reply, Request, Reuse
from .opening import open_store

__all__ = ["Conversion", "Made", "Work", "Worker"]

_NOTHING = ("", b"")
"""What a worker holds between two pictures: no name and no bytes."""


@dataclass(frozen=True, slots=True)
class Made:
    """The output for one input.

    Attributes:
        data: its bytes.
        pixels: of the picture.
        notes: what is left out or changed of it.
    """

    data: bytes
    pixels: int
    notes: tuple[str, ...] = ()


class Conversion(Protocol):
    """What becomes of every input of a batch; picklable."""

    @property
    def key(self) -> bytes:
        """A hash of all that outputs depend on besides their inputs."""

    def open(self) -> Callable[[bytes, str], Made]:
        """Make ready what all pictures need; the function of an input's bytes and name that makes its output."""


@dataclass(frozen=True)
class Work:
    """All that a worker has to know, picklable.

    Attributes:
        source: the folder or URL with the inputs.
        destination: the one for the outputs.
        conversion: of one into the other.
        sync: wait until each output would outlast a power cut.
    """

    source: str
    destination: str
    conversion: Conversion
    sync: bool = False

    def open(self) -> Worker:
        """The worker, ready. Raises what opening the stores and the conversion does."""
        return Worker(self)


class Worker:
    """It answers one request after the other; see ``messages``. No error of a picture gets out of it."""

    def __init__(self, work: Work) -> None:
        self._source, self._destination = open_store(work.source), open_store(work.destination)
        self._convert, self._sync = work.conversion.open(), work.sync
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._held = _NOTHING
        self._started = 0.0

    def __call__(self, request: Request) -> Reply:
        """The answer to a request."""
        try:
            if isinstance(request, Look):
                return self._look(request)
            if isinstance(request, Drop):
                self._held = _NOTHING
                return Failed(request.error, final=True, before=True)
            if isinstance(request, Reuse):
                return self._reuse(request)
            return self._make(request)
        except Exception as error:
            name, self._held = request.name if isinstance(request, Look) else self._held[0], _NOTHING
            return Failed(explain(error).removeprefix(f"{name}: "), final=_is_final(error))

    def _look(self, request: Look) -> Looked:
        self._started = time.perf_counter()
        data = self._source.read(request.name, request.size)
        self._held = (request.name, data)
        return Looked(hashlib.sha256(data).digest(), len(data))

    def _make(self, request: Make) -> Done:
        made = self._convert(self._held[1], self._held[0])
        self._destination.write(request.output, made.data, sync=self._sync)
        self._held = _NOTHING
        return self._done("made", made.data, made)

    def _reuse(self, request: Reuse) -> Done:
        try:
            data = self._destination.read(request.known)
        except Exception:  # gone, or not to be had: it can be made again
            data = b""
        if hashlib.sha256(data).digest() != request.check:
            return self._make(Make(request.output))
        self._held = _NOTHING
        if request.known == request.output:
            return self._done("kept", data)
        self._destination.write(request.output, data, sync=self._sync)
        return self._done("copied", data)

    def _done(self, how: How, data: bytes, made: Made | None = None) -> Done:
        seconds = time.perf_counter() - self._started
        check = hashlib.sha256(data).digest()
        pixels, notes = (made.pixels, made.notes) if made is not None else (0, ())
        return Done(how, len(data), check, pixels, seconds, notes, self._name)


def _is_final(error: Exception) -> bool:
    """Whether an error is the picture's own: not that of a store, of a model, or of a machine without memory."""
    return not isinstance(error, OSError | ModelError | MemoryError)
