"""Workers as processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from glissando.errors import BatchError, explain

from .messages import Look, Reply, Request
from .pools import STARTS, Died
from .worker import Work

__all__ = ["Processes"]

READY = "ready"
"""What a worker says when it may be asked. Where it cannot be made ready, it says why instead."""


@dataclass(slots=True)
class _Slot:
    process: SpawnProcess
    connection: Connection
    ready: bool = False


class Processes:
    """A pool of processes that are started afresh ("spawn"), so that they share nothing with the driver.

    Each is told what to do through a pipe, which ends when either side dies: a worker then ends as well, once its
    picture is done. Ctrl-C does not reach the workers; the driver decides what becomes of them.
    """

    def __init__(self, work: Work, size: int) -> None:
        self.size = size
        self._work = work
        self._slots: dict[int, _Slot] = {}
        self._asked: dict[int, Request] = {}
        self._failed_starts = 0

    def send(self, slot: int, request: Request) -> None:
        """See ``Pool``."""
        self._asked[slot] = request
        if slot in self._slots and isinstance(request, Look) and not self._slots[slot].process.is_alive():
            self._slots.pop(slot).connection.close()  # it died between two pictures, which is no fault of this one
        if slot not in self._slots:
            self._slots[slot] = self._start()
        self._tell(slot)

    def _tell(self, slot: int) -> None:
        with contextlib.suppress(OSError):  # it has died, which ``wait`` finds out
            self._slots[slot].connection.send(self._asked[slot])

    def _start(self) -> _Slot:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        with _without_interrupts():
            process.start()
        theirs.close()
        return _Slot(process, ours)

    def wait(self, *, block: bool) -> list[tuple[int, Reply | Died]]:
        """See ``Pool``."""
        found: list[tuple[int, Reply | Died]] = []
        while self._asked and not found:
            slots = {self._slots[slot].connection: slot for slot in self._asked}
            talking = wait(list(slots), None if block else 0)
            for connection in talking:
                slot = slots[connection]  # type: ignore[index]
                reply = self._hear(slot)
                if reply is not None:
                    del self._asked[slot]
                    found.append((slot, reply))
            if not talking:
                break
        return found

    def _hear(self, slot: int) -> Reply | Died | None:
        """What a worker says; None where that only means that it is ready, or that it was started again."""
        worker = self._slots[slot]
        try:
            said = worker.connection.recv()
        except (EOFError, OSError):
            return self._bury(slot)
        if worker.ready:
            reply: Reply = said
            return reply
        if said != READY:
            raise BatchError(f"the workers cannot begin: {said}")
        worker.ready, self._failed_starts = True, 0
        return None

    def _bury(self, slot: int) -> Died | None:
        worker = self._slots.pop(slot)
        worker.connection.close()
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if worker.ready:
            return Died(how)
        self._failed_starts += 1
        if self._failed_starts >= STARTS:
            raise BatchError(f"{STARTS} workers in a row died before they could begin: {how}")
        self._slots[slot] = self._start()
        self._tell(slot)
        return None

    def recall(self) -> list[int]:
        """See ``Pool``."""
        return []

    def close(self, *, kill: bool = False) -> None:
        """See ``Pool``."""
        for worker in self._slots.values():
            if kill:
                worker.process.kill()
            worker.connection.close()
        for worker in self._slots.values():
            worker.process.join()
        self._slots.clear()
        self._asked.clear()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C waits until the block ends, and never comes to processes that are started in it."""
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, work: Work) -> None:
    """The main function of a worker's process."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # oddities in files, of no use to their owner
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the driver has gone
        try:
            worker = work.open()
        except Exception as error:
            connection.send(explain(error))
            return
        connection.send(READY)
        while True:
            connection.send(worker(connection.recv()))
