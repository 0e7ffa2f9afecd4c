"""Workers as actors of a Ray cluster, on one machine or many."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

from glissando.errors import BatchError, InputError, explain

from .messages import Looked, Reply, Request
from .pools import STARTS, Died
from .worker import Work, Worker

__all__ = ["Actors"]

STORE_BYTES = 80 * 2**20
"""Of Ray's object store, where a cluster is started for the batch; nothing larger than a message goes through it."""


class Actors:
    """A pool of Ray actors, each with one core and one codec, which it opens when it starts.

    An actor has one request at a time, so that there are never more in the cluster than workers, and no picture ever
    passes through the driver. Where there is no cluster, one of this machine is started and ended.
    """

    def __init__(self, work: Work, size: int | None = None, *, address: str | None = None) -> None:
        """Connect to the cluster.

        ``size``: of the pool; None for as many as the cluster has cores. ``address``: of the cluster; None for the one
        that ``RAY_ADDRESS`` names or this process is connected to, or else one that is started. Raises InputError where
        Ray is not installed, BatchError where there is no such cluster.
        """
        try:
            import ray
        except ModuleNotFoundError:
            raise InputError("--engine ray needs the package ray: pip install 'glissando[ray]'") from None
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, size, address or os.environ.get("RAY_ADDRESS"))
        self.size = size or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._work = ray.put(work)
        self._kind = ray.remote(num_cpus=1, max_restarts=0)(_Actor)
        self._starting: dict[Any, Any] = {}  # actors by what tells that they are ready
        self._idle: list[Any] = []
        self._bound: dict[int, Any] = {}  # actors by the slot whose picture they hold
        self._queue: deque[tuple[int, Request]] = deque()
        self._asked: dict[Any, int] = {}
        self._failed_starts = 0

    def send(self, slot: int, request: Request) -> None:
        """See ``Pool``. A picture waits for whichever actor is free next, since the cluster may be short of cores."""
        if slot in self._bound:
            self._ask(slot, request)
            return
        self._queue.append((slot, request))
        if not self._idle and len(self._starting) + len(self._bound) < self.size:
            self._start()
        self._hand_out()

    def _start(self) -> None:
        actor = self._kind.remote(self._work)
        self._starting[actor.ready.remote()] = actor

    def _hand_out(self) -> None:
        while self._idle and self._queue:
            slot, request = self._queue.popleft()
            self._bound[slot] = self._idle.pop()
            self._ask(slot, request)

    def _ask(self, slot: int, request: Request) -> None:
        self._asked[self._bound[slot].answer.remote(request)] = slot

    def wait(self, *, block: bool) -> list[tuple[int, Reply | Died]]:
        """See ``Pool``."""
        found: list[tuple[int, Reply | Died]] = []
        while (self._asked or self._queue) and not found:
            expected = [*self._asked, *self._starting]
            done, _ = self._ray.wait(expected, num_returns=1, timeout=None if block else 0)
            if not done:
                break
            done, _ = self._ray.wait(expected, num_returns=len(expected), timeout=0)  # all that came meanwhile
            for reference in done:
                if reference in self._starting:
                    self._welcome(reference)
                else:
                    slot = self._asked.pop(reference)
                    found.append((slot, self._hear(slot, reference)))
            self._hand_out()
        return found

    def _welcome(self, reference: Any) -> None:
        """Take an actor that is ready; or start another where it died before it was."""
        actor = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise BatchError(f"the workers cannot begin: {' '.join(str(error).split())}") from None
            self._start()
            return
        self._failed_starts = 0
        self._idle.append(actor)

    def _hear(self, slot: int, reference: Any) -> Reply | Died:
        """An actor's answer. Unless it only looked, it is free for another picture."""
        try:
            reply: Reply = self._ray.get(reference)
        except self._ray.exceptions.RayActorError:
            del self._bound[slot]
            self._start()
            return Died("its actor is gone")
        if not isinstance(reply, Looked):
            self._idle.append(self._bound.pop(slot))
        return reply

    def close(self, *, kill: bool = False) -> None:
        """See ``Pool``."""
        if not kill and self._asked:
            self._ray.wait(list(self._asked), num_returns=len(self._asked))
        for actor in (*self._starting.values(), *self._idle, *self._bound.values()):
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()


class _Actor:
    """What Ray runs in a process of its own."""

    def __init__(self, work: Work) -> None:
        self._worker: Worker = work.open()

    def ready(self) -> None:
        """Come back once it is, as all that is asked of an actor."""

    def answer(self, request: Request) -> Reply:
        return self._worker(request)


def _connect(ray: Any, size: int | None, address: str | None) -> None:
    started: dict[str, Any] = {}
    if address is None:
        started = {"num_cpus": size, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        with _unreported():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **started)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise BatchError(f"no Ray cluster at {address or 'this machine'}: {explain(error)}") from error


@contextlib.contextmanager
def _unreported() -> Iterator[None]:
    """Ray, which would report its use to its makers, is told not to, unless the user said otherwise."""
    name = "RAY_USAGE_STATS_ENABLED"
    if name in os.environ:
        yield
        return
    os.environ[name] = "0"
    try:
        yield
    finally:
        del os.environ[name]
