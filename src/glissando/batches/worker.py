"""What a worker of a batch does: it reads, converts and writes pictures, one after the other, with one open codec."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from glissando.errors import ModelError, explain

from .messages import Done, Failed, How, Look, Looked, Make, Reply, Request, Reuse
from .opening import open_store

__all__ = ["Conversion", "Made", "Work", "Worker"]


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
        self._held: dict[str, bytes] = {}
        self._spent: dict[str, float] = {}  # seconds for each of them, up to now

    def __call__(self, request: Request) -> Reply:
        """The answer to a request."""
        started = time.perf_counter()
        try:
            reply = self._answer(request)
        except Exception as error:
            reply = Failed(explain(error).removeprefix(f"{request.name}: "), final=_is_final(error))
        spent = self._spent.pop(request.name, 0.0) + time.perf_counter() - started
        if isinstance(reply, Looked):
            self._spent[request.name] = spent
            return reply
        self._held.pop(request.name, None)
        return replace(reply, seconds=spent) if isinstance(reply, Done) else reply

    def _answer(self, request: Request) -> Looked | Done | Failed:
        if isinstance(request, Look):
            data = self._source.read(request.name, request.size)
            self._held[request.name] = data
            return Looked(hashlib.sha256(data).digest(), len(data))
        if isinstance(request, Make):
            return self._make(request)
        if isinstance(request, Reuse):
            return self._reuse(request)
        return Failed(request.error, final=True, before=True)

    def _make(self, request: Make) -> Done:
        made = self._convert(self._held[request.name], request.name)
        self._destination.write(request.output, made.data, sync=self._sync)
        return self._done("made", made.data, made)

    def _reuse(self, request: Reuse) -> Done:
        try:
            data = self._destination.read(request.known)
        except Exception:  # gone, or not to be had: it can be made again
            data = b""
        if hashlib.sha256(data).digest() != request.check:
            return self._make(Make(request.name, request.output))
        if request.known == request.output:
            return self._done("kept", data)
        self._destination.write(request.output, data, sync=self._sync)
        return self._done("copied", data)

    def _done(self, how: How, data: bytes, made: Made | None = None) -> Done:
        check = hashlib.sha256(data).digest()
        pixels, notes = (made.pixels, made.notes) if made is not None else (0, ())
        return Done(how, len(data), check, pixels, 0.0, notes, self._name)


def _is_final(error: Exception) -> bool:
    """Whether an error is the picture's own: not that of a store, of a model, or of a machine without memory."""
    reasons = (error, error.__cause__, error.__context__)
    return not isinstance(error, OSError | ModelError) and not any(isinstance(each, MemoryError) for each in reasons)
