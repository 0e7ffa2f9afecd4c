"""A conversion that needs no codec, and workers in the process of the test."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from glissando.batches.messages import Reply, Request
from glissando.batches.pools import Died
from glissando.batches.worker import Made, Work
from glissando.errors import PictureError


class Crash(BaseException):
    """What kills a worker that is no process."""


@dataclass(frozen=True)
class Reversing:
    """Outputs are their inputs backwards. What an input begins with decides what else happens.

    Attributes:
        key: as of any conversion.
        log: file that gets a line for each conversion.
        process: whether workers are processes, which b"kill" kills.
        seconds: how long each takes.
    """

    key: bytes = b"reverse"
    log: str = ""
    process: bool = False
    seconds: float = 0.0

    def open(self) -> Callable[[bytes, str], Made]:
        if self.key == b"no model":
            raise PictureError("there is nothing to begin with")
        if self.key == b"dies":
            os._exit(7)
        return self._convert

    def _convert(self, data: bytes, name: str) -> Made:
        if self.log:
            with open(self.log, "ab", buffering=0) as log:
                log.write(os.fsencode(name) + b"\n")
        time.sleep(self.seconds)
        if data.startswith(b"bad"):
            raise PictureError(f"{name}: not a picture")
        if data.startswith(b"disk"):
            raise OSError(28, "No space left on device")
        if data.startswith(b"memory"):
            try:
                raise MemoryError
            except MemoryError:
                raise PictureError(f"{name}: too large for the memory of this machine") from None
        if data.startswith(b"bug"):
            raise ZeroDivisionError("of our own making")
        if data.startswith(b"once") and not os.path.exists(self.log + ".died"):
            open(self.log + ".died", "w").close()
            self._die()
        if data.startswith(b"kill"):
            self._die()
        return Made(data[::-1], len(data), ("a note",) if data.startswith(b"note") else ())

    def _die(self) -> None:
        if self.process:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Crash


class Here:
    """A pool whose workers are called when somebody waits for them; the last that was asked is the first to answer."""

    def __init__(self, work: Work, size: int) -> None:
        self.size, self._work = size, work
        self._workers: dict[int, Callable[[Request], Reply]] = {}
        self._asked: dict[int, Request] = {}
        self.most = 0

    def send(self, slot: int, request: Request) -> None:
        assert slot not in self._asked
        self._asked[slot] = request
        self.most = max(self.most, len(self._asked))

    def wait(self, *, block: bool) -> list[tuple[int, Reply | Died]]:
        if not self._asked:
            assert not block
            return []
        slot, request = self._asked.popitem()
        worker = self._workers.setdefault(slot, self._work.open())
        try:
            return [(slot, worker(request))]
        except Crash:
            del self._workers[slot]
            return [(slot, Died("signal 9"))]

    def recall(self) -> list[int]:
        return []

    def close(self, *, kill: bool = False) -> None:
        self._workers.clear()
